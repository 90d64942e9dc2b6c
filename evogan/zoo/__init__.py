"""The parts that GANs are made of. Pure torch."""

from evogan.zoo.gan import GAN, Batch

__all__ = ["GAN", "Batch"]
