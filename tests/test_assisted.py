"""The model behind `assisted` against mathematics and scikit-learn's; what it makes of noise, failures, choices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import boxcox, boxcox_llf, spearmanr
from threadpoolctl import threadpool_info

from evogan import search
from evogan.genome import Gene, Genome
from evogan.space import Space, load_space
from evogan.strategies import Fitness, make_strategy
from evogan.strategies.assisted import POWERS, AssistedEvolution, improvement, level, normal, spread
from evogan.strategies.gaussian_process import (
    Array,
    GaussianProcess,
    Results,
    squared_differences,
    squared_distances,
)
from tests.conftest import mixed_space
from tests.test_space import penalised


@pytest.fixture(scope="module")
def model() -> GaussianProcess:
    rng = np.random.default_rng(0)
    x = rng.random((30, 4))
    x[:, 3] = rng.integers(3, size=30) / 3
    y = np.sin(5 * x[:, 0]) + x[:, 1] ** 2 + (x[:, 3] == 0) + 0.1 * rng.normal(size=30)
    rung = np.repeat([0, 1, 2], [20, 7, 3])
    training = np.concatenate([np.arange(20), np.arange(7), np.arange(3)])
    x = x[training]
    return GaussianProcess(Results(x, y, rung, training), np.array([False, False, False, True]))


def test_gradient_is_that_of_the_density(model: GaussianProcess) -> None:
    rng = np.random.default_rng(1)
    d2 = squared_differences(model._results.x, model._results.x, model._choice)
    for _ in range(3):
        at = model._prior[0] + rng.normal(size=8)
        error = check_grad(lambda h: model._loss(h, d2)[0], lambda h: model._loss(h, d2)[1], at)
        assert error < 1e-4 * np.linalg.norm(model._loss(at, d2)[1]) + 1e-4


def test_distances_are_the_weighted_sums_of_differences() -> None:
    rng = np.random.default_rng(3)
    a, b = (np.round(rng.random((n, 4)) * 3) / 3 for n in (7, 5))
    for choice in ([False] * 4, [True] * 4, [False, True, False, True]):
        weights, marked = rng.random(4), np.array(choice)
        expected = np.tensordot(weights, squared_differences(a, b, marked), 1)
        assert np.allclose(squared_distances(a, b, marked, weights), expected)


def test_predictions_are_those_of_scikit_learn(model: GaussianProcess) -> None:
    """On numbers alone, with the hyperparameters found here."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    rng = np.random.default_rng(2)
    x, y, new = rng.random((25, 3)), rng.normal(size=25), rng.random((40, 3))
    mine = GaussianProcess(Results.of(x, y), np.zeros(3, dtype=bool))
    *lengths, scale, noise = np.exp(mine.hyperparameters[:-2])
    kernel = ConstantKernel(scale) * Matern(lengths, nu=2.5)
    theirs = GaussianProcessRegressor(kernel + WhiteKernel(noise + 1e-8), optimizer=None, normalize_y=True).fit(x, y)
    mean, deviation = theirs.predict(new, return_std=True)
    noisy = np.sqrt(mine.predict(new)[1] ** 2 + (noise + 1e-8) * y.var())
    assert mine.predict(new)[0] == pytest.approx(mean, abs=1e-8)
    assert noisy == pytest.approx(deviation, rel=1e-6)


def test_a_choice_has_no_order(model: GaussianProcess) -> None:
    """Naming the values of a choice in another order changes nothing."""
    rng = np.random.default_rng(3)
    x, y = rng.random((20, 2)), rng.normal(size=20)
    x[:, 1] = rng.integers(3, size=20)
    swapped = x.copy()
    swapped[:, 1] = np.array([2, 0, 1])[x[:, 1].astype(int)]
    choice = np.array([False, True])
    one, two = GaussianProcess(Results.of(x, y), choice), GaussianProcess(Results.of(swapped, y), choice)
    assert one.predict(x)[0] == pytest.approx(two.predict(swapped)[0], abs=1e-6)


def test_believing_its_own_predictions_keeps_the_mean_and_lowers_the_doubt(model: GaussianProcess) -> None:
    rng = np.random.default_rng(4)
    new = rng.random((5, 4))
    believer = model.believing(new, np.zeros(5, dtype=int))
    assert believer.predict(new)[0] == pytest.approx(model.predict(new)[0], abs=1e-6)
    assert (believer.predict(new)[1] < model.predict(new)[1]).all()


