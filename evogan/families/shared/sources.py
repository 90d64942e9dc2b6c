"""Papers and books that several genes come from."""

EDL = "Lanham, Evolutionary Deep Learning (2023), ch. 8-9"
WGAN = "WGAN, arXiv:1701.07875"
AUTOGAN = "AutoGAN, arXiv:1908.03835"
STYLEGAN = "StyleGAN, arXiv:1812.04948"
PGGAN = "PGGAN, arXiv:1710.10196"
IMPROVED = "Salimans et al., arXiv:1606.03498"
