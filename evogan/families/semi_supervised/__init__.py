"""GANs that learn to classify from few labels and many images without: Salimans et al., arXiv:1606.03498."""
