"""A generator against a critic: the GAN of Goodfellow et al., arXiv:1406.2661."""
