"""Going on: a training that stops and goes on ends as one that never stopped, bit for bit."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from evogan.evaluation.evaluator import GANEvaluator
from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.training import Diverged, State, Trainer
from evogan.training.feed import of_images
from evogan.trial import STATE, Evaluation, GANTask, Trial

SMALL = {"filters": 4, "batch_size": 16, "critic_steps": 2, "learning_rate": 1e-3}
GENOMES: dict[str, dict[str, Any]] = {
    "rmsprop": {},
    "adam_ema": {
        "critic_optimizer": "adam",
        "generator_optimizer": "adam",
        "ema": 0.95,
        "latent_prior": "uniform",
        "critic_norm": "layer",
        "upsampling": "transposed",
    },
    "sgd": {
        "critic_optimizer": "sgd",
        "critic_momentum": 0.8,
        "generator_optimizer": "sgd",
        "generator_norm": "none",
        "critic_norm": "none",
        "dropout": 0.0,
    },
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """More are slower on networks of this size, and much slower where others work too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def prepared(precision: str = "fp32") -> tuple[GANTask, GANEvaluator]:
    return GANProblem(GANSettings(kimg=1.0, samples=200, precision=precision)).prepare()


def train(
    genome: dict[str, Any], fidelity: float = 1.0, earlier: Evaluation | None = None, precision: str = "fp32"
) -> Evaluation:
    task, evaluate = prepared(precision)
    read = GENES.read(SMALL | genome)
    return evaluate(Trial(read, GENES.key(read), task, fidelity, earlier=earlier))


@cache
def straight(name: str, precision: str = "fp32", fidelity: float = 1.0) -> Evaluation:
    return train(GENOMES[name], fidelity, precision=precision)


def timeless(evaluation: Evaluation) -> list[dict[str, float]]:
    return [{name: value for name, value in score.items() if name != "seconds"} for score in evaluation.scores]


def assert_same(one: Evaluation, other: Evaluation) -> None:
    assert (one.status, one.reason) == (other.status, other.reason)
    assert timeless(one) == timeless(other)
    assert one.curve == other.curve
    assert one.diagnostics == other.diagnostics
    assert one.flags == other.flags
    assert one.files == other.files


CHAINS = [(1 / 9,), (0.25,), (0.3,), (0.5,), (1 / 9, 1 / 3), (0.1, 0.11, 0.7)]


@pytest.mark.parametrize(
    ("name", "fidelities"),
    [("rmsprop", chain) for chain in CHAINS] + [(name, CHAINS[-2]) for name in ("adam_ema", "sgd")],
)
def test_going_on_equals_training_straight_through(name: str, fidelities: tuple[float, ...]) -> None:
    """0.1 and 0.11 round to the same iteration: from one to the other nothing is left but to score again."""
    parts = [train(GENOMES[name], fidelities[0])]
    for before, fidelity in pairwise((*fidelities, 1.0)):
        parts.append(train(GENOMES[name], fidelity, parts[-1]))
        assert parts[-1].provenance["continued_from"] == before
        assert parts[-1].scores[-1]["seconds"] > parts[-2].scores[-1]["seconds"]
    assert [STATE in part.files for part in parts] == [True] * len(fidelities) + [False]
    assert_same(parts[-1], straight(name))
    for cost in ("kimg", "flops"):
        assert sum(part.cost[cost] for part in parts) == pytest.approx(straight(name).cost[cost])


@pytest.mark.parametrize("fidelities", [(1 / 9, 1 / 3), (0.25, 0.3), (0.5, 0.75)])
def test_a_lower_fidelity_is_reached_the_same_way_too(fidelities: tuple[float, float]) -> None:
    low, high = fidelities
    assert_same(train({}, high, straight("rmsprop", fidelity=low)), straight("rmsprop", fidelity=high))


def test_bf16_goes_on_too() -> None:
    assert_same(train({}, 1.0, train({}, 0.3, precision="bf16"), "bf16"), straight("rmsprop", "bf16"))


def test_what_was_best_off_the_checkpoints_does_not_stay() -> None:
    """Of fidelities between two checkpoints some end on their best score, which a longer training has not."""
    full, replaced = straight("rmsprop"), 0
    for fidelity in (0.35, 0.45, 0.6, 0.7):
        part = train({}, fidelity)
        fids = [score["fid"] for score in part.scores]
        replaced += min(fids) < min(fids[:-1])
        assert_same(train({}, 1.0, part), full)
    assert replaced


