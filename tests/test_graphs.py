"""Recorded work does what the work would. On a CPU a stand-in records: it keeps every operation, with its tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evogan.shipped import read_genome
from evogan.training import Population, State, Trainer
from evogan.training.graphs import AFTER, Graphs
from tests.fields import OF_IMAGES
from tests.test_population import DoubleTrainer, apart, losses, others, run_all, small, trainer

ASKS = ("_local_scalar_dense", "is_nonzero", "nonzero", "lift_fresh")  # of the device, or brings it something


class Tape(TorchDispatchMode):
    """Keeps what is done. Again, it is done with the same tensors and the same numbers, as a CUDA graph would."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not any(name in str(func) for name in ASKS), func
        found = func(*args, **(kwargs or {}))
        self.kept.append((func, args, kwargs or {}, found))
        return found

    def again(self) -> None:
        for func, args, kwargs, before in self.kept:
            found = func(*args, **kwargs)
            for old, new in zip(tree_leaves(before), tree_leaves(found), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Stand:
    def __init__(self) -> None:
        self.warmed = self.repeated = 0

    def warm_up(self, work: Callable[[], None]) -> None:
        self.warmed += 1
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        tape, first = Tape(), [True]
        with tape:
            work()

        def again() -> None:
            self.repeated += 1
            if not first:  # what a CUDA graph records is not done
                with torch.no_grad():
                    tape.again()
            first.clear()

        return again


class Broken(Stand):
    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("CUDA error: operation not permitted\nand more")


def add(total: Tensor) -> Callable[[Tensor, Tensor], None]:
    def work(index: Tensor, by: Tensor) -> None:
        total.index_copy_(0, index, total[index] + by.square())

    return work


@pytest.mark.parametrize("recorder", [None, Stand(), Broken()], ids=["none", "records", "broken"])
def test_work_is_done_with_what_is_given(recorder: Stand | None) -> None:
    graphs, total = Graphs(recorder), torch.zeros(3)
    for i in range(8):
        graphs.do("some", add(total), (torch.tensor([i % 3]), torch.tensor([float(i)])))
        graphs.do(f"once {i}", add(total), (torch.tensor([0]), torch.tensor([0.0])))
    assert total.tolist() == [0 + 9 + 36, 1 + 16 + 49, 4 + 25]
    assert graphs.recordings == (type(recorder) is Stand)
    assert graphs.refused == ("CUDA error: operation not permitted" if isinstance(recorder, Broken) else "")
    if type(recorder) is Stand:
        assert (recorder.warmed, recorder.repeated) == (AFTER + 8, 8 - AFTER)


GENES: dict[str, dict[str, Any]] = {
    "wdcgan": {},
    "wgan_gp": {"dropout": 0.25, "ema": 0.9, "critic_optimizer": "adam"},
    "sngan_resnet": {"loss": "non_saturating", "label_smoothing": 0.1, "label_noise": 0.1, "lecam": 0.1},
}


@pytest.mark.parametrize("name", GENES)
def test_a_population_that_is_recorded_and_draws_ahead_trains_as_its_members_alone(name: str) -> None:
    """Also one that is stopped within a block, and goes on in another population."""
    genomes = others(small({**read_genome(name).genome, **GENES[name]}))
    if name == "sngan_resnet":
        genomes[1] = {n: v for n, v in genomes[1].items() if not n.startswith("label_")} | {"loss": "hinge"}
    first, second, alone = ([trainer(g, i, DoubleTrainer, ahead=3) for i, g in enumerate(genomes)] for _ in range(3))
    one = Population(first)
    one.graphs = Graphs(Stand())
    run_all(one, {0: 5, 1: 7, 2: 5})
    assert one.graphs.recordings
    for i in range(3):
        second[i].restore(State.unpack(first[i].state().pack()))
    two = Population(second)
    two.graphs = Graphs(Stand())
    run_all(two, dict.fromkeys(range(3), 12))
    for i in range(3):
        alone[i].run_to(12)
        assert apart(second[i], alone[i]) < 1e-9
        assert losses(second[i]) == pytest.approx(losses(alone[i]), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_no_step_asks_the_device_for_a_number_or_brings_it_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either would end the recording of a CUDA graph."""
    monkeypatch.setattr("evogan.training.graphs.AFTER", 0)
    genome = small(read_genome(name).genome)
    population = Population([trainer(genome, i, Trainer) for i in range(2)])
    population.graphs = Graphs(Stand())
    run_all(population, {0: 1, 1: 1})
    assert population.graphs.recordings == len(trainer(genome, 0, Trainer).gan.players)
    assert not population.graphs.refused