def test_noise_is_told_from_shape() -> None:
    """Many noisy values of a line: the mean is the line, not the values."""
    rng = np.random.default_rng(5)
    x = np.linspace(0, 1, 60)[:, None]
    y = 2 * x[:, 0] + 0.3 * rng.normal(size=60)
    found = GaussianProcess(Results.of(x, y), np.array([False]))
    assert np.abs(found.predict(x)[0] - 2 * x[:, 0]).max() < 0.3
    assert 0.15 < math.sqrt(math.exp(found.hyperparameters[-3])) * y.std() < 0.45


def test_expected_improvement_is_an_expectation() -> None:
    rng = np.random.default_rng(6)
    for mean, deviation, best in [(0.0, 1.0, 0.3), (1.0, 0.5, 0.2), (-1.0, 2.0, 0.0)]:
        drawn = np.maximum(best - rng.normal(mean, deviation, 400_000), 0).mean()
        assert improvement(np.array([mean]), np.array([deviation]), best)[0] == pytest.approx(drawn, rel=0.02)


def test_models_have_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    fit = GaussianProcess._fitted

    def looking(self: GaussianProcess, start: Array | None) -> Array:
        seen.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return fit(self, start)

    monkeypatch.setattr(GaussianProcess, "_fitted", looking)
    strategy = AssistedEvolution(mixed_space(), 0)
    for _ in range(12):
        proposal = strategy.ask()
        assert proposal is not None
        strategy.tell(proposal, Fitness(False, bowl(proposal.vector)))
    assert seen and set(seen) == {1}


def test_the_model_is_fitted_anew_however_many_results_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evogan.strategies.assisted.MOST", 20)
    strategy = AssistedEvolution(mixed_space(), 0)
    starts = []
    for _ in range(60):
        proposal = strategy.ask()
        assert proposal is not None
        strategy.tell(proposal, Fitness(False, bowl(proposal.vector)))
        starts.append(id(strategy._start))
    assert 2 <= len(set(starts[40:])) < 20  # ids of arrays that are held, one after the other


@pytest.mark.parametrize(
    "space",
    [mixed_space(), load_space("wdcgan_wide"), penalised(), load_space("kurach")],
    ids=["mixed", "wdcgan_wide", "penalised", "kurach"],
)
def test_points_of_one_genome_are_one(space: Space) -> None:
    strategy = AssistedEvolution(space, 0)
    rng = np.random.default_rng(8)
    vectors = [list(rng.random(space.dimension)) for _ in range(100)]
    cells = strategy._settled(vectors)
    genomes = [space.decode(vector) for vector in vectors]
    assert len(set(cells)) == len(set(genomes))
    for cell, genome in zip(cells, genomes, strict=True):
        assert cell == strategy._settled([space.encode(genome)])[0]


def test_what_conflicts_is_not_proposed_again_and_again() -> None:
    """Where a conflict is what the model would like best: what is told is the genome that was made of it."""
    space, asked = penalised(), list[Genome]()
    wanted = {"critic_norm": "batch", "gradient_penalty": "two_sided", "zero_penalty": "none"}
    strategy = AssistedEvolution(space, 0, initial=4)
    for _ in range(24):
        proposal = strategy.ask()
        assert proposal is not None
        assert space.repaired(proposal.vector) == proposal.vector
        asked.append(space.decode(proposal.vector))
        strategy.tell(
            proposal, Fitness(False, 1.0 + sum(asked[-1].get(gene) != value for gene, value in wanted.items()))
        )
    assert len(set(asked)) >= min(space.size, 24) - 1


def run(strategy: AssistedEvolution, n: int, noise: float = 0.0, fail: float = 0.0) -> list[tuple[float, ...]]:
    rng = np.random.default_rng(9)
    vectors = []
    for _ in range(n):
        proposal = strategy.ask()
        assert proposal is not None
        value = bowl(proposal.vector) + noise * rng.normal()
        strategy.tell(proposal, Fitness(rng.random() < fail, value))
        vectors.append(proposal.vector)
    return vectors


def bowl(vector: tuple[float, ...]) -> float:
    return float(sum((u - 0.7) ** 2 for u in vector))


FLOATS = Space("floats", [Gene(name=f"x{i}", kind="float", low=0.0, high=1.0, levels=1001) for i in range(6)])