genomes = st.fixed_dictionaries(
    {
        "filters": st.just(4),
        "batch_size": st.integers(2, 9),
        "critic_steps": st.integers(1, 3),
        "learning_rate": st.sampled_from([1e-4, 1e-3]),
        "latent": st.integers(1, 8),
        **{
            name: st.sampled_from(GENES[name].values)
            for name in ("critic_optimizer", "generator_optimizer", "critic_norm", "generator_norm", "upsampling")
        },
        "kernel_size": st.sampled_from([3, 5]),
        "latent_prior": st.sampled_from(GENES["latent_prior"].values),
        "dropout": st.sampled_from([0.0, 0.25]),
        "ema": st.sampled_from([0.0, 0.5, 0.999]),
        "loss": st.sampled_from(["wasserstein", "non_saturating", "began"]),
        "critic_constraint": st.sampled_from(GENES["critic_constraint"].values),
        "generator_constraint": st.sampled_from(GENES["generator_constraint"].values),
        "gradient_penalty": st.sampled_from(["none", "dragan"]),
        "critic_regularization": st.sampled_from(["none", "spectral"]),
        **{
            name: st.sampled_from([0.0, 0.1])
            for name in ("lecam", "historical_averaging", "instance_noise", "input_noise", "label_noise")
        },
        "augmentation": st.sampled_from(["none", "all"]),
        "mirror": st.booleans(),
        "lr_decay": st.sampled_from(GENES["lr_decay"].values),
        "generator_steps": st.integers(1, 2),
    }
).map(GENES.complete)  # the genes that apply


@settings(max_examples=10)
@example(GENES.complete(GENES.read({**SMALL, "input_noise": 0.5})), [1], False, 8)
@given(genomes, st.lists(st.integers(1, 4), min_size=1, max_size=3), st.booleans(), st.sampled_from([1, 8]))
def test_any_training_goes_on_from_any_iteration(
    genome: dict[str, Any], parts: list[int], looked: bool, ahead: int
) -> None:
    """Everything that a training holds in the end: weights, optimisers, random numbers, means of losses. On a GPU the
    draws of `ahead` steps are made at once."""
    images = torch.arange(30 * 64).reshape(30, 1, 8, 8).remainder(251).byte()  # fewer than are shown: several passes

    def fresh() -> Trainer:
        return Trainer(
            build(genome, image_fields(8, 1), 3),
            genome,
            of_images(images),
            seed=3,
            device=torch.device("cpu"),
            iterations=20,
            ahead=ahead if build(genome, image_fields(8, 1), 3).steady else 1,
        )

    whole, interrupted = fresh(), fresh()
    for steps in parts:
        for trainer in (whole, interrupted):
            trainer.run_to(trainer.iteration + steps)
        if looked:
            assert whole.losses() == interrupted.losses()
            assert whole.normalized_loss() == interrupted.normalized_loss()
        state, interrupted = State.unpack(interrupted.state().pack()), fresh()
        interrupted.restore(state)
    for trainer in (whole, interrupted):
        trainer.run_to(trainer.iteration + 2)
    assert whole.state().pack() == interrupted.state().pack()
    assert whole.losses() == interrupted.losses()
    assert whole.normalized_loss() == interrupted.normalized_loss()


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_sampling_leaves_a_training_as_it_is(ema: float) -> None:
    genome = GENES.read({**SMALL, "ema": ema})
    images = torch.zeros(40, 1, 8, 8, dtype=torch.uint8)
    gan = build(genome, image_fields(8, 1), 0)
    trainer = Trainer(gan, GENES.complete(genome), of_images(images), seed=0, device=torch.device("cpu"), iterations=5)
    trainer.run_to(3)
    before = trainer.state().pack()
    trainer.gan.sample(trainer.gan.prompts(20, {}, torch.Generator().manual_seed(0)))
    assert trainer.state().pack() == before
    assert all(network.training for network in trainer.gan.networks.values())


def test_a_state_holds_nothing_twice() -> None:
    """With RMSprop: weights, as many squares, and little else."""
    state = State.unpack(straight("rmsprop", fidelity=0.25).files[STATE])
    held = sum(tensor.numel() * tensor.element_size() for tensor in state.tensors.values())
    parameters = straight("rmsprop").metric("parameters")
    assert parameters is not None
    assert held < 2 * 4 * parameters + 2 * 5056 + 4 * 1797 + 2000  # two random states, a pass over the data


