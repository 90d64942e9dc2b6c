"""Images from images, in pairs: Isola et al., arXiv:1611.07004."""
