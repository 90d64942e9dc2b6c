"""Data sets -> uint8 images in memory."""

from evogan.data.builtin import DATASETS
from evogan.data.dataset import Dataset, DataSpec
from evogan.data.load import load_dataset

__all__ = ["DATASETS", "DataSpec", "Dataset", "load_dataset"]
