"""Ladders of sizes: the pyramid, losses against their formulas, who learns from what, pictures level by level."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import correlate1d
from torch.nn.functional import softplus

import evogan
from evogan import Gene, Space, UserError
from evogan.data import DataSpec, load_dataset
from evogan.evaluation.checkpoint import Generator
from evogan.evaluation.levels import level_fids
from evogan.families import Field
from evogan.families.build import build, check, count_parameters, impossible
from evogan.families.ladder.model import LadderGAN, of_colours
from evogan.fitness import Scorer
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.load import load_features
from evogan.fitness.scorer import batches, extract, some_of
from evogan.genes import GENES
from evogan.shipped import names, read_genome
from evogan.space import altered, load_space
from evogan.training import State, Trainer
from evogan.training.feed import of_images, prepared
from evogan.zoo.conditioning import match
from evogan.zoo.gan import Batch, Climbs
from evogan.zoo.pyramid import WEIGHTS, expand, low_passes, rebuilt, reduce, residuals, sides
from tests.draws import rng

FIELDS = {"images": Field((3, 16, 16)), "labels": Field((), 4)}
SMALL: dict[str, Any] = {
    "family": "ladder",
    "filters": 4,
    "level_critic_filters": 4,
    "level_blocks": 1,
    "level_critic_norm": "none",
    "latent": 5,
    "critic_constraint": "none",
    "loss": "non_saturating",
    "batch_size": 6,
}


def made(**genes: Any) -> LadderGAN:
    gan = build({**SMALL, **genes}, FIELDS, seed=1)
    assert isinstance(gan, LadderGAN) and isinstance(gan, Climbs)
    for network in gan.networks.values():
        network.double()
    return gan


def batch_of(gan: LadderGAN, player: str) -> Batch:
    data = {"images": 2 * torch.rand(6, 3, 16, 16, generator=rng(2)) - 1, "labels": torch.arange(6) % 4}
    data = {name: data[name] for name in gan.needs(player)}
    return gan.draw(player, 6, data, rng(3)).map(lambda x: x.double() if x.is_floating_point() else x)


def value(gan: LadderGAN, player: str, batch: Batch) -> float:
    return float(gan.loss(player, batch).total().detach())


# --- the pyramid


def test_reduction_and_expansion_are_those_of_burt_and_adelson() -> None:
    x = torch.rand(2, 3, 12, 12, generator=rng(), dtype=torch.float64)
    smooth = x.numpy()
    for axis in (2, 3):
        smooth = correlate1d(smooth, WEIGHTS, axis=axis, mode="nearest")
    torch.testing.assert_close(reduce(x), torch.tensor(smooth[:, :, ::2, ::2]))
    sparse = torch.zeros(2, 3, 24, 24, dtype=torch.float64)
    sparse[:, :, ::2, ::2] = x
    wide = sparse.numpy()
    for axis in (2, 3):
        wide = 2 * correlate1d(wide, WEIGHTS, axis=axis, mode="constant")
    torch.testing.assert_close(expand(x)[:, :, 2:-2, 2:-2], torch.tensor(wide[:, :, 2:-2, 2:-2]))
    assert torch.allclose(expand(torch.ones(1, 1, 5, 5)), torch.ones(1, 1, 10, 10))
    assert torch.allclose(reduce(torch.ones(1, 1, 10, 10)), torch.ones(1, 1, 5, 5))


def test_a_pyramid_is_inverted_exactly() -> None:
    x = torch.rand(3, 1, 28, 28, generator=rng(), dtype=torch.float64)
    parts = residuals(x, 3)
    assert [part.shape[-1] for part in parts] == [7, 14, 28] == sides(28, 5)
    torch.testing.assert_close(rebuilt(parts), x, rtol=0, atol=1e-15)
    assert [sides(size, 3) for size in (8, 16, 30, 9)] == [[4, 8], [4, 8, 16], [15, 30], [9]]


def test_the_smallest_level_may_be_dense() -> None:
    gan = made(base_units=7, level_norm="none")
    generator, critic = gan.players["generator"], gan.players["critic"]
    assert not any(isinstance(m, torch.nn.Conv2d) for m in (*critic.critics[0].modules(), *generator.base.modules()))
    (latent,) = batch_of(gan, "generator").draws["latent"]
    start, *_ = latent.split(generator._parts, 1)
    first, second, third = generator.dense, generator.base[2], generator.heads[0][0]
    smallest = torch.tanh(third(second(first(start).relu()).relu())).view(6, 3, 4, 4)
    torch.testing.assert_close(generator.climb(latent, (), 1).images[0], smallest)
    one, two, score = critic.critics[0].layers[1], critic.critics[0].layers[3], critic.critics[0].head
    slope = lambda x: torch.nn.functional.leaky_relu(x, gan.genes["slope"])  # noqa: E731
    expected = score(slope(two(slope(one(smallest.flatten(1)))))).squeeze(1)
    torch.testing.assert_close(critic.critics[0](smallest).score, expected)


# --- losses


@pytest.mark.parametrize("sees", [False, True])
@pytest.mark.parametrize("source", ["real", "made"])
def test_every_level_is_a_gan_of_what_it_is_given(source: str, sees: bool) -> None:
    """LAPGAN: each adds to the image below it, which is a real one, or one that was made."""
    gan = made(level_learns_from=source, level_sees_low=sees, level_norm="none")
    generator, critics = gan.players["generator"], gan.players["critic"].critics
    for player in ("critic", "generator"):
        batch = batch_of(gan, player)
        x = low_passes(2 * torch.rand(6, 3, 16, 16, generator=rng(2)).double() - 1, 3)
        if player == "critic":
            torch.testing.assert_close(batch.data["images"], x[-1])
        z, *noise, _ = batch.draws["latent"][0].split(generator._parts, 1)
        fakes = [torch.tanh(generator.heads[0](generator.base(generator.dense(z).view(6, -1, 4, 4))))]
        lows = []
        for k, side in ((1, 8), (2, 16)):
            lows.append(expand(x[k - 1] if source == "real" else fakes[-1]))
            plane = noise[k - 1].view(6, 1, side, side)
            h = generator.levels[k - 1](torch.cat([lows[-1], plane], 1))
            fakes.append(lows[-1] + generator.heads[k](h))
        expected = 0.0
        for k, critic in enumerate(critics):
            real, fake = x[k], fakes[k]
            if k and sees:
                real, fake = torch.cat([real, expand(x[k - 1])], 1), torch.cat([fake, lows[k - 1]], 1)
            f = critic(fake).score
            terms = softplus(-f) if player == "generator" else softplus(-critic(real).score) + softplus(f)
            expected += float(terms.mean().detach())
        assert value(gan, player, batch) == pytest.approx(expected, rel=1e-6)


def test_levels_of_real_images_are_independent_and_no_step_moves_the_other_player() -> None:
    gan = made()
    batch = batch_of(gan, "generator")
    generator, critic = gan.players["generator"], gan.players["critic"]
    before = gan.loss("generator", batch).total()
    gradients = torch.autograd.grad(before, list(generator.parameters()), retain_graph=True)
    assert all(g.any() for g in gradients)
    loss = gan.loss("critic", batch_of(gan, "critic")).total()
    assert not any(
        g is not None and g.any() for g in torch.autograd.grad(loss, list(generator.parameters()), allow_unused=True)
    )
    with torch.no_grad():
        for parameter in generator.dense.parameters():
            parameter.mul_(1.1)
    others = [p for k in (0, 1) for p in (*generator.levels[k].parameters(), *generator.heads[k + 1].parameters())]
    old = torch.autograd.grad(before, others)
    new = torch.autograd.grad(gan.loss("generator", batch).total(), others)
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(old, new, strict=True))
    assert critic.training


def test_a_tree_pays_for_its_conditions_and_colours() -> None:
    """StackGAN++: both heads of every critic, the divergence of the conditions, mean colours and their covariances."""
    genes = {"condition": "labels", "critic_label": "two_heads", "match_loss": 0.7, "condition_augmentation": 3}
    gan = made(
        level_given="maps", level_residual=False, level_noise=0, level_norm="none",
        condition_kl=0.3, colour_mean=2.0, colour_covariance=5.0, **genes
    )  # fmt: skip
    batch = batch_of(gan, "generator")
    labels = batch.data["labels"]
    climbed = gan.players["generator"].climb(*batch.draws["latent"], [labels], 3)
    expected = torch.zeros((), dtype=torch.float64)
    for image, critic in zip(climbed.images, gan.players["critic"].critics, strict=True):
        said = critic(image, (), labels)
        expected += softplus(-said.score).mean() + 0.7 * softplus(-match(said.classes, labels)).mean()
    mean, variance = climbed.mean, climbed.log_variance.exp()
    normal = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    kl = torch.distributions.kl_divergence(torch.distributions.Normal(mean, variance.sqrt()), normal)
    expected += 0.3 * kl.mean()
    for small, large in ((0, 1), (1, 2)):
        pixels = [climbed.images[k].flatten(2) for k in (small, large)]
        means = [p.mean(2) for p in pixels]
        covariances = [torch.stack([torch.cov(one, correction=0) for one in p]) for p in pixels]
        expected += 2 * (means[1] - means[0]).square().sum(1).mean()
        expected += 5 * (covariances[1] - covariances[0]).square().sum((1, 2)).mean()
    assert value(gan, "generator", batch) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert of_colours(climbed.images[0], climbed.images[0])[1] == 0


def test_what_has_had_its_turn_stays_as_it_is() -> None:
    """StackGAN: the first stage alone, and then the second, which begins with fresh moments."""
    genome = {**SMALL, "levels": 2, "level_residual": False, "level_learns_from": "made", "levels_in_turn": True}
    genome |= {"level_noise": 0, "level_norm": "none"}
    pixels = (255 * torch.rand(40, 1, 8, 8, generator=rng())).byte()
    fields = {"images": Field((1, 8, 8))}

    def training() -> Trainer:
        gan = build(genome, fields, 0)
        return Trainer(gan, GENES.complete(genome), of_images(pixels), seed=0, device=torch.device("cpu"), iterations=4)

    run = training()
    generator = run.gan.players["generator"]
    state = {n: x.clone() for n, x in generator.state_dict().items()}
    run.run_to(2)
    after = {n: x.clone() for n, x in generator.state_dict().items()}
    moved = {n.split(".")[0] for n in after if not torch.equal(after[n], state[n])}
    assert "dense" in moved and "levels" not in moved
    assert torch.equal(after["heads.1.weight"], state["heads.1.weight"])
    sample = run.gan.sample({"latent": torch.zeros(1, generator.whole)})
    assert torch.equal(sample[:, :, ::2, ::2], sample[:, :, 1::2, 1::2])  # of side 4, enlarged
    run.run_to(4)
    last = generator.state_dict()
    assert all(torch.equal(last[n], after[n]) for n in last if n.startswith(("dense", "base", "heads.0")))
    assert any(not torch.equal(last[n], after[n]) for n in last if n.startswith("levels"))
    assert len(run.gan.steps({"latent": torch.zeros(1, generator.whole)})) == 2  # type: ignore[attr-defined]
    again = training()
    other = training()
    other.run_to(3)
    again.restore(State.unpack(other.state().pack()))
    again.run_to(4)
    assert again.state().pack() == run.state().pack()


# --- as every other GAN


def test_one_level_is_a_plain_gan_and_what_does_not_fit_is_said() -> None:
    assert sides(28, 1) == [28]
    few, many = (count_parameters({**SMALL, "levels": n}, {"images": Field((1, 28, 28))}) for n in (1, 3))
    assert few.keys() == many.keys() == {"critic", "generator"}
    labelled = {**SMALL, "condition": "labels"}
    with pytest.raises(UserError, match="needs images with labels; these have none"):
        check(labelled, {"images": Field((1, 8, 8))})
    assert impossible({"images": Field((1, 8, 8))}, ["ladder"])["condition"] == ["labels"]
    narrow = altered(load_space("ladder"), {"condition_augmentation": (0, 128)})
    for genome in map(narrow.decode, np.random.default_rng(0).random((50, narrow.dimension))):
        assert ("condition_kl" in genome) == (genome.get("condition_augmentation", 0) > 0)
    with pytest.raises(UserError, match="condition_augmentation is 0, not 1 to 1024"):
        altered(load_space("ladder"), {"condition_augmentation": 0, "condition_kl": 2.0})
    with pytest.raises(UserError, match="condition_kl' applies only when condition_augmentation is"):
        GENES.read({**labelled, "condition_kl": 2.0})  # there is no distribution
    with pytest.raises(UserError, match="level_critic_norm"):
        GENES.read({"family": "ladder", "level_critic_norm": "batch", "zero_penalty": "r1", "gradient_penalty": "none"})


@pytest.mark.parametrize(
    "name", [name for name in names("genomes") if read_genome(name).genome.get("family") == "ladder"]
)
def test_ladders_are_trained_scored_and_sampled_with_their_levels_in_a_row(name: str, tmp_path: Path) -> None:
    narrow = {**read_genome(name).genome, "filters": 8, "level_critic_filters": 8, "batch_size": 16}
    task: dict[str, Any] = {"data": "digits", "kimg": 0.3, "samples": 100, "runs": tmp_path}
    evaluation, folder = evogan.train(narrow, **task)
    assert evaluation.status == "completed" and evaluation.scores[-1]["fid"] > 0
    with Image.open(folder / "levels.png") as grid:
        # two levels of 24 images, four a row; of the first stage alone, if that is better, eight
        assert grid.size == (8 * 72, 6 * 72) or (name == "stackgan" and grid.size == (8 * 72, 3 * 72))
    generator = evogan.load(folder / "generator.safetensors")
    assert isinstance(generator, Generator) and generator.sample(3, seed=1).shape == (3, 1, 8, 8)
    assert generator.interpolate(2, 3).shape == (6, 1, 8, 8)
    assert ("gan_test_error" in evaluation.scores[-1]) == (name != "lapgan")
    assert {key for key in evaluation.scores[-1] if key.startswith("fid_at")} == {"fid_at_4"}


def test_a_level_is_judged_by_real_images_of_its_side() -> None:
    """Real ones, reduced as critics see them, score what as many unseen ones do; those that lack classes far more."""
    data, network = load_dataset(DataSpec("digits")), load_features("digits")
    scorer = Scorer(data, network, 355)

    def steps(images: np.ndarray) -> list[list[torch.Tensor]]:
        return [low_passes(prepared(part), 2) for part in batches(images)]

    found = level_fids(steps(data.held_out), data, scorer)
    seen = [torch.cat([extract(network, [levels[0]]) for levels in steps(x)]) for x in (data.images, data.held_out)]
    assert found == {"fid_at_4": pytest.approx(frechet_distance(*map(Moments.of, seen)), rel=1e-4)}
    assert data.held_out_labels is not None
    few = level_fids(steps(data.held_out[data.held_out_labels > 4]), data, scorer)
    assert few["fid_at_4"] > 5 * found["fid_at_4"]


def test_levels_are_measured_where_winners_are_checked(tmp_path: Path) -> None:
    genome = {**SMALL, "learning_rate": 1e-3}
    space = Space(
        "small",
        [Gene(name="learning_rate", kind="choice", values=(1e-3, 2e-3))],
        fixed={name: value for name, value in genome.items() if name != "learning_rate"},
        table=GENES,
    )
    run = evogan.search(
        space, "digits", evaluations=1, confirm=1, workers=1, kimg=0.1, samples=60, runs=tmp_path, features="digits"
    )
    assert run.best is not None and not any("fid_at" in key for key in run.best.evaluations[0].scores[-1])
    assert all("fid_at_4" in point for point in run.confirmations[0].evaluations[0].scores)


def test_images_that_stand_for_all_are_always_the_same_and_of_any_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evogan.fitness.scorer.SOME", 50)
    images = np.arange(250, dtype=np.uint8).reshape(-1, 1, 1, 1)
    one, other = (torch.cat([*some_of(images)]).flatten() for _ in range(2))
    assert torch.equal(one, other) and len(one.unique()) == 50
    assert {*(one % 2).tolist()} == {0, 1} and one.float().mean() == pytest.approx(124.5, abs=40)
