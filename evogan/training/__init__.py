"""Trains a GAN for a budget."""

from evogan.training.diagnostics import diagnose
from evogan.training.plan import Plan
from evogan.training.population import Population
from evogan.training.state import State
from evogan.training.trainer import Diverged, Trainer

__all__ = ["Diverged", "Plan", "Population", "State", "Trainer", "diagnose"]