def without_a_tensor(content: bytes) -> bytes:
    """And the rest as it was, checksum included."""
    tensors = load(content)
    del tensors["optimizer.critic.0.square_avg"]
    length = int.from_bytes(content[:8], "little")
    return save(tensors, metadata=json.loads(content[8 : 8 + length])["__metadata__"])


def of_another_version(state: State) -> State:
    return State(state.tensors, {**state.numbers, "owner": {**state.numbers["owner"], "torch": "1.0"}})


def of_another_replicate(state: State) -> State:
    return State(state.tensors, {**state.numbers, "owner": {**state.numbers["owner"], "replicate": 7}})


def of_a_higher_fidelity(state: State) -> State:
    return State(state.tensors, {**state.numbers, "fidelity": 1.0})


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-1],
    "one bit": lambda content: content[:-2000] + bytes([content[-2000] ^ 1]) + content[-1999:],
    "without a tensor": without_a_tensor,
    "text": lambda content: b"no state" * 100,
    **{
        change.__name__: lambda content, change=change: change(State.unpack(content)).pack()  # type: ignore[misc]
        for change in (of_another_version, of_another_replicate, of_a_higher_fidelity)
    },
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_state_that_is_not_right_means_training_from_the_start(kind: str) -> None:
    part = straight("rmsprop", fidelity=0.3)
    damaged = replace(part, files={**part.files, STATE: DAMAGE[kind](part.files[STATE])})
    evaluation = train({}, 1.0, damaged)
    assert_same(evaluation, straight("rmsprop"))
    assert evaluation.cost["kimg"] == straight("rmsprop").cost["kimg"]
    assert "continued_from" not in evaluation.provenance
    assert evaluation.provenance["not_continued"]


@pytest.mark.parametrize("missing", [STATE, "generator.safetensors"])
def test_so_does_a_missing_file(missing: str) -> None:
    part = straight("rmsprop", fidelity=0.5)
    evaluation = train({}, 1.0, replace(part, files={n: f for n, f in part.files.items() if n != missing}))
    assert_same(evaluation, straight("rmsprop"))
    assert "continued_from" not in evaluation.provenance


def test_damage_anywhere_is_noticed() -> None:
    content = straight("rmsprop", fidelity=0.3).files[STATE]
    whole, rng = State.unpack(content), random.Random(0)
    header = 8 + int.from_bytes(content[:8], "little")
    for place in (*rng.sample(range(header), 200), *rng.sample(range(header, len(content)), 50)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        try:
            state = State.unpack(bytes(damaged))
        except Exception:
            continue
        assert state.numbers == whole.numbers  # such as a blank that became a tab
        assert state.tensors.keys() == whole.tensors.keys()
        assert all(torch.equal(tensor, whole.tensors[name]) for name, tensor in state.tensors.items())


def test_a_training_that_failed_leaves_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    run_to = Trainer.run_to

    def diverge(self: Trainer, iteration: int) -> None:
        if self.images_seen > limit:
            raise Diverged("made up")
        run_to(self, iteration)

    monkeypatch.setattr(Trainer, "run_to", diverge)
    limit = 100
    failed = train({}, 0.5)
    assert failed.status == "diverged"
    assert not failed.files
    limit = 400
    flagged = train({}, 0.5)
    assert (flagged.status, flagged.reason) == ("completed", "diverged: made up")
    assert flagged.files and STATE not in flagged.files


def test_going_on_fails_where_the_whole_training_does(monkeypatch: pytest.MonkeyPatch) -> None:
    early, late = straight("rmsprop", fidelity=1 / 9), straight("rmsprop", fidelity=0.3)
    run_to = Trainer.run_to
    limits = {"before the first checkpoint": (200, early), "after it": (400, late)}

    def diverge(self: Trainer, iteration: int) -> None:
        if self.images_seen > limit:
            raise Diverged("made up")
        run_to(self, iteration)

    monkeypatch.setattr(Trainer, "run_to", diverge)
    for limit, part in limits.values():  # noqa: B007
        assert_same(train({}, 1.0, part), train({}, 1.0))
