"""GANs with an encoder: losses as written, players that keep to themselves, codes that are found again."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from evogan.errors import UserError
from evogan.families import image_fields
from evogan.families.build import build, count_parameters
from evogan.families.inference.family import INFERENCE
from evogan.families.inference.model import InferenceGAN
from evogan.genes import GENES, SCORED
from evogan.shipped import names, read_genome
from evogan.training import State, Trainer, diagnose
from evogan.training.feed import of_images
from evogan.zoo import from_genes
from evogan.zoo.backbones import BACKBONES
from evogan.zoo.code import Code
from evogan.zoo.encoders import PairCritic, ThreeClassCritic
from evogan.zoo.gan import Critique, Draws, Encodes, Network
from evogan.zoo.inference import information, kind, kl, reconstruction
from evogan.zoo.latents import Prior, draw_latents
from evogan.zoo.layers import initialise
from tests.draws import rng

SYSTEMS = [name for name in names("genomes") if read_genome(name).genome.get("family") == "inference"]
SMALL = {"filters": 8, "latent": 6, "batch_size": 8, "learning_rate": 1e-3}
IMAGES = torch.randint(0, 256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


def small(name: str, **more: Any) -> InferenceGAN:
    gan = build({**read_genome(name).genome, **SMALL, **more}, image_fields(8, 1), 0)
    assert isinstance(gan, InferenceGAN)
    return gan


def trainer(gan: InferenceGAN, iterations: int = 10, data: Tensor = IMAGES) -> Trainer:
    return Trainer(gan, gan.genes, of_images(data), seed=0, device=torch.device("cpu"), iterations=iterations)


def shown(n: int = 8) -> dict[str, Tensor]:
    return {"images": torch.rand(n, 1, 8, 8, generator=rng(3)) * 2 - 1}


def filled(make: Callable[[], Network]) -> Network:
    """With weights that the global generator had no part in."""
    with torch.device("meta"):
        network = make()
    initialise(network.to_empty(device="cpu"), {"init": "he", "equalized_lr": False}, rng(3))
    return network


# --- losses


def test_information_is_the_likelihood_of_what_images_were_made_of() -> None:
    code = Code(3, 2)
    said, start = torch.randn(7, 5, generator=rng()).double(), draw_latents(Prior(4, code=code), 7, rng(1)).double()
    found = information(said, start, code)
    torch.testing.assert_close(found["category"], F.cross_entropy(said[:, :3], start[:, :3].argmax(1)))
    constant = math.log(2 * math.pi) / 2
    likelihood = Normal(said[:, 3:], torch.ones(7, 2).double()).log_prob(start[:, 3:5]) + constant
    torch.testing.assert_close(found["continuous"], -likelihood.sum(1).mean())


def test_the_bound_of_mutual_information_is_exact_for_the_true_posterior_and_lower_for_any_other() -> None:
    """Of a category and an image with one of four values: a table of how often they meet."""
    meet = torch.tensor([[5, 1, 1, 1], [1, 4, 2, 1], [0, 0, 3, 5]]).double()  # each category 8 times of 24
    joint = meet / meet.sum()
    posterior = joint / joint.sum(0)
    product = joint.sum(1, keepdim=True) * joint.sum(0)
    exact = float(torch.where(joint > 0, joint * (joint / product).log(), 0.0).sum())
    pairs = [(c, x) for c in range(3) for x in range(4) for _ in range(int(meet[c, x]))]
    c, x = torch.tensor(pairs).T

    def bound(logits: Tensor) -> float:
        return math.log(3) - float(information(logits.T[x], F.one_hot(c, 3).double(), Code(3))["category"])

    true = posterior.clamp(min=1e-12).log()
    assert math.isclose(bound(true), exact, rel_tol=1e-9)
    assert all(bound(true + 0.3 * torch.randn(3, 4, generator=rng(i)).double()) < exact for i in range(5))


def test_kl_and_reconstructions_are_as_written() -> None:
    mean, log_variance = torch.randn(2, 5, 3, generator=rng()).double()
    q = Normal(mean, torch.exp(log_variance / 2))
    torch.testing.assert_close(kl(mean, log_variance), kl_divergence(q, Normal(0.0, 1.0)).sum(1).mean())
    a, b = torch.randn(2, 5, 1, 3, 3, generator=rng()).double()
    torch.testing.assert_close(reconstruction(a, b), 4.5 * F.mse_loss(a, b))


class Features(Network):
    """A critic whose features are the image."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        return Critique(self.head(x.flatten(1)).squeeze(1), x.flatten(1))


