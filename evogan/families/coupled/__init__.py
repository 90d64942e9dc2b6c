"""One latent, an image in every domain: Liu and Tuzel, arXiv:1606.07536."""
