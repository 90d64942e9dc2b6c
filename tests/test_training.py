"""Training: the budget is kept, runs are the same bit for bit, a longer one begins as the shorter did."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evogan.evaluation.checkpoint import Generator
from evogan.evaluation.evaluator import GANEvaluator
from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.training import Diverged, Plan, Trainer
from evogan.training.feed import of_images
from evogan.training.flops import flops_per_iteration
from evogan.trial import GANTask, Trial
from evogan.zoo.gan import Batch, Data, Losses
from tests import forked

SMALL = {"filters": 8, "batch_size": 16, "critic_steps": 2, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def digits() -> tuple[GANTask, GANEvaluator]:
    return GANProblem(GANSettings(kimg=0.6, samples=200)).prepare()


def trial(task: GANTask, genome: dict | None = None, fidelity: float = 1.0, replicate: int = 0) -> Trial:
    read = GENES.read(SMALL if genome is None else genome)
    return Trial(read, GENES.key(read), task, fidelity, replicate)


def trainer(genome: dict, images: torch.Tensor, seed: int = 0, ahead: int = 1) -> Trainer:
    gan, cpu = build(genome, image_fields(images.shape[-1], images.shape[1]), seed), torch.device("cpu")
    return Trainer(gan, GENES.complete(genome), of_images(images), seed=seed, device=cpu, iterations=100, ahead=ahead)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system caps a process")
def test_without_memory_a_training_says_so_whoever_noticed(tmp_path: Path) -> None:
    """Torch has words of its own for it, and oneDNN others; which is of no use in that process any more."""
    code = """
from evogan.engine import Broker, LocalExecutor, Store
from evogan.engine.executors import local
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import Trial

def trial(filters):
    genome = GENES.read({"filters": filters, "batch_size": 32, "critic_steps": 2})
    return Trial(genome, GENES.key(genome), task)

