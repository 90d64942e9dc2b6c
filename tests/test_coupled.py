"""Coupled GANs: what networks share, losses against their formulas, judges by the recipe of whatever is made."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import softplus

import evogan
from evogan import UserError
from evogan.data import DataSpec, load_dataset
from evogan.evaluation.architecture import architecture
from evogan.evaluation.coupled import judged
from evogan.families import Field
from evogan.families.build import build, check
from evogan.families.coupled.model import CoupledGAN
from evogan.genes import GENES
from evogan.zoo.gan import Batch, Couples, Prompt
from tests.draws import rng

IMAGE = Field((1, 16, 16))
FIELDS = {"images": IMAGE, "sources": IMAGE, "domain_1": IMAGE}  # three
SMALL: dict[str, Any] = {
    "family": "coupled",
    "filters": 4,
    "level_critic_filters": 4,
    "level_critic_norm": "none",
    "latent": 5,
    "critic_constraint": "none",
    "loss": "non_saturating",
    "batch_size": 6,
}


def made(**genes: Any) -> CoupledGAN:
    gan = build({**SMALL, **genes}, FIELDS, seed=1)
    assert isinstance(gan, CoupledGAN) and isinstance(gan, Couples) and gan.domains == 3
    for network in gan.networks.values():
        network.double()
    return gan


def batch_of(gan: CoupledGAN, player: str) -> Batch:
    data = {name: 2 * torch.rand(6, 1, 16, 16, generator=rng(i)) - 1 for i, name in enumerate(gan.needs(player))}
    return gan.draw(player, 6, data, rng(3)).map(lambda x: x.double() if x.is_floating_point() else x)


@pytest.mark.parametrize(("layers", "last"), [(0, 0), (2, 1), (16, 16)])
def test_the_loss_is_the_sum_of_a_plain_gans_of_every_domain(layers: int, last: int) -> None:
    gan = made(coupled_layers=layers, coupled_critic_layers=last, level_norm="none")
    generator, critic = gan.players["generator"], gan.players["critic"]
    assert (len(generator.shared), len(critic.shared)) == (min(layers, 3), min(last, 3))
    for player in ("critic", "generator"):
        batch = batch_of(gan, player)
        expected = 0.0
        for k, name in enumerate(("sources", "domain_1", "images")):
            fake = critic(generator(batch.draws["latent"][0], (), k), (), k).score
            terms = softplus(-fake)
            if player == "critic":
                terms = softplus(fake) + softplus(-critic(batch.data[name], (), k).score)
            expected += float(terms.mean().detach())
        losses = gan.loss(player, batch)
        assert float(losses.total().detach()) == pytest.approx(expected, rel=1e-9)
        losses.total().backward()
        other = gan.players["generator" if player == "critic" else "critic"]
        if player == "critic":
            assert all(weight.grad is None for weight in other.parameters())


def test_what_is_shared_is_the_same_for_all_domains_and_the_rest_is_not() -> None:
    gan, alone = made(), made(coupled_layers=0, coupled_critic_layers=0)
    count = {
        name: [sum(p.numel() for p in one.players[name].parameters()) for one in (gan, alone)]
        for name in ("generator", "critic")
    }
    for name, (coupled, apart) in count.items():
        network = gan.players[name]
        shared = sum(p.numel() for p in network.shared.parameters())
        assert apart - coupled == 2 * shared > 0
    prompt = gan.prompts(4, {}, rng())
    prompt = {name: x.double() for name, x in prompt.items()}
    images = gan.coupled(prompt)
    assert len(images) == 3 and torch.equal(images[-1], gan.sample(prompt))
    assert not torch.equal(images[0], images[1])


class Negatives:
    """Whose second domain is the first one's negative, but for one image in four."""

    def coupled(self, prompt: Prompt) -> list[torch.Tensor]:
        first = torch.randint(0, 256, (8, 1, 8, 8), generator=rng()).float() / 127.5 - 1
        other = -first
        other[::4] = first[::4]
        return [first, other]


def test_agreement_is_with_what_the_recipe_makes_of_the_first_domains_image() -> None:
    found = judged(Negatives(), {}, load_dataset(DataSpec("digits", 8, domains="negative")))
    first, other = (x.double() for x in Negatives().coupled({}))
    apart = (other + first).abs().mean() / 2
    assert found["l1"] == pytest.approx(float(apart), rel=1e-6)
    assert found["truth_distance"] == pytest.approx(float(apart / ((first - first.roll(4, 0)).abs().mean() / 2)))
    assert found["l1_copy"] == pytest.approx(float((2 * first).abs().mean() / 2), rel=1e-6)


def test_without_domains_it_is_refused() -> None:
    with pytest.raises(UserError, match="--domains"):
        check(SMALL, {"images": IMAGE})


def test_it_is_mirrored_whatever_else_the_data_have() -> None:
    """Labels have no left and right."""
    labels = {"source_labels": Field((), 10)}
    assert architecture(GENES.read({**SMALL, "mirror": True}), {**FIELDS, **labels})


def test_it_trains_and_its_file_knows_its_domains(tmp_path: Path) -> None:
    small = {"filters": 4, "level_critic_filters": 4, "batch_size": 16}
    evaluation, where = evogan.train(
        "cogan", data="digits", domains="negative", kimg=0.3, samples=100, change=small, runs=tmp_path
    )
    assert evaluation.metric("truth_distance_copy") > 1
    file = evogan.load(where / "generator.safetensors")
    assert file.domains == ("digits", "negative")
