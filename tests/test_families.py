"""A family is its players, data and genes: training knows no other names, and the gene table keeps families apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evogan.errors import UserError
from evogan.families import FAMILIES, Family, family_of, image_fields
from evogan.families.build import impossible
from evogan.families.plain.family import PLAIN
from evogan.genes import GENES, add_family
from evogan.genes.gather import gathered
from evogan.genome import Genome
from evogan.genome.define import number
from evogan.shipped import names, read_genome
from evogan.space import Space
from evogan.training import State, Trainer, diagnose
from evogan.training.feed import Feed
from evogan.zoo.gan import Batch, Data, Losses, Prompt, Rows

# Two domains without pairs: `there` makes of a point of the first one of the second, `back` the way back.
TOY = Family(
    name="toy",
    title="Two translators",
    source="this test",
    players=("there", "back", "judge"),
    counted="judge",
    needs=frozenset({"domains"}),
    genes=(
        number("cycle", 0.0, 10.0, 1.0, "weight of the way there and back", "this test"),
        number("judge_steps", 1, 9, 2, "steps of the judge", "this test"),
        *(gene for gene in PLAIN.genes if gene.name in ("batch_size", "learning_rate", "lr_decay", "ema")),
    ),
    measures=("cycle",),
    model="nowhere",
)
BOTH = gathered([PLAIN, TOY])


class Toy:
    counted, steady, prompted = "judge", True, ("a",)

    def __init__(self, genes: Mapping[str, Any]) -> None:
        rng = torch.Generator().manual_seed(0)
        with torch.device("meta"):  # which draws nothing
            self.players = {name: nn.Linear(2, 1 if name == "judge" else 2) for name in TOY.players}
        for player in self.players.values():
            for parameter in player.to_empty(device="cpu").parameters():
                parameter.data.normal_(0, 0.5, generator=rng)
        self.networks: Mapping[str, nn.Module] = self.players
        self.sampler = self.players["there"]
        self.schedule = (("judge", int(genes["judge_steps"])), ("there", 1), ("back", 1))
        self.rows = dict.fromkeys(TOY.players, int(genes["batch_size"]))
        self.rates = dict.fromkeys(TOY.players, float(genes["learning_rate"]))

    def begin(self, progress: float) -> bool:
        return False

    def needs(self, player: str) -> tuple[str, ...]:
        return {"judge": ("a", "b", "colour"), "there": ("a",), "back": ("b",)}[player]

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        assert {len(x) for x in data.values()} == {n}
        return Batch(data, {"jitter": (0.01 * torch.randn(n, 2, generator=rng),)})

    def loss(self, player: str, batch: Batch) -> Losses:
        there, back, judge = (self.players[name] for name in TOY.players)
        a, b = batch.data.get("a"), batch.data.get("b")
        if player == "judge":
            assert b is not None and a is not None
            weight = 1 + batch.data["colour"].float()[:, None]
            real, fake = judge(b), judge(there(a).detach() + batch.draws["jitter"][0])
            return Losses({"real": (weight * (real - 1).square()).mean(), "fake": fake.square().mean()})
        if player == "there":
            cycle = (back(there(a)) - a).square().mean()
            return Losses({"generator": (judge(there(a)) - 1).square().mean(), "cycle": cycle})
        return Losses({"cycle": (there(back(b)) - b).square().mean()})

    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        pass

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        return {"a": data["a"]}

    def sample(self, prompt: Prompt) -> Tensor:
        return self.sampler(prompt["a"]).detach()  # type: ignore[no-any-return]

    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        a = unseen(50, ("a",))["a"]
        return {"cycle": float((self.players["back"](self.players["there"](a)) - a).square().mean().detach())}

    def to(self, device: torch.device) -> None:
        pass


def streams(seed: int) -> dict[str, dict[str, Tensor]]:
    rng = torch.Generator().manual_seed(seed)
    b = torch.randn(30, 2, generator=rng) + 2
    return {"first": {"a": torch.randn(45, 2, generator=rng)}, "second": {"b": b, "colour": (b[:, 0] > 2).long()}}


def trainer(**genome: Any) -> Trainer:
    genes = BOTH.complete({"family": "toy", "batch_size": 7, "learning_rate": 0.01, **genome})
    return Trainer(Toy(genes), genes, streams(0), seed=1, device=torch.device("cpu"), iterations=200)


@pytest.mark.parametrize("ahead", [1, 3])
def test_training_serves_players_and_data_of_any_name(ahead: int) -> None:
    run = trainer(there_optimizer="adam", lr_decay="linear")
    assert (run.images_per_iteration, set(run.optimizers)) == (14, set(TOY.players))
    run.ahead, run.taken = ahead, dict.fromkeys(TOY.players, ahead)
    before, _ = diagnose(run, streams(9), 0)
    run.run_to(200)
    after, layers = diagnose(run, streams(9), 0)
    assert after["cycle"] < before["cycle"] / 2
    assert set(layers) == set(TOY.players)
    assert {"judge_gradient", "there_reach", "back_reach"} <= set(after)
    assert run.images_seen == 2800
    rows = Feed(streams(9), 0, torch.device("cpu")).next(4, run.gan.prompted)
    assert run.gan.sample(run.gan.prompts(4, rows, torch.Generator())).shape == (4, 2)


def test_a_training_of_any_family_goes_on_where_it_was_stopped() -> None:
    straight, stopped, resumed = (trainer() for _ in range(3))
    straight.run_to(9)
    stopped.run_to(4)
    resumed.restore(State.unpack(stopped.state().pack()))
    resumed.run_to(9)
    assert resumed.state().pack() == straight.state().pack()


def test_every_stream_is_shown_in_an_order_of_its_own_and_fields_of_one_stay_together() -> None:
    data, cpu = streams(3), torch.device("cpu")
    feed, other = Feed(data, 0, cpu), Feed(data, 0, cpu)
    for _ in range(5):  # of the first stream alone
        other.next(4, ("a",))
    shown = [feed.next(10, ("b", "colour")) for _ in range(3)]
    assert all(torch.equal(x["colour"], (x["b"][:, 0] > 2).long()) for x in shown)
    whole = torch.cat([x["b"] for x in shown])  # one pass: every row once
    assert sorted(whole.tolist()) == sorted(data["second"]["b"].tolist())
    assert not torch.equal(whole, data["second"]["b"])
    assert torch.equal(other.next(10, ("b",))["b"], shown[0]["b"])  # the other stream has not moved this one
    again = Feed(data, 0, cpu)
    again.restore(feed.state())
    assert torch.equal(again.next(5, ("b",))["b"], feed.next(5, ("b",))["b"])


# --- the gene table


def test_a_second_family_leaves_the_keys_of_the_first_as_they_are() -> None:
    for genome in (read_genome(name).genome for name in names("genomes")):
        assert family_of(genome) is not PLAIN or BOTH.key(genome) == GENES.key(genome)
    assert BOTH.key({"family": "toy"}) != BOTH.key({})


def test_a_genome_has_the_genes_of_its_own_family() -> None:
    plain, toy = BOTH.complete({}), BOTH.complete({"family": "toy"})
    assert "cycle" not in plain and "loss" in plain
    assert {"cycle", "back_beta1"} & set(toy) == {"cycle"}  # rmsprop has no beta
    assert "loss" not in toy
    assert {"batch_size", "ema"} <= set(plain) & set(toy)


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ({"family": "toy", "loss": "hinge"}, "gene 'loss' applies only when family is plain"),
        ({"cycle": 2.0}, "gene 'cycle' applies only when family is toy"),
        ({"cycle": 2.0, "loss": "hinge"}, "gene 'cycle' applies only when family is toy"),
        ({"family": "tox"}, "gene 'family': 'tox' is not allowed: one of plain, toy"),
    ],
)
def test_genes_of_two_families_in_one_genome_are_one_clear_line(genome: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as said:
        BOTH.read(genome)
    assert str(said.value) == message


def test_a_space_may_free_the_family() -> None:
    genes = [replace(BOTH[name], when={}) for name in ("family", "cycle", "clip", "batch_size")]
    space = Space("both", genes, table=BOTH)
    found = {frozenset(space.decode([u, 0.5, 0.5, 0.5])) for u in (0.2, 0.8)}
    assert found == {frozenset({"family", "clip", "batch_size"}), frozenset({"family", "cycle", "batch_size"})}


def test_two_families_must_mean_the_same_by_a_gene() -> None:
    other = replace(TOY, genes=(number("clip", 0.0, 1.0, 0.5, "something else", "this test"),))
    with pytest.raises(UserError, match="gene 'clip': families 'plain' and 'toy' define it differently"):
        gathered([PLAIN, other])


def test_a_plugin_may_add_a_family() -> None:
    before = gathered(FAMILIES.values())
    try:
        add_family(TOY)
        assert GENES.read({"family": "toy", "cycle": 2.0})["cycle"] == 2.0
        assert family_of({"family": "toy"}) is TOY
        assert GENES.key({"clip": 0.02}) == before.key({"clip": 0.02})
        with pytest.raises(UserError, match="family 'toy' exists already"):
            add_family(TOY)
    finally:
        FAMILIES.pop("toy", None)
        GENES.become(before)
    with pytest.raises(UserError, match="unknown gene 'cycle'"):
        GENES.read({"cycle": 2.0})


def test_data_that_a_family_cannot_use_are_one_clear_line() -> None:
    PLAIN.check_served(frozenset(), "digits")
    with pytest.raises(UserError) as said:
        replace(TOY, needs=frozenset({"few_labels", "domains"})).check_served(frozenset({"labels"}), "digits")
    assert str(said.value) == "family 'toy' needs domains and few labels, which data set 'digits' does not have"


def test_a_genome_that_says_nothing_is_a_plain_gan() -> None:
    assert family_of(Genome()) is FAMILIES["plain"] is PLAIN
    assert PLAIN.rows_per_iteration(GENES.complete({"batch_size": 10, "critic_steps": 3})) == 30
    assert impossible(image_fields(8, 1))["attention"] == ["quarter"]