def test_a_critic_of_three_classes_has_the_cross_entropy_of_a_softmax() -> None:
    """Its score's loss and that of the kinds add up to it; the generator's is that of the class of reals."""
    critic = filled(lambda: ThreeClassCritic(Features())).double()
    loss = from_genes.adversarial({"loss": "non_saturating"})
    x = {what: torch.randn(6, 1, 2, 2, generator=rng(i)).double() for i, what in enumerate(("real", "back", "made"))}
    said = {what: critic(images) for what, images in x.items()}
    logits = {what: critic.critic(images).score for what, images in x.items()}

    def entropy(what: str, which: int) -> Tensor:
        return F.cross_entropy(logits[what], torch.full((6,), which))

    terms = [loss.critic(said["real"].score, said[what].score) for what in ("back", "made")]
    torch.testing.assert_close(terms[0]["real"], entropy("real", 0))
    for which, what in enumerate(("back", "made")):
        torch.testing.assert_close(terms[which]["fake"] + kind(said[what].classes, which), entropy(what, which + 1))
        torch.testing.assert_close(loss.generator(said[what].score)["generator"], entropy(what, 0))


FLIPPED: dict[str, Any] = {  # what an encoder minimises of the scores of reals
    "non_saturating": lambda r: F.softplus(r),  # cross-entropy with the label of fakes
    "minimax": lambda r: -F.softplus(-r),
    "least_squares": lambda r: r.square() / 2,
    "wasserstein": lambda r: r,
    "hinge": lambda r: r,
}


@pytest.mark.parametrize("name", FLIPPED)
def test_an_encoder_wants_reals_with_its_codes_to_be_taken_for_fakes(name: str) -> None:
    loss, r = from_genes.adversarial(GENES.complete({"loss": name})), torch.randn(9, generator=rng()).double()
    torch.testing.assert_close(loss.encoder(r)["encoder"], FLIPPED[name](r).mean())


def test_generator_and_encoder_share_a_relativistic_loss() -> None:
    loss = from_genes.adversarial({"loss": "hinge", "relativistic": "average"})
    r, f = torch.randn(2, 9, generator=rng()).double()
    torch.testing.assert_close(loss.encoder(r, f)["encoder"], loss.generator(f, r)["generator"])


# --- players


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_players_loss_depends_on_its_own_weights_and_reaches_nobody_before_it(name: str) -> None:
    """A critic is shown what others made without their gradient; a step changes the weights of one player."""
    gan = small(name)
    if name == "infogan":
        assert set(gan.players) == {"critic", "generator"}
    for player in gan.players:
        loss = gan.loss(player, gan.draw(player, 8, shown(), rng())).total()
        for other, network in gan.players.items():
            found = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True)
            assert any(g is not None for g in found) <= (other == player or player != "critic")
            assert other != player or all(g is not None for g in found)
    run = trainer(gan)
    for player in gan.players:
        before = {n: [p.clone() for p in network.parameters()] for n, network in gan.players.items()}
        run.step(player)
        for other, network in gan.players.items():
            same = [torch.equal(old, new) for old, new in zip(before[other], network.parameters(), strict=True)]
            assert all(same) == (other != player)


def test_infogans_networks_have_as_many_weights_as_its_layers() -> None:
    """Convolutions 4x4 of 64 and 128, dense 1024, head 128; dense 1024, 7x7x128, 64: gains and biases of norms too."""
    trunk = (16 * 64 + 64) + (64 * 128 * 16 + 128 + 256) + (7 * 7 * 128 * 1024 + 1024 + 2048)
    critic = trunk + 1025 + (1024 * 128 + 128 + 256) + (128 * 12 + 12)
    wide = 7 * 7 * 128
    generator = (74 * 1024 + 1024 + 2048) + (1024 * wide + wide + 2 * wide) + (128 * 64 * 16 + 64 + 128) + (64 * 16 + 1)
    assert count_parameters(read_genome("infogan").genome, image_fields(28, 1)) == {
        "critic": critic, "generator": generator
    }  # fmt: skip


