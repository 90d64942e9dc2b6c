"""The GAN families and their parts. Pure torch."""

from evogan.zoo.build import build, check_size, count_parameters, impossible
from evogan.zoo.gan import GAN, Batch

__all__ = ["GAN", "Batch", "build", "check_size", "count_parameters", "impossible"]
