"""Genes of the training: steps, rates, optimisers, averages, noise."""

from __future__ import annotations

from evogan.genes.define import EDL, IMPROVED, PGGAN, WGAN, choice, number, only

SCHEDULE = [
    number("batch_size", 2, 1024, 64, "images per step", EDL, log=True),
    number("batch_ratio", 1, 8, 1, "the generator's images per step over the critic's", "WGAN-GP, arXiv:1704.00028"),
    number("critic_steps", 1, 100, 5, "critic steps per iteration (n_critic)", WGAN),
    number("generator_steps", 1, 20, 1, "generator steps per iteration", EDL),
    number("learning_rate", 1e-8, 1.0, 5e-5, "learning rate of the critic", WGAN, log=True),
    number(
        "lr_ratio",
        0.01,
        100.0,
        1.0,
        "the generator's learning rate over the critic's",
        "TTUR, arXiv:1706.08500",
        log=True,
    ),
    choice(
        "lr_decay",
        ("none", "linear", "late", "last_third"),
        "none",
        "of both rates: linear to 0, from the beginning, from the middle or over the last third of the budget",
        "SNGAN, arXiv:1802.05957; CycleGAN, arXiv:1703.10593; Salimans et al., arXiv:1606.03498",
    ),
    *(
        gene
        for player in ("critic", "generator")
        for gene in (
            choice(f"{player}_optimizer", ("rmsprop", "adam", "sgd"), "rmsprop", f"optimiser of the {player}", WGAN),
            number(
                f"{player}_rms_decay",
                0.0,
                0.9999,
                0.9,
                f"decay of the {player}'s running mean of squared gradients",
                "Keras' RMSprop",
                **only(f"{player}_optimizer", "rmsprop"),
            ),
            number(
                f"{player}_beta1",
                0.0,
                0.999,
                0.5,
                f"decay of the {player}'s first moment",
                "DCGAN, arXiv:1511.06434",
                **only(f"{player}_optimizer", "adam"),
            ),
            number(
                f"{player}_beta2",
                0.0,
                0.99999,
                0.999,
                f"decay of the {player}'s second moment",
                "Adam, arXiv:1412.6980",
                **only(f"{player}_optimizer", "adam"),
            ),
            number(
                f"{player}_momentum",
                0.0,
                0.999,
                0.0,
                f"momentum of the {player}'s SGD",
                "Polyak 1964",
                **only(f"{player}_optimizer", "sgd"),
            ),
        )
    ),
    number(
        "ema",
        0.0,
        0.99999,
        0.0,
        "decay of the generator's moving average that samples are drawn from, "
        "min(ema, (1 + t)/(10 + t)) at step t; 0 = off",
        PGGAN,
    ),
    number("historical_averaging", 0.0, 10.0, 0.0, "weight of |w - mean of all w so far|^2, of both players", IMPROVED),
    number(
        "instance_noise",
        0.0,
        2.0,
        0.0,
        "standard deviation of noise on all that the critic sees, falling to 0 over the budget",
        "arXiv:1610.04490",
    ),
    number(
        "input_noise",
        0.0,
        2.0,
        0.0,
        "standard deviation of noise on all that the critic sees, the same to the end",
        IMPROVED,
    ),
    choice(
        "augmentation",
        ("none", "color", "translation", "cutout", "translation_cutout", "all"),
        "none",
        "differentiable augmentation of all that the critic sees",
        "DiffAugment, arXiv:2006.10738",
    ),
]
