"""Remedies that act on how the players are trained: each against its formula, and in a stack as alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import Tensor

from evogan.families import image_fields
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.training import State, Trainer, rounds
from evogan.training.evolution import survivor
from evogan.training.flops import flops_per_step
from evogan.training.rounds import Rounds
from evogan.trial import Trial
from evogan.zoo.gan import Losses
from evogan.zoo.jacobian import jacobian_clamping, moved
from evogan.zoo.losses import MUTATIONS
from evogan.zoo.stack import shape
from evogan.zoo.unrolled import at, look_ahead
from tests.test_population import check_equal, small, trainer

PLAYERS = ("critic", "generator")


def free(genes: dict[str, Any]) -> dict[str, Any]:
    """A small GAN whose critic's weights go where their gradient leads."""
    return small({"critic_constraint": "none", "critic_norm": "layer", "init_std": 0.2, **genes})


def parameters(run: Trainer, player: str) -> list[Tensor]:
    return [p.detach().clone() for p in run.gan.players[player].parameters()]


# --- gradient clipping by global norm


@pytest.mark.parametrize("player", PLAYERS)
def test_gradients_are_clipped_as_torch_does_it(player: str) -> None:
    steps = {f"{player}_optimizer": "sgd", "learning_rate": 1.0}
    norm = torch.nn.utils.get_total_norm(gradients(trainer(free(steps), 0), player))
    for longest in (float(norm) / 3, 3 * float(norm)):
        ours, plain = trainer(free({**steps, f"{player}_gradient_clip": longest}), 0), trainer(free(steps), 0)
        theirs = list(plain.gan.players[player].parameters())
        for parameter, gradient in zip(theirs, gradients(plain, player), strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(theirs, longest)
        before, rate = parameters(ours, player), ours.rate(player)
        foreseen = ours.next_step(player, gradients(trainer(free(steps), 0), player))
        ours.step(player)
        for old, new, step, parameter in zip(before, parameters(ours, player), foreseen, theirs, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(new, old - rate * parameter.grad)
            torch.testing.assert_close(old + step, new)


def gradients(run: Trainer, player: str) -> tuple[Tensor, ...]:
    """Of its first step."""
    loss = run.gan.loss(player, run.draw(player)).total()
    return torch.autograd.grad(loss, list(run.gan.players[player].parameters()))


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_a_stack_clips_each_members_gradient_by_its_own_norm(optimizer: str) -> None:
    kinds = {f"{player}_optimizer": optimizer for player in PLAYERS}
    longest = [{f"{player}_gradient_clip": c for player in PLAYERS} for c in (1e-3, 0.1, 100.0)]
    check_equal([free({**kinds, "learning_rate": 1e-3, **clip}) for clip in longest], 4)


# --- critic pre-training, and WGAN's long first steps


def programs(genes: dict[str, int], iterations: int, critic: int = 5, generator: int = 1) -> list[str]:
    schedule = Rounds((("critic", critic), ("generator", generator)), "critic", genes)
    found = [schedule.program(i) for i in range(iterations)]
    assert all(program.count("critic") == critic for program in found)  # a budget of rows is a number of iterations
    for player in PLAYERS:
        made = accumulate((program.count(player) for program in found), initial=0)
        assert [*made] == [schedule.steps(player, n) for n in range(iterations + 1)]
    return [player for program in found for player in program]


def test_long_first_steps_are_those_of_wgans_code() -> None:
    """`Diters = 100 if gen_iterations < 25 or gen_iterations % 500 == 0 else opt.Diters`."""
    steps: list[str] = []
    for generated in range(1100):
        steps += ["critic"] * (100 if generated < 25 or generated % 500 == 0 else 5) + ["generator"]
    iterations = steps.count("critic") // 5
    assert programs({"critic_long_steps": 100}, iterations) == steps
    assert programs({"critic_pretraining": 35, "critic_long_steps": 100}, iterations + 7) == ["critic"] * 35 + steps


@pytest.mark.parametrize(("critic", "generator", "before", "long"), [(3, 1, 7, 10), (2, 3, 0, 5), (4, 1, 1, 3)])
def test_steps_are_whole_iterations(critic: int, generator: int, before: int, long: int) -> None:
    made = programs({"critic_pretraining": before, "critic_long_steps": long}, 520 + 25 * 4, critic, generator)
    parts = [len(part) for part in "".join(player[0] for player in made).split("g" * generator)]
    longer = -(-max(long, critic) // critic) * critic
    assert parts[0] == -(-before // critic) * critic + longer
    assert parts[1:501] == [longer] * 24 + [critic] * 475 + [longer]


def test_whoever_rests_a_member_of_a_stack_trains_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "FIRST", 2)
    monkeypatch.setattr(rounds, "EVERY", 3)
    rests = [{}, {"critic_long_steps": 4}, {"critic_pretraining": 3, "critic_long_steps": 3}]
    check_equal([free({"critic_steps": 2 - i % 2, "learning_rate": 1e-3, **more}) for i, more in enumerate(rests)], 14)


def test_a_training_that_was_stopped_while_the_generator_rests_goes_on_as_if_not() -> None:
    genome = free({"critic_steps": 1, "critic_pretraining": 2, "critic_long_steps": 3})
    straight, stopped, resumed = (trainer(genome, 0) for _ in range(3))
    straight.run_to(10)
    stopped.run_to(6)
    resumed.restore(State.unpack(stopped.state().pack()))
    resumed.run_to(10)
    assert (resumed.steps("critic"), resumed.steps("generator")) == (10, 2)
    for player in PLAYERS:
        assert all(map(torch.equal, parameters(straight, player), parameters(resumed, player)))


def test_the_budget_counts_what_the_critic_is_shown_whoever_rests() -> None:
    task, evaluate = GANProblem(GANSettings(kimg=0.2, samples=100)).prepare()
    task = replace(task, checkpoints=(1.0,))
    genome = {"filters": 4, "batch_size": 8, "critic_steps": 2}
    plain, rested, alone = (
        evaluate(Trial(read := GENES.read({**genome, "critic_pretraining": n}), GENES.key(read), task))
        for n in (0, 10, 1000)
    )
    assert [p["kimg"] for p in plain.curve] == [p["kimg"] for p in rested.curve] == [p["kimg"] for p in alone.curve]
    assert plain.cost["flops"] > rested.cost["flops"] > alone.cost["flops"] > 0
    assert alone.status == "completed" and "generator" not in alone.curve[-1]
    assert [score["generator_reach"] for score in alone.scores] == [0.0]
    assert "vanishing_gradient" in alone.flags


# --- unrolled GAN


def test_looking_ahead_against_a_linear_critic_in_closed_form() -> None:
    """Wasserstein, C(x) = w x, a generator that is one point g: L_G = -(w + K r (x - g)) g, by g -w - K r (x - 2 g)."""
    critic = torch.nn.utils.skip_init(torch.nn.Linear, 2, 1, bias=False, dtype=torch.float64)
    w, x, g = (torch.tensor(v, dtype=torch.float64) for v in ([0.3, -1.0], [1.0, 2.0], [0.5, -0.25]))
    critic.weight.data[0] = w
    g.requires_grad_()
    for k, rate in ((0, 0.1), (1, 0.1), (5, 0.03)):
        after = look_ahead(critic, [lambda: (critic(g) - critic(x)).sum()] * k, rate)
        loss = at(critic, after, lambda: -critic(g).sum())
        (gradient,) = torch.autograd.grad(loss, g)
        torch.testing.assert_close(gradient, -w - k * rate * (x - 2 * g.detach()))
        torch.testing.assert_close(critic.weight[0].detach(), w)


@pytest.mark.parametrize(
    ("penalty", "constraint", "relativistic"),
    [("none", "none", "average"), ("two_sided", "none", "none"), ("two_sided", "spectral_norm", "average")],
)
def test_the_generators_gradient_goes_through_the_critics_steps(
    penalty: str, constraint: str, relativistic: str
) -> None:
    """By hand: hinge loss, steps along gradients of autograd, whose graph is kept."""
    genes: dict[str, Any] = {"loss": "hinge", "critic_constraint": constraint, "gradient_penalty": penalty}
    genes |= {"relativistic": relativistic}
    run = trainer(free(genes | {"unrolled": 3, "unrolled_rate": 0.02, "slope": 0.2}), 0)
    gan, batch = run.gan, run.draw("generator")
    critic, generator = gan.players["critic"], gan.players["generator"]

    def fakes(step: str) -> Tensor:
        return generator(*batch.draws[f"{step}latent"], batch.draws[f"{step}generator"])  # type: ignore[no-any-return]

    def score(weights: dict[str, Tensor], x: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        return torch.func.functional_call(critic, weights, (x, masks)).score  # type: ignore[no-any-return]

    def hinge(r: Tensor, f: Tensor) -> Tensor:
        if relativistic == "average":
            r, f = r - f.mean(), f - r.mean()
        return torch.relu(1 - r).mean() + torch.relu(1 + f).mean()

    weights: dict[str, Tensor] = dict(critic.named_parameters())
    for step in ("unrolled 0 ", "unrolled 1 ", "unrolled 2 "):
        x, y, draws = batch.data["images"], fakes(step), batch.draws
        r, f = score(weights, x, draws[f"{step}real"]), score(weights, y, draws[f"{step}fake"])
        loss = hinge(r, f)
        if penalty != "none":
            (alpha,) = draws[f"{step}points"]
            between = x + alpha * (y - x)
            total = score(weights, between, draws[f"{step}penalty"]).sum()
            (slope,) = torch.autograd.grad(total, between, create_graph=True)
            loss = loss + 10 * ((slope.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square().mean()
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        weights = {name: w - 0.02 * g for (name, w), g in zip(weights.items(), gradients, strict=True)}
    f = score(weights, fakes(""), batch.draws["fake"])
    by_hand = -f.mean()
    if relativistic == "average":
        by_hand = hinge(f, score(weights, batch.data["images"], batch.draws["real"]))
    found = gan.loss("generator", batch)
    torch.testing.assert_close(found.total(), by_hand)
    names = list(generator.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(found.total(), names), torch.autograd.grad(by_hand, names), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("how", ["added", "alone"])
def test_the_mean_feature_of_reals_moves_with_the_critics_steps(how: str) -> None:
    """Against differences: the generator moves the critic that is looked ahead at, and so what it is to match."""
    run = trainer(free({"feature_matching": how, "unrolled": 1, "unrolled_rate": 0.1, "slope": 0.2}), 0)
    gan, batch = run.gan, run.draw("generator")
    weights = list(gan.players["generator"].parameters())
    along = [torch.randn(w.shape, dtype=w.dtype, generator=torch.Generator().manual_seed(7)) for w in weights]
    gradients = torch.autograd.grad(gan.loss("generator", batch).total(), weights)
    found = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))

    def moved(step: float) -> float:
        for weight, direction in zip(weights, along, strict=True):
            weight.data += step * direction
        value = float(gan.loss("generator", batch).total().detach())
        for weight, direction in zip(weights, along, strict=True):
            weight.data -= step * direction
        return value

    assert found == pytest.approx((moved(1e-7) - moved(-1e-7)) / 2e-7, rel=1e-3)


def test_the_critics_own_step_leaves_the_generator_alone() -> None:
    gan = trainer(free({"unrolled": 2, "gradient_penalty": "two_sided"}), 0).gan
    data = {"images": torch.zeros(8, 1, 8, 8)}
    loss = gan.loss("critic", gan.draw("critic", 8, data, torch.Generator()).map(lambda x: x.double())).total()
    found = torch.autograd.grad(loss, list(gan.players["generator"].parameters()), allow_unused=True)
    assert set(found) == {None}


def test_looking_ahead_leaves_the_critic_as_it_was() -> None:
    run, plain = (trainer(free({"critic_norm": "batch", "unrolled": k}), 0) for k in (4, 0))
    assert not [name for name in plain.draw("generator").draws if name.startswith("unrolled")]
    for one in (run, plain):
        before = parameters(one, "critic")
        one.gan.loss("generator", one.draw("generator"))
        assert all(map(torch.equal, before, parameters(one, "critic")))


def test_generators_of_a_stack_look_ahead_as_alone() -> None:
    losses: list[dict[str, Any]] = [{"loss": "hinge"}, {"loss": "non_saturating", "label_noise": 0.1}, {}]
    rates = (0.001, 0.02, 0.01)
    more = {"learning_rate": 1e-3, "critic_steps": 1, "unrolled": 2, "critic_constraint": "spectral_norm"}
    check_equal([free({**more, "unrolled_rate": r, **loss}) for r, loss in zip(rates, losses, strict=True)], 3)


def test_no_stack_looks_ahead_through_batch_norm() -> None:
    """`vmap` loses a part of the second derivative by its gain: here torch says whether it still does."""

    def gain_gradient(x: Tensor) -> Tensor:
        gain = torch.func.grad(lambda w: torch.nn.functional.batch_norm(x, None, None, w, None, True).pow(3).sum())
        return gain(torch.ones(2, dtype=x.dtype)).sum()

    x = torch.randn(1, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (alone,) = torch.autograd.grad(gain_gradient(x[0]), x)
    (stacked,) = torch.autograd.grad(torch.func.vmap(gain_gradient)(x).sum(), x)
    assert not torch.allclose(alone, stacked)
    for norm, fits in (("batch", False), ("layer", True)):
        genes = GENES.complete({"unrolled": 1, "critic_norm": norm})
        assert (shape(genes) is not None) == fits


# --- Jacobian clamping


def test_jacobian_clamping_is_its_formula() -> None:
    """Of a generator that is a matrix: Q is the length of the image of the direction."""
    rng = torch.Generator().manual_seed(0)
    matrix, z, d = (torch.randn(*n, dtype=torch.float64, generator=rng) for n in ((5, 12), (40, 5), (40, 5)))
    other = moved(z, d)
    torch.testing.assert_close((other - z).norm(dim=1), torch.ones(40, dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.cross((other - z)[:, :3], d[:, :3]).abs().max(), torch.zeros(()).double())
    q = ((d / d.norm(dim=1, keepdim=True)) @ matrix).norm(dim=1)
    low, high = float(q.quantile(0.3)), float(q.quantile(0.8))
    expected = sum((max(x, high) - high) ** 2 + (min(x, low) - low) ** 2 for x in q.tolist()) / 40
    images = [(x @ matrix).view(40, 3, 2, 2) for x in (z, other)]
    assert float(jacobian_clamping(*images, low, high)) == pytest.approx(expected, rel=1e-9)
    assert float(jacobian_clamping(images[0], images[0], 1.0, 20.0)) == pytest.approx(1, rel=1e-5)


def test_a_generator_is_clamped_alone_and_in_a_stack() -> None:
    genes: dict[str, Any] = {"jacobian_clamping": True, "jacobian_weight": 0.5, "jacobian_high": 10.0}
    run = trainer(free(genes), 0)
    batch, gan = run.draw("generator"), run.gan
    z, (d,) = batch.draws["latent"][0], batch.draws["direction"]
    assert d.shape == z.shape and d.std() == pytest.approx(1, abs=0.3)
    generate = gan.players["generator"]
    q = (generate(z) - generate(z + d / d.norm(dim=1, keepdim=True))).flatten(1).norm(dim=1)
    expected = 0.5 * ((q - 10).clamp(min=0) ** 2 + (1 - q).clamp(min=0) ** 2).mean()
    torch.testing.assert_close(gan.loss("generator", batch).terms["jacobian"], expected)
    others = [{**genes, "jacobian_low": low, "jacobian_weight": weight} for low, weight in ((5.0, 0.1), (0.1, 1.0))]
    check_equal([free({"learning_rate": 1e-3, **more}) for more in (genes, *others)], 6)


# --- E-GAN


def evolving_gan(gamma: float = 0.01, **more: Any) -> dict[str, Any]:
    genes = {"loss": "minimax", "critic_steps": 1, "learning_rate": 0.02, "generator_norm": "batch"}
    return free(genes | more) | {"evolution": True, "evolution_gamma": gamma}


CHILDREN: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda f: torch.log(1 - torch.sigmoid(f)),
    lambda f: -torch.log(torch.sigmoid(f)),
    lambda f: (torch.sigmoid(f) - 1).square(),
)


def child_by_hand(genome: dict[str, Any], parent: bytes, loss: Callable[[Tensor], Tensor]) -> tuple[Trainer, float]:
    """A step of the parent's optimiser away, and its fitness."""
    child = trainer(genome, 0)
    child.restore(State.unpack(parent))
    gan, batch = child.gan, child.block("generator")
    critic, generator = gan.players["critic"], gan.players["generator"]
    f = critic(generator(*batch.draws["latent"]), batch.draws["fake"]).score
    weights = list(generator.parameters())
    for parameter, gradient in zip(weights, torch.autograd.grad(loss(f).mean(), weights), strict=True):
        parameter.grad = gradient
    child.optimizers["generator"].step()
    with torch.no_grad():
        fake = generator(*batch.draws["fitness latent"])
    r = critic(batch.data["images"], batch.draws["fitness real"]).score
    f = critic(fake, batch.draws["fitness fake"]).score
    entropy = -(torch.log(torch.sigmoid(r)).mean() + torch.log(1 - torch.sigmoid(f)).mean())
    norm = torch.cat([g.flatten() for g in torch.autograd.grad(entropy, list(critic.parameters()))]).norm()
    return child, float(torch.sigmoid(f.detach()).mean() - genome["evolution_gamma"] * norm.log())


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
@pytest.mark.parametrize("gamma", [0.0, 10.0])
def test_the_fittest_child_of_a_step_lives_on(optimizer: str, gamma: float) -> None:
    genome = evolving_gan(gamma, generator_optimizer=optimizer)
    evolved = trainer(genome, 0)
    for _ in range(3):  # later there are moments
        parent = evolved.state().pack()
        children = [child_by_hand(genome, parent, loss) for loss in CHILDREN]
        fitness = [fit for _, fit in children]
        best = fitness.index(max(fitness))
        assert max(fitness) - sorted(fitness)[1] > 1e-9  # else this says nothing
        evolved.step("generator")
        fittest, _ = children[best]
        for pair in zip(parameters(evolved, "generator"), parameters(fittest, "generator"), strict=True):
            torch.testing.assert_close(*pair, rtol=1e-6, atol=1e-8)
        states = [run.optimizers["generator"].state.values() for run in (evolved, fittest)]
        for ours, theirs in zip(*states, strict=True):
            assert ours.keys() == theirs.keys()
            for name, moment in ours.items():
                if moment is not None:
                    torch.testing.assert_close(moment, theirs[name], rtol=1e-5, atol=1e-8)
        told = evolved.losses()
        assert [told[f"survives_{name}"] for name in MUTATIONS] == [float(i == best) for i in range(3)]
        evolved.step("critic")


def test_a_child_that_is_no_number_is_the_least_fit() -> None:
    network = torch.nn.Module()
    network.weight = torch.nn.Parameter(torch.zeros(()))
    weight, optimizer = network.weight, torch.optim.SGD(network.parameters())
    steps = {"a": 1.0, "b": 2.0, "c": 3.0}

    def descend(name: str) -> Losses:
        assert float(weight.detach()) == 0  # the parent's
        weight.data.fill_(steps[name])
        return Losses({"generator": torch.tensor(steps[name])})

    nan, inf = float("nan"), float("inf")
    for values, best in (([nan, 0.1, inf], "b"), ([nan, nan, nan], "a"), ([0.3, 0.1, 0.5], "c")):
        weight.data.zero_()
        losses = survivor([*steps], descend, iter(values).__next__, network, optimizer)
        assert float(weight.detach()) == steps[best] == float(losses.terms["generator"])
        assert [name for name, lives in losses.watched.items() if lives] == [f"survives_{best}"]


def test_an_evolving_training_goes_on_as_if_not_stopped_and_costs_more() -> None:
    genome = evolving_gan()
    straight, stopped, resumed = (trainer(genome, 0) for _ in range(3))
    straight.run_to(6)
    stopped.run_to(3)
    resumed.restore(State.unpack(stopped.state().pack()))
    resumed.run_to(6)
    for player in PLAYERS:
        assert all(map(torch.equal, parameters(straight, player), parameters(resumed, player)))
    means = straight.losses()
    assert sum(means[f"survives_{name}"] for name in MUTATIONS) == pytest.approx(1)
    plain = {name: value for name, value in genome.items() if not name.startswith("evolution")}
    ours, theirs = (flops_per_step(genes, image_fields(8, 1)) for genes in (genome, plain))
    assert ours["critic"] == theirs["critic"]
    assert ours["generator"] > 3 * theirs["generator"]
    assert shape(GENES.complete(genome)) is None
