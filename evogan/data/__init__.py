"""Data sets -> uint8 images in memory."""

from evogan.data.builtin import DATASETS, add_dataset
from evogan.data.dataset import Dataset, DataSpec, image_dataset
from evogan.data.load import load_dataset

__all__ = ["DATASETS", "DataSpec", "Dataset", "add_dataset", "image_dataset", "load_dataset"]