def test_it_finds_more_than_random_search_does() -> None:
    found, blind = [], []
    for seed in range(3):
        found.append(min(map(bowl, run(AssistedEvolution(FLOATS, seed), 40, fail=0.1))))
        rng = np.random.default_rng(seed)
        blind.append(min(bowl(rng.random(6)) for _ in range(400)))
    assert np.median(found) < 0.3 * np.median(blind)


def test_its_estimate_is_nearer_to_the_truth_than_what_it_was_told() -> None:
    best_believed, best_told = [], []
    for seed in range(4):
        strategy = AssistedEvolution(FLOATS, seed)
        vectors = run(strategy, 60, noise=0.2)
        truth = np.array([bowl(vector) for vector in vectors])
        told = np.array([fitness.value for fitness in strategy._rungs[0].values()])
        believed = strategy.estimate(vectors)
        assert np.corrcoef(believed, truth)[0, 1] > np.corrcoef(told, truth)[0, 1]
        best_believed.append(truth[np.argmin(believed)])
        best_told.append(truth[np.argmin(told)])
    assert np.mean(best_believed) <= np.mean(best_told) + 0.02


def test_a_model_of_a_part_has_the_best_and_remembers_the_bad() -> None:
    ranked = [((k,), Fitness(False, float(k))) for k in range(1000)]
    kept = [cells[0] for cells, _ in spread(ranked, 100)]
    assert len(set(kept)) == 100 and kept[:50] == list(range(50)) and kept[-1] == 999
    assert max(np.diff(kept)) < 25
    assert spread(ranked[:100], 100) == ranked[:100]


def test_one_catastrophe_does_not_hide_the_shape_of_the_rest() -> None:
    """A value of 10^9 among those of 0 to 3."""
    strategy = AssistedEvolution(FLOATS, 0)
    vectors = run(strategy, 12)
    proposal = strategy.ask()
    assert proposal is not None
    strategy.tell(proposal, Fitness(False, 1e9))
    vectors += run(strategy, 30)
    believed = strategy.estimate(vectors)
    assert believed is not None
    assert spearmanr(believed, [bowl(vector) for vector in vectors]).statistic > 0.9


def test_positive_fitness_is_taken_to_the_power_of_the_largest_likelihood() -> None:
    """SciPy's, which is that of Box and Cox; of the same power the values differ by scale and shift alone."""
    rng = np.random.default_rng(11)
    for values in (np.exp(rng.normal(5, 2, 40)), rng.normal(20, 1, 40) ** 2, 900 - np.exp(rng.normal(5, 0.5, 40))):
        likely = max(POWERS, key=lambda power: boxcox_llf(power, values))
        assert np.corrcoef(normal(values), boxcox(values, likely))[0, 1] == pytest.approx(1)
    far = normal(np.array([5e-324, 1e-200, 1.0, 1e100, 1e102]))
    assert np.isfinite(far).all() and (np.diff(far) >= 0).all()
    values = np.array([-3.0, 0.0, 8.0])
    assert np.corrcoef(normal(values), values)[0, 1] == pytest.approx(1)


def test_asking_for_an_estimate_changes_nothing() -> None:
    quiet, asked = AssistedEvolution(FLOATS, 3), AssistedEvolution(FLOATS, 3)
    vectors = run(quiet, 16)
    run(asked, 15)
    asked.estimate(vectors)
    proposal = asked.ask()
    assert proposal is not None and proposal.vector == vectors[15]


def test_what_is_being_trained_is_not_proposed_again() -> None:
    strategy = make_strategy("assisted", mixed_space(), 0)
    run(strategy, 12)  # type: ignore[arg-type]
    out = [strategy.ask() for _ in range(6)]
    genomes = {mixed_space().decode(proposal.vector) for proposal in out if proposal}
    assert len(genomes) == 6


def test_higher_rungs_are_levelled_by_what_the_same_trainings_gained() -> None:
    """Only the best are promoted: the plain means of two rungs would say that training longer helps twice as much."""
    y = np.array([10.0, 20.0, 30.0, 8.0, 18.0])
    results = Results(np.zeros((5, 1)), y, np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1]))
    assert level(results).y.tolist() == [10.0, 20.0, 30.0, 10.0, 20.0]


def test_low_fidelities_teach_about_high_ones() -> None:
    rng = np.random.default_rng(10)
    x = rng.random((40, 2))
    y = np.sin(4 * x[:, 0]) + x[:, 1]
    rung, training = np.array([0] * 40 + [1] * 5), np.array([*range(40), *range(5)])
    both = Results(np.concatenate([x, x[:5]]), np.concatenate([y, y[:5]]), rung, training)
    new = rng.random((50, 2))
    truth = np.sin(4 * new[:, 0]) + new[:, 1]
    choice = np.array([False, False])
    informed = GaussianProcess(both, choice).predict(new, 1)[0]
    ignorant = GaussianProcess(Results.of(x[:5], y[:5]), choice).predict(new)[0]
    assert np.abs(informed - truth).mean() < 0.3 * np.abs(ignorant - truth).mean()


