"""Genes of the training: steps, rates, averages, noise."""

from __future__ import annotations

from evogan.families.shared.sources import EDL, IMPROVED, PGGAN, WGAN
from evogan.genome.define import choice, number

# names of those that every family has whose players take turns as the plain GAN's do
OF_TURNS = (
    *("batch_size", "critic_steps", "critic_pretraining", "critic_long_steps", "generator_steps", "learning_rate"),
    *("lr_ratio", "lr_decay", "ema", "historical_averaging"),
)

SCHEDULE = [
    number("batch_size", 2, 1024, 64, "images per step", EDL, log=True),
    number("batch_ratio", 1, 8, 1, "the generator's images per step over the critic's", "WGAN-GP, arXiv:1704.00028"),
    number(
        "batch_divisor",
        1,
        8,
        1,
        "the critic's images per step over the generator's, of which there are at least 2",
        "WGAN-GP's batch_ratio, the other way round",
        batch_ratio=1,
    ),
    number("critic_steps", 1, 100, 5, "critic steps per iteration (n_critic)", WGAN, acts="input", changes=True),
    number(
        "critic_pretraining",
        0,
        100_000,
        0,
        "critic steps before the generator's first, in whole iterations, which count as all others",
        WGAN,
        acts="input",
    ),
    number(
        "critic_long_steps",
        0,
        1000,
        0,
        "critic steps before each of the generator's first 25 steps and every 500th, as in WGAN's code, in whole "
        "iterations; 0 = off",
        WGAN,
        acts="input",
    ),
    number("generator_steps", 1, 20, 1, "generator steps per iteration", EDL, acts="input", changes=True),
    number("learning_rate", 1e-8, 1.0, 5e-5, "learning rate of the critic", WGAN, log=True, acts="input", changes=True),
    number(
        "lr_ratio",
        0.01,
        1e5,
        1.0,
        "the generator's learning rate over the critic's",
        "TTUR, arXiv:1706.08500",
        log=True,
        acts="input",
        changes=True,
    ),
    choice(
        "lr_decay",
        ("none", "linear", "late", "last_third"),
        "none",
        "of both rates: linear to 0, from the beginning, from the middle or over the last third of the budget",
        "SNGAN, arXiv:1802.05957; CycleGAN, arXiv:1703.10593; Salimans et al., arXiv:1606.03498",
        acts="input",
    ),
    number(
        "ema",
        0.0,
        0.99999,
        0.0,
        "decay of the generator's moving average that samples are drawn from, "
        "min(ema, (1 + t)/(10 + t)) at step t; 0 = off",
        PGGAN,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "historical_averaging",
        0.0,
        10.0,
        0.0,
        "weight of |w - mean of all w so far|^2, of both players",
        IMPROVED,
        acts="number",
        changes=True,
        switch=True,
    ),
    number(
        "instance_noise",
        0.0,
        2.0,
        0.0,
        "standard deviation of noise on all that the critic sees, falling to 0 over the budget",
        "arXiv:1610.04490",
        acts="input",
        changes=True,
        switch=True,
    ),
    number(
        "input_noise",
        0.0,
        2.0,
        0.0,
        "standard deviation of noise on all that the critic sees, the same to the end",
        IMPROVED,
        acts="input",
        changes=True,
        switch=True,
    ),
    choice(
        "augmentation",
        ("none", "color", "translation", "cutout", "translation_cutout", "all"),
        "none",
        "differentiable augmentation of all that the critic sees",
        "DiffAugment, arXiv:2006.10738",
        changes=True,
    ),
    choice(
        "mirror",
        (False, True),
        False,
        "every real image is flipped left to right with probability 1/2 each time it is shown: for scenes and faces, "
        "not for digits, text or whatever has a right way round; FID compares with the images as they are",
        "Karras et al., arXiv:1812.04948 and arXiv:2006.06676 (x-flips)",
        acts="input",
    ),
]