# --- codes


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_code_of_an_image_depends_on_the_image_alone(name: str) -> None:
    gan = small(name)
    assert isinstance(gan, Encodes)
    trainer(gan).run_to(3)
    images = gan.sample(gan.prompts(6, {}, rng()))
    whole, first = gan.encode(images), gan.encode(images[:2])
    assert {part: x.shape[1] for part, x in whole.items()} == dict(gan.code) == INFERENCE.code(gan.genes)
    for part in gan.code:
        torch.testing.assert_close(whole[part][:2], first[part], rtol=1e-4, atol=1e-5)
    made = gan.decode(whole)
    assert made.shape == images.shape and made.abs().max() <= 1
    torch.testing.assert_close(gan.decode(first), made[:2], rtol=1e-4, atol=1e-5)
    if "category" in gan.code:
        torch.testing.assert_close(whole["category"].sum(1), torch.ones(6))


def test_a_code_is_drawn_as_written() -> None:
    start = draw_latents(Prior(3, "uniform", code=Code(4, 2)), 4000, rng())
    assert start.shape == (4000, 9)
    assert set(start[:, :4].unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(start[:, :4].sum(1), torch.ones(4000))
    torch.testing.assert_close(start[:, :4].mean(0), torch.full((4,), 0.25), rtol=0, atol=0.03)
    assert start[:, 4:].min() < -0.99 and start[:, 4:].max() > 0.99
    torch.testing.assert_close(start[:, 4:].var(0), torch.full((5,), 1 / 3), rtol=0.1, atol=0)


def test_styles_that_are_mixed_have_one_code() -> None:
    gan = build(
        {
            "family": "inference",
            "backbone": "stylegan",
            "filters": 8,
            "latent": 5,
            "growing": False,
            "mapping_layers": 1,
        },
        image_fields(8, 1),
        0,
    )
    generator = gan.players["generator"]
    met: list[Tensor] = []
    generator.generator.mapping.register_forward_pre_hook(lambda _, given: met.append(given[0]))  # type: ignore[union-attr]
    batch = gan.draw("generator", 4, {}, rng())
    gan.loss("generator", batch)
    assert len(met) == 2
    assert torch.equal(met[0][:, :12], met[1][:, :12]) and not torch.equal(met[0][:, 12:], met[1][:, 12:])


class Linear(Network):
    """A linear map of (N, ...), with answers of this shape."""

    def __init__(self, weight: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight, self._shape = nn.Parameter(weight), shape

    def forward(self, x: Tensor, draws: Draws = ()) -> Tensor:
        return (x.flatten(1) @ self.weight.T).unflatten(1, self._shape)


class Hidden(Network):
    """A critic of two pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(2, 64), nn.Linear(64, 1)

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        features = torch.relu(self.hidden(x.flatten(1)))
        return Critique(self.head(features).squeeze(1), features)


def test_an_encoder_trained_on_pairs_inverts_a_linear_generator() -> None:
    """Reals are a linear map of two normal numbers; six seeds ended at .01 to .08."""
    genes = {
        "family": "inference",
        "encoder": "inverse",
        "latent": 2,
        "batch_size": 64,
        "critic_steps": 1,
        "init": "he",
    }
    genes |= {"loss": "non_saturating", "critic_constraint": "none", "zero_penalty": "r1", "zero_penalty_weight": 1.0}
    genes |= {f"{player}_optimizer": "adam" for player in ("critic", "generator", "encoder")}
    complete = GENES.complete({**genes, "critic_norm": "none", "learning_rate": 0.03, "lr_decay": "linear"})
    critic = filled(lambda: PairCritic(Hidden(), "features", 2, size=1, units=64, slope=0.2))
    g, e = torch.randn(2, 2, 2, generator=rng(4)) / 2
    players = {"critic": critic, "generator": Linear(g, (1, 1, 2)), "encoder": Linear(e, (2,))}
    reals = torch.randn(4000, 2, generator=rng(3)) @ torch.tensor([[1.0, -0.5], [0.5, 1.0]])
    gan = InferenceGAN(complete, (1, 1, 2), players, rng())
    streams = {"images": {"images": reals.view(-1, 1, 1, 2)}}
    run = Trainer(gan, complete, streams, seed=3, device=torch.device("cpu"), iterations=250)

    def error() -> float:
        with torch.no_grad():
            z = torch.randn(500, 2, generator=rng(9))
            return float((players["encoder"](players["generator"](z)) - z).norm() / z.norm())

    assert error() > 0.5
    run.run_to(250)
    assert error() < 0.2


# --- as other GANs


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_training_goes_on_where_it_was_stopped(name: str) -> None:
    straight, stopped, resumed = (trainer(small(name, ema=0.9)) for _ in range(3))
    straight.run_to(3)
    stopped.run_to(2)
    resumed.restore(State.unpack(stopped.state().pack()))
    resumed.run_to(3)
    assert resumed.state().pack() == straight.state().pack()


PAIRED: dict[str, Any] = {"encoder": "inverse", "critic_norm": "none", "critic_constraint": "spectral_norm"}
BESIDE: list[dict[str, Any]] = [
    {"loss": loss, **PAIRED, "gradient_penalty": "two_sided"} for loss in GENES["loss"].values if loss in SCORED
]
BESIDE += [{**PAIRED, "backbone": backbone} for backbone in BACKBONES]
BESIDE += [
    {**PAIRED, "gradient_penalty": "dragan", "pair_entry": "features", "posterior": "gaussian"},
    {**PAIRED, "zero_penalty": "r1_r2", "loss": "hinge", "relativistic": "pairs", "ema": 0.9},
    {"encoder": "network", "generator_norm": "virtual_batch", "critic_norm": "virtual_batch"},
    {"encoder": "head", "critic_norm": "layer", "minibatch": "std", "augmentation": "all"},
    {"encoder": "inverse", "critic_sees": "image", "feature_reconstruction": 1.0, "instance_noise": 0.1},
    {"encoder": "inverse", "critic_sees": "image", "latent_cycle": 1.0, "fakes": "three_class", "lecam": 0.1},
    {"encoder": "head", "jacobian_clamping": True, "feature_matching": "added"},
]


@pytest.mark.parametrize("genes", BESIDE, ids=lambda genes: "-".join(map(str, genes.values())))
def test_an_encoder_goes_with_every_backbone_loss_and_penalty(genes: dict[str, Any]) -> None:
    """A step of each player; what is encoded and made again is finite."""
    genes = {**SMALL, "critic_filters": 8, "init_std": 0.1, "growing": False, "mapping_layers": 1, **genes}
    wanted = {"family": "inference", "backbone": "dcgan", **genes}
    genome = GENES.read({name: value for name, value in wanted.items() if name in GENES.complete(wanted)})
    gan = build(genome, image_fields(8, 1), 0)
    run = Trainer(gan, GENES.complete(genome), of_images(IMAGES), seed=0, device=torch.device("cpu"), iterations=2)
    run.run_to(1)
    assert isinstance(gan, Encodes)
    made = gan.decode(gan.encode(shown()["images"]))
    assert made.isfinite().all() and made.shape == (8, 1, 8, 8)
    assert all(math.isfinite(number) for number in diagnose(run, of_images(IMAGES), 0)[0].values())


@pytest.mark.parametrize(
    ("genes", "said"),
    [
        ({"loss": "began", "critic_constraint": "none"}, "neither features for a head nor scores for pairs"),
        ({"code_categories": 0, "code_continuous": 0}, "there is no code to find in an image"),
        ({"encoder": "inverse", "critic_sees": "image"}, "nothing would train the encoder"),
        (
            {"encoder": "inverse", "critic_norm": "virtual_batch"},
            "virtual batch norm's reference images have no latents",
        ),
        ({"gradient_penalty": "dragan"}, "batch norm would keep statistics"),
        ({"condition": "labels"}, "gene 'condition' applies only when"),
        ({"encoder": "network", "backbone": "progressive", "encoder_norm": "none"}, "gene 'encoder_norm' applies only"),
        (
            {"encoder_beta1": 0.5},
            "gene 'encoder_beta1' applies only when encoder is network or inverse",
        ),
    ],
)
def test_what_cannot_be_is_one_clear_line(genes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        GENES.read({"family": "inference", **genes})
