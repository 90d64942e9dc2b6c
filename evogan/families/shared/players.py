"""Genes that every player has, whatever it is called: those of its steps."""

from __future__ import annotations

from evogan.families.shared.sources import WGAN
from evogan.genome import TableGene
from evogan.genome.define import choice, number, only


def optimizer(player: str) -> tuple[TableGene, ...]:
    return (
        choice(f"{player}_optimizer", ("rmsprop", "adam", "sgd"), "rmsprop", f"optimiser of the {player}", WGAN),
        number(
            f"{player}_rms_decay",
            0.0,
            0.9999,
            0.9,
            f"decay of the {player}'s running mean of squared gradients",
            "Keras' RMSprop",
            acts="input",
            changes=True,
            **only(f"{player}_optimizer", "rmsprop"),
        ),
        number(
            f"{player}_beta1",
            0.0,
            0.999,
            0.5,
            f"decay of the {player}'s first moment",
            "DCGAN, arXiv:1511.06434",
            acts="input",
            changes=True,
            **only(f"{player}_optimizer", "adam"),
        ),
        number(
            f"{player}_beta2",
            0.0,
            0.99999,
            0.999,
            f"decay of the {player}'s second moment",
            "Adam, arXiv:1412.6980",
            acts="input",
            changes=True,
            **only(f"{player}_optimizer", "adam"),
        ),
        number(
            f"{player}_momentum",
            0.0,
            0.999,
            0.0,
            f"momentum of the {player}'s SGD",
            "Polyak 1964",
            acts="input",
            changes=True,
            switch=True,
            **only(f"{player}_optimizer", "sgd"),
        ),
        number(
            f"{player}_gradient_clip",
            0.0,
            1000.0,
            0.0,
            f"longest gradient of the {player}, over all its parameters, that is not shortened to this; 0 = off",
            "Pascanu et al., arXiv:1211.5063",
            acts="input",
            changes=True,
            switch=True,
        ),
    )
