"""The lab: a GAN of points in the plane, watched and steered while it trains (after GAN Lab, arXiv:1809.01587)."""
