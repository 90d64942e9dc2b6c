"""Sequences of tokens: Yu et al., SeqGAN, arXiv:1609.05473, and what else gives tokens a gradient, or does without."""