def test_one_in_eta_goes_on_and_it_is_the_one_believed_best() -> None:
    strategy = AssistedEvolution(FLOATS, 0, initial=6, fidelities=(0.25, 1.0), eta=3)
    seen: dict[tuple[float, ...], float] = {}
    for _ in range(60):
        proposal = strategy.ask()
        assert proposal is not None
        if proposal.fidelity == 1.0:
            assert proposal.vector in seen, "only what was begun goes on"
            assert seen.pop(proposal.vector) <= np.median([*seen.values(), math.inf])
        else:
            seen[proposal.vector] = bowl(proposal.vector)
        strategy.tell(proposal, Fitness(False, bowl(proposal.vector)))
    low, high = map(len, strategy._rungs)
    assert low // 3 - 1 <= high <= low // 3


# --- failures, and offsets, of full trainings


UNIT = Space("unit", [Gene(name=name, kind="float", low=0.0, high=1.0) for name in "xyz"])


@pytest.mark.parametrize("seed", range(2))
def test_it_learns_where_a_training_fails_in_full_alone(seed: int) -> None:
    def dear(genes: Genome, fidelity: float) -> float:
        if fidelity == 1 and genes["x"] < 0.5:
            raise MemoryError
        return 1 + genes["x"] + (genes["y"] - 0.3) ** 2 + (genes["z"] - 0.6) ** 2

    run = search(UNIT, objective=dear, evaluations=40, workers=1, seed=seed, learn_from=("none",))
    full = [told for told in run.history if told.fidelity == 1]
    assert run.best is not None and run.best.fidelity == 1 and run.best.value < 1.8
    assert sum(told.value is None for told in full) <= len(full) / 2


@pytest.mark.parametrize(("fidelities", "seed"), [((0.25, 0.5, 1.0), 0), ((0.25, 0.5, 1.0), 1), ((0.25, 1.0), 1)])
def test_failures_that_are_nobodys_fault_do_not_end_promotion(fidelities: tuple[float, ...], seed: int) -> None:
    """As on a busy machine: most full trainings fail, wherever they lie."""
    rng, strategy = np.random.default_rng(seed), make_strategy("assisted", UNIT, seed, {"fidelities": fidelities})
    full = 0
    for _ in range(100):
        proposal = strategy.ask()
        assert proposal is not None
        failed = proposal.fidelity == 1 and rng.random() < 0.65
        full += proposal.fidelity == 1
        strategy.tell(proposal, Fitness(failed, 1 + sum(proposal.vector)))
    assert full >= (10 if len(fidelities) == 2 else 2)  # of 20 and 4 that would be due


def test_what_is_larger_in_full_is_learned_as_well() -> None:
    """The same order within every rung, and an offset between them that is beyond the fence of the lowest."""

    def of(offset: float) -> float:
        def bowl(genes: Genome, fidelity: float) -> float:
            centre = 0.3 if fidelity < 1 else 0.7
            return 1 + offset * fidelity + sum((genes[name] - centre) ** 2 for name in "xyz")

        runs = [search(UNIT, objective=bowl, evaluations=30, workers=1, seed=s, learn_from=("none",)) for s in range(3)]
        return max(min(told.value for told in run.history if told.fidelity == 1) for run in runs) - 1 - offset

    assert of(0.0) < 0.05 and of(10.0) < 0.15


def test_what_alone_completes_goes_on() -> None:
    one = Space("one", [Gene(name="x", kind="choice", values=("a",))])
    run = search(one, objective=lambda genes, fidelity: 1 / fidelity, evaluations=20, workers=1)
    assert run.best is not None and run.best.fidelity == 1

    def fits(genes: Genome, fidelity: float) -> float:
        if genes["x"] > 0.05:
            raise ValueError("does not fit")
        return 1 / fidelity

    seeds = [{"x": 0.0, "y": 0.0, "z": 0.0}]
    run = search(UNIT, objective=fits, evaluations=12, workers=1, seed_genomes=seeds, learn_from=("none",))
    assert run.best is not None and run.best.fidelity == 1
