"""Search a space of your own for the best value of your own function: no GAN in sight."""

import math

import evogan
from evogan import Gene, Space

space = Space(
    "demo",
    [
        Gene(name="rate", kind="float", low=1e-5, high=1.0, scale="log", levels=51),
        Gene(name="layers", kind="int", low=1, high=8),
        Gene(name="optimizer", kind="choice", values=("sgd", "adam")),
        Gene(name="momentum", kind="float", low=0.0, high=0.99, levels=34, when={"optimizer": ("sgd",)}),
    ],
)


def objective(genes: dict) -> float:
    loss = (math.log10(genes["rate"]) + 3) ** 2 + abs(genes["layers"] - 4) / 4
    return loss + (1 - genes["momentum"] if genes["optimizer"] == "sgd" else 0.5)


run = evogan.search(space, objective=objective, evaluations=100, workers=1)
assert run.best is not None
print(run.best.value, dict(run.best.row.genome))
