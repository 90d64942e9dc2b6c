"""What a trial will take, predicted from its genome."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from statistics import median, quantiles

import pytest

from evogan.engine.executors.forecast import LEAST, Forecast
from evogan.genome import Value

Cost = tuple[dict[str, Value], float, float]  # genome, seconds, bytes


def plain(rng: random.Random) -> Cost:
    """A DCGAN of numbers only: weights and their moments, and activations of a batch."""
    filters, batch, steps = int(2 ** rng.uniform(4, 7)), rng.choice([32, 64, 128, 256]), rng.randint(1, 10)
    genes: dict[str, Value] = {"filters": filters, "batch_size": batch, "critic_steps": steps}
    genes |= {"lr": 10 ** rng.uniform(-5, -2), "beta1": rng.choice([0.0, 0.5, 0.9]), "loss": rng.choice("abc")}
    penalty = 1.5 if genes["loss"] == "b" else 1.0
    memory = 4e8 + 12 * 90 * filters**2 + batch * filters * 28 * 28 * 24 * penalty
    seconds = 0.5 + (1 + 1 / steps) * filters**1.6 * 0.02 * penalty * (1 + 16 / batch)
    return genes, seconds, memory


def conditional(rng: random.Random) -> Cost:
    """Backbones that scale differently, genes that are not always there, switches."""
    filters, batch, depth = rng.choice([16, 24, 32, 48, 64, 96, 128]), int(2 ** rng.uniform(4, 9)), rng.randint(1, 6)
    backbone, attention = rng.choice(["dcgan", "resnet", "style"]), rng.random() < 0.3
    genes: dict[str, Value] = {"backbone": backbone, "filters": filters, "batch_size": batch, "depth": depth}
    genes |= {"attention": attention, "dropout": rng.choice([0.0, 0.3])}
    weights = filters**2 * 9 * depth * {"dcgan": 1.0, "resnet": 2.0, "style": 1.5}[backbone]
    if backbone == "style":
        genes["mapping"] = rng.randint(2, 8)
        weights += int(genes["mapping"]) * 512 * 512
    memory = 6e8 + 16 * weights + batch * filters * 64 * 64 * 4 * (1 + depth * 0.4) + attention * batch * 2e6
    return genes, 0.2 + weights * 1e-5 + filters * depth * 0.05 + attention * 3, memory


SPACES = pytest.mark.parametrize("space", [plain, conditional])


def learned(space: Callable[[random.Random], Cost], n: int, work: float = 1.0) -> Forecast:
    """From costs with the noise of a busy machine."""
    rng, forecast = random.Random(n), Forecast()
    for _ in range(n):
        genes, seconds, memory = space(rng)
        cost = {
            "seconds": work * seconds * math.exp(rng.gauss(0, 0.05)),
            "memory": memory * math.exp(rng.gauss(0, 0.02)),
        }
        forecast.learn(genes, work, cost)
    return forecast


def held_out(space: Callable[[random.Random], Cost], n: int = 400) -> list[Cost]:
    rng = random.Random(10**6)
    return [space(rng) for _ in range(n)]


@SPACES
def test_seconds_of_genomes_not_seen_are_predicted_within_a_factor(space: Callable[[random.Random], Cost]) -> None:
    forecast = learned(space, 100, work=2.0)
    off = [abs(math.log(forecast.predict(genes, 3.0).seconds / (3 * s))) for genes, s, _ in held_out(space)]
    assert math.exp(median(off)) < 1.15
    assert math.exp(quantiles(off, n=20)[-1]) < 1.6


@SPACES
@pytest.mark.parametrize("n", [40, 100, 300, 1500])
def test_memory_said_to_be_enough_is(space: Callable[[random.Random], Cost], n: int) -> None:
    forecast = learned(space, n)
    ratios = []
    for genes, _, memory in held_out(space):
        predicted = forecast.predict(genes).memory
        assert predicted is not None
        ratios.append(predicted / memory)
    assert sum(ratio >= 1 for ratio in ratios) / len(ratios) >= 0.97
    assert median(ratios) < 2  # and not by saying far too much


def test_nothing_is_said_of_what_was_hardly_seen() -> None:
    forecast = learned(plain, LEAST - 1)
    predicted = forecast.predict(plain(random.Random(0))[0])
    assert predicted.seconds == 0 and predicted.memory is None


def test_what_is_seen_corrects_what_was_thought() -> None:
    """Another machine, another zoo: costs are ten times what they were."""
    forecast = learned(plain, 100)
    genes, seconds, memory = plain(random.Random(7))
    before = forecast.predict(genes)
    rng = random.Random(5)
    for _ in range(1000):
        found, s, m = plain(rng)
        forecast.learn(found, 1.0, {"seconds": 10 * s, "memory": 10 * m})
    after = forecast.predict(genes)
    assert before.seconds < 2 * seconds and before.memory is not None and before.memory < 2 * memory
    assert 5 * seconds < after.seconds < 20 * seconds
    assert after.memory is not None and after.memory > 5 * memory


def test_costs_that_say_nothing_are_passed_over() -> None:
    forecast = Forecast("gpu_memory")
    costs: list[Mapping[str, float]] = [{}, {"seconds": 0.0}, {"memory": 1e9, "seconds": 5.0}]
    for _ in range(10):
        for cost in costs:
            forecast.learn({"filters": 8}, 1.0, cost)
    predicted = forecast.predict({"filters": 8, "unheard": "of"})
    assert predicted.memory is None
    assert 4 < predicted.seconds < 6


def test_genomes_that_are_all_alike_are_no_trouble() -> None:
    forecast = Forecast()
    for i in range(20):
        forecast.learn({"filters": 8, "loss": "hinge"}, 1.0, {"seconds": 2.0 + i % 2 / 10, "memory": 1e9})
    predicted = forecast.predict({"filters": 8, "loss": "hinge"})
    assert 1.9 < predicted.seconds < 2.2
    assert predicted.memory is not None and 0.99e9 < predicted.memory < 1.2e9
