"""Trains a GAN for a budget."""

from evogan.training.plan import Plan
from evogan.training.trainer import Diverged, Trainer

__all__ = ["Diverged", "Plan", "Trainer"]
