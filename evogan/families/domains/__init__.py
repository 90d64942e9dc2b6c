"""Images from one domain to another, without pairs: Zhu et al., arXiv:1703.10593."""
