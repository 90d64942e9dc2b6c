"""A GAN as one readable file of PyTorch, which trains it without evogan."""

from evogan.export.code.support import unsupported
from evogan.export.code.write import Wanted, write_code

__all__ = ["Wanted", "unsupported", "write_code"]