task, evaluate = GANProblem(GANSettings(kimg=0.2, samples=50)).prepare()
broker = Broker(Store(), LocalExecutor(evaluate))
print(broker.result(trial(8)).status)
local.free_memory = lambda: 0.0
found = broker.result(trial(24))
print(found.status, "/", found.reason)
Broker(Store(), LocalExecutor(evaluate)).result(trial(40))
"""
    done = forked.run([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert done.stdout.splitlines()[0] == "completed", done.stderr
    assert done.stdout.splitlines()[1].startswith("out_of_memory / "), done.stdout
    if "could not create a primitive" in done.stdout:
        assert "evogan.engine.executors.base.Lost: memory ran out within oneDNN" in done.stderr


@given(
    st.floats(0.01, 100),
    st.integers(1, 5000),
    st.floats(0.01, 1),
    st.sampled_from([(1.0,), (0.25, 0.5, 1.0)]),
)
def test_a_plan_keeps_the_budget_and_a_lower_fidelity_is_its_beginning(
    kimg: float, images: int, fidelity: float, checkpoints: tuple[float, ...]
) -> None:
    full, part = (Plan.of(kimg, images, f, checkpoints) for f in (1.0, fidelity))
    last = max(full.stops)
    assert last == 1 or abs(last * images - kimg * 1000) <= images / 2 * (1 + 1e-6)
    assert full.stops[last]
    assert part.stops[max(part.stops)]
    assert list(part.stops) == sorted(part.stops)
    for iteration, scored in list(part.stops.items())[:-1]:
        assert full.stops[iteration] == scored
    assert part.on_checkpoint == full.stops.get(part.last, False)


def test_training_is_the_same_bit_for_bit(digits: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = digits
    one, two = evaluate(trial(task)), evaluate(trial(task))
    assert one.status == "completed"
    assert one.curve == two.curve
    assert [s["fid"] for s in one.scores] == [s["fid"] for s in two.scores]
    assert one.files == two.files
    other = evaluate(trial(task, replicate=1))
    assert other.scores[-1]["fid"] != one.scores[-1]["fid"]


def test_a_longer_training_begins_as_the_shorter_did(digits: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = digits
    full, half = evaluate(trial(task)), evaluate(trial(task, fidelity=0.5))
    assert half.curve == full.curve[: len(half.curve)]
    assert [(s["kimg"], s["fid"], s["normalized_loss"]) for s in half.scores] == [
        (s["kimg"], s["fid"], s["normalized_loss"]) for s in full.scores[: len(half.scores)]
    ]
    assert len(full.scores) == 4
    assert len(half.scores) == 2


def test_what_is_recorded(digits: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = digits
    evaluation = evaluate(trial(task))
    assert math.isclose(evaluation.scores[-1]["kimg"], 0.608)  # whole iterations of 2 x 16 images
    assert evaluation.cost["kimg"] == evaluation.scores[-1]["kimg"]
    assert evaluation.cost["flops"] > 0
    assert evaluation.metric("fid") == min(s["fid"] for s in evaluation.scores)
    assert evaluation.metric("fid", "last") == evaluation.scores[-1]["fid"]
    assert evaluation.provenance["threads"] == 1
    gan = build(SMALL, image_fields(8, 1), 0)
    parameters = sum(p.numel() for player in gan.players.values() for p in player.parameters())
    assert evaluation.metric("parameters") == parameters
    grids = [f"samples-{round(100 * score['fidelity'])}.png" for score in evaluation.scores]
    assert evaluation.files["samples.png"] in [evaluation.files[name] for name in grids]
    assert set(evaluation.files) == {"samples.png", "generator.safetensors", *grids}


def test_the_kept_generator_is_the_one_that_scored_best(digits: tuple[GANTask, GANEvaluator], tmp_path: object) -> None:
    task, evaluate = digits
    evaluation = evaluate(trial(task))
    path = tmp_path / "generator.safetensors"  # type: ignore[operator]
    path.write_bytes(evaluation.files["generator.safetensors"])
    generator = Generator(path)
    assert generator.facts["fid"] == evaluation.metric("fid")
    assert generator.genome == GENES.read(SMALL)
    again = evaluate._scorer.score(generator._gan.sample(latents) for latents in _latents(task, generator))
    assert math.isclose(again["fid"], evaluation.metric("fid") or 0, rel_tol=1e-6)


def _latents(task: GANTask, generator: Generator) -> list[torch.Tensor]:
    from evogan.stable import derive_seed

    rng = torch.Generator().manual_seed(derive_seed(task.key, "score"))
    return [generator._gan.prompts(task.samples, {}, rng)]


def test_a_gan_with_nan_is_stopped_at_once_and_called_diverged(
    digits: tuple[GANTask, GANEvaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> object:
        gan = build(*arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            gan.players["generator"].dense.weight[0, 0] = float("nan")
        return gan

    task, evaluate = digits
    monkeypatch.setattr("evogan.evaluation.course.build", broken)
    evaluation = evaluate(trial(task))
    assert evaluation.status == "diverged"
    assert "real loss is nan by 0.0 kimg" in evaluation.reason
    assert evaluation.cost["kimg"] == 0.032
    assert evaluation.scores == evaluation.curve == ()


def test_weights_without_eigenvalues_are_called_diverged(
    digits: tuple[GANTask, GANEvaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> object:
        gan = build(*arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            next(gan.players["critic"].parameters()).fill_(float("nan"))
        return gan

    task, evaluate = digits
    monkeypatch.setattr("evogan.evaluation.course.build", broken)
    genome = GENES.read({**SMALL, "critic_regularization": "spectral_exact"})
    evaluation = evaluate(Trial(genome, GENES.key(genome), task))
    assert evaluation.status == "diverged"
    assert evaluation.reason.startswith("critic loss is not a number by 0.0 kimg: ")


def test_divergence_after_a_checkpoint_is_a_completed_trial_with_a_flag(
    digits: tuple[GANTask, GANEvaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_to = Trainer.run_to

    def late(self: Trainer, iteration: int) -> None:
        if self.images_seen > 400:
            raise Diverged("made up")
        run_to(self, iteration)

    monkeypatch.setattr(Trainer, "run_to", late)
    task, evaluate = digits
    evaluation = evaluate(trial(task))
    assert evaluation.status == "completed"
    assert (evaluation.cut_short, evaluation.reason) == ("diverged", "diverged: made up")
    assert len(evaluation.scores) == 2
    assert evaluation.files


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    run = trainer(SMALL, torch.zeros(50, 1, 8, 8, dtype=torch.uint8))
    with torch.no_grad():
        run.gan.players["generator"].dense.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="loss is nan by"):
        run.run_to(1)


def test_every_image_is_shown_once_an_epoch() -> None:
    images = torch.arange(50, dtype=torch.uint8).reshape(50, 1, 1, 1).expand(50, 1, 8, 8)
    run = trainer({**SMALL, "batch_size": 10}, images)
    for _ in range(3):
        epoch = torch.cat([run.feed.next(10, ["images"])["images"] for _ in range(5)])
        seen = ((epoch[:, 0, 0, 0] + 1) * 127.5).round().long()
        assert sorted(seen.tolist()) == list(range(50))


def test_a_player_changes_itself_alone() -> None:
    run = trainer(SMALL, torch.zeros(50, 1, 8, 8, dtype=torch.uint8))
    weights = {name: [p.clone() for p in player.parameters()] for name, player in run.gan.players.items()}
    run.step("critic")
    assert all(
        torch.equal(a, b) for a, b in zip(weights["generator"], run.gan.players["generator"].parameters(), strict=True)
    )
    after = [p.clone() for p in run.gan.players["critic"].parameters()]
    assert not all(torch.equal(a, b) for a, b in zip(weights["critic"], after, strict=True))
    run.step("generator")
    assert all(torch.equal(a, b) for a, b in zip(after, run.gan.players["critic"].parameters(), strict=True))


@pytest.mark.parametrize(
    "genome",
    [
        {"gradient_penalty": "two_sided", "critic_constraint": "none"},
        {"critic_regularization": "orthogonal", "generator_regularization": "off_diagonal"},
    ],
)
def test_every_weight_follows_its_own_gradient(genome: dict) -> None:
    """However the gradient lies in memory. Adam's first step is the rate, against the gradient's sign."""
    adam = {"critic_optimizer": "adam", "generator_optimizer": "adam", "critic_norm": "layer"}
    genome = {**SMALL, **adam, **genome, "critic_steps": 1}
    images = torch.arange(40 * 64).reshape(40, 1, 8, 8).remainder(251).byte()
    run = trainer(genome, images)
    for player, network in run.gan.players.items():
        before = [p.detach().clone() for p in network.parameters()]
        run.step(player)
        for old, parameter in zip(before, network.parameters(), strict=True):
            assert parameter.grad is not None
            felt = parameter.grad.abs() > 1e-5
            if player == "generator" or genome.get("critic_constraint") == "none":  # clipping moves weights too
                assert torch.equal((parameter - old).sign()[felt], -parameter.grad.sign()[felt])


def test_the_schedule_is_critic_steps_to_one() -> None:
    run = trainer({**SMALL, "critic_steps": 3}, torch.zeros(50, 1, 8, 8, dtype=torch.uint8))
    steps: list[str] = []
    run.step = steps.append  # type: ignore[method-assign]
    run.run_to(2)
    assert steps == ["critic"] * 3 + ["generator"] + ["critic"] * 3 + ["generator"]
    assert run.images_seen == 2 * 3 * 16


@pytest.mark.parametrize("relativistic", ["none", "average"])
@pytest.mark.parametrize("ahead", [1, 2])
@pytest.mark.parametrize(("size", "rows"), [({"batch_ratio": 2}, 32), ({"batch_divisor": 3}, 5)])
def test_the_generators_batch_may_be_larger_or_smaller(
    size: dict[str, int], rows: int, ahead: int, relativistic: str
) -> None:
    """The budget counts what the critic is shown, whatever the generator's steps cost."""
    genome = {**SMALL, "loss": "hinge", "relativistic": relativistic}
    images = torch.randint(0, 256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    run, plain = (trainer(genome | more, images, ahead=ahead) for more in (size, {}))
    sizes: dict[str, set[int]] = {"critic": set(), "generator": set()}
    loss = run.gan.loss

    def watched(player: str, batch: Batch) -> Losses:
        sizes[player] |= {
            *map(len, batch.tensors()),
        }
        return loss(player, batch)

    run.gan.loss = watched  # type: ignore[method-assign]
    run.run_to(3)
    assert sizes == {"critic": {16}, "generator": {rows}}
    assert run.images_per_iteration == plain.images_per_iteration
    flops = [
        flops_per_iteration({**genome, "batch_ratio": ratio, "critic_steps": 1}, image_fields(8, 1))
        for ratio in (1, 2, 3)
    ]
    assert flops[2] - flops[1] == flops[1] - flops[0] > 0


@pytest.mark.parametrize(
    ("decay", "rates"),
    [
        ("none", [1, 1, 1, 1, 1, 1]),
        ("linear", [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("late", [1, 1, 1, 1, 2 / 3, 1 / 3]),
        ("last_third", [1, 1, 1, 1, 1, 1 / 2]),
    ],
)
def test_rates_fall_as_their_decay_says(decay: str, rates: list[float]) -> None:
    run = trainer({**SMALL, "lr_decay": decay, "learning_rate": 1.0, "lr_ratio": 3.0}, torch.zeros(50, 1, 8, 8).byte())
    run._iterations, found = 6, []
    for run.iteration in range(6):
        run.begin_iteration()
        found.append((run.rate("critic"), run.rate("generator")))
    assert found == [(pytest.approx(rate), pytest.approx(3 * rate)) for rate in rates]


def test_optimisers_follow_their_genes() -> None:
    genome = GENES.read({"critic_optimizer": "adam", "critic_beta1": 0.3, "learning_rate": 1e-3, "lr_ratio": 0.25})
    run = trainer(dict(genome), torch.zeros(50, 1, 8, 8, dtype=torch.uint8))
    critic, generator = run.optimizers["critic"], run.optimizers["generator"]
    assert type(critic).__name__ == "Adam"
    assert critic.defaults["betas"] == (0.3, 0.999)
    assert type(generator).__name__ == "RMSprop"
    assert math.isclose(generator.defaults["lr"], 2.5e-4)


def test_bf16_is_another_task_and_trains(digits: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = GANProblem(GANSettings(kimg=0.3, samples=200, precision="bf16")).prepare()
    assert task.key != digits[0].key
    assert evaluate(trial(task)).status == "completed"


def test_threads_are_put_back(digits: tuple[GANTask, GANEvaluator]) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    digits[1](trial(digits[0], fidelity=0.1))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_genome_is_evaluated_the_same_in_any_spelling(digits: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = digits
    short, long = Genome(SMALL), Genome(GENES.complete(SMALL))
    assert GENES.key(short) == GENES.key(long)
    a, b = (evaluate(Trial(g, GENES.key(g), task, 0.25)) for g in (short, long))
    assert a.curve == b.curve


PENALISED: list[dict[str, object]] = [
    {},
    {"gradient_penalty": "two_sided", "critic_norm": "none"},
    {"zero_penalty": "r1", "critic_norm": "none"},
    {"critic_regularization": "orthogonal", "generator_regularization": "orthogonal"},
    {"critic_regularization": "l2", "generator_regularization": "spectral"},
    {"critic_constraint": "spectral_norm", "backbone": "dcgan", "upsampling": "transposed"},
]
PLAIN = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}


@pytest.mark.parametrize("optimizer", PLAIN)
@pytest.mark.parametrize("genes", PENALISED)
def test_a_step_is_that_of_an_optimiser_without_shortcuts(optimizer: str, genes: dict[str, object]) -> None:
    """A fused one walks through memory, where gradients of gradients lie otherwise than their weights."""
    players = ("critic", "generator")
    genome = {
        "filters": 8,
        "batch_size": 8,
        "critic_constraint": "none",
        "dropout": 0.0,
        "init_std": 0.2,
        **{f"{player}_optimizer": optimizer for player in players},
        "learning_rate": 0.01,
        **genes,
    }
    images = torch.arange(40 * 192).reshape(40, 3, 8, 8).remainder(251).byte()
    ours, plain = (trainer(GENES.complete(genome), images) for _ in range(2))
    for player in players:
        group = plain.optimizers[player].param_groups[0]
        known = {name: group[name] for name in ("betas", "alpha", "momentum") if name in group}
        plain.optimizers[player] = PLAIN[optimizer](group["params"], group["lr"], foreach=False, **known)
    before = {player: [p.clone() for p in network.parameters()] for player, network in ours.gan.players.items()}
    for run in (ours, plain):
        run.run_to(1)
    for player in players:
        networks = (run.gan.players[player].parameters() for run in (ours, plain))
        for old, a, b in zip(before[player], *networks, strict=True):
            if old.dim() > 1:  # a bias before a norm has no gradient but rounding
                step = torch.cosine_similarity((a - old).flatten(), (b - old).flatten(), dim=0)
                assert step > 0.999, (player, old.shape)


def test_reals_that_no_player_looks_at_are_not_taken() -> None:
    """An epoch is shown to the critic, whole."""
    images = torch.arange(60, dtype=torch.uint8).reshape(60, 1, 1, 1).expand(60, 1, 8, 8)
    run = trainer({**SMALL, "batch_size": 10, "critic_steps": 2}, images)
    shown: list[torch.Tensor] = []
    draw = run.gan.draw

    def watched(player: str, n: int, data: Data, rng: torch.Generator) -> object:
        if player == "critic":
            shown.append(data["images"][:, 0, 0, 0])
        return draw(player, n, data, rng)

    run.gan.draw = watched  # type: ignore[method-assign, assignment]
    run.run_to(3)
    assert sorted(((torch.cat(shown) + 1) * 127.5).round().long().tolist()) == list(range(60))
