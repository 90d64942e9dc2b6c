"""Optuna's samplers as our strategies, and our strategies as Optuna samplers."""

from __future__ import annotations

import copy
import doctest
import logging
import math
import pickle
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from optuna.trial import TrialState

import evogan.optuna
from evogan.errors import UserError
from evogan.genome import Gene
from evogan.optuna import EvoSampler
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies import (
    MODEL_BASED,
    STRATEGIES,
    Fitness,
    Point,
    Proposal,
    Strategy,
    make_strategy,
    strategy_options,
)
from evogan.strategies.assisted import AssistedEvolution
from evogan.strategies.from_optuna import FromOptuna
from tests.conftest import mixed_space, score
from tests.test_strategies import MODEL_FREE, OBJECTIVES, crossed, drive

NAMES = sorted(MODEL_BASED)
ADAPTED = [name for name in NAMES if issubclass(STRATEGIES[name].make, FromOptuna)]
FAST = {"gp": {"n_startup_trials": 3}, "tpe": {"n_startup_trials": 4}, "optuna-nsga2": {"population_size": 6}}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
    optuna.logging.set_verbosity(level)


def make(name: str, space: Space, seed: int = 0) -> Strategy:
    """With so few random trials that 20 asks reach the model."""
    return make_strategy(name, space, seed, FAST.get(name))


def trials(strategy: Strategy) -> list[optuna.trial.FrozenTrial]:
    assert isinstance(strategy, FromOptuna)
    return strategy._study.trials


# --- Optuna's samplers as strategies -----------------------------------------------------------------------------


@crossed(NAMES)
def test_the_contract_for_20_asks_with_results_pending(
    name: str, space: Space, objective: Callable[..., Fitness]
) -> None:
    """In the cube, numbered, the same with the same seed. That global random state stays is tested everywhere."""
    n = 7 if name == "gp" else 20
    asked = drive(make(name, space), objective, n)
    assert [proposal.number for proposal in asked] == list(range(n))
    for proposal in asked:
        assert len(proposal.vector) == space.dimension
        assert all(type(u) is float and 0 <= u <= 1 for u in proposal.vector)
        assert proposal.fidelity == 1
        active = space.decode(proposal.vector)
        assert all(u == 0.5 for gene, u in zip(space.genes, proposal.vector, strict=True) if gene.name not in active)
    assert drive(make(name, space), objective, n) == asked
    if space.size > 1:
        assert drive(make(name, space, 1), objective, n) != asked


@pytest.mark.parametrize("name", NAMES)
def test_a_replayed_history_goes_on_as_the_run_would_have(name: str) -> None:
    space = mixed_space()

    def objective(number: int, vector: tuple[float, ...]) -> Fitness:
        return Fitness(number % 5 == 4, 9.0 if number % 5 == 4 else score(space.decode(vector)))

    whole = drive(make(name, space), objective, 12)
    again, told = make(name, space), 0
    for recorded in whole[:9]:  # as the engine resumes: the recorded asks and tells in their order
        for proposal in whole[told : max(recorded.number - 3, 0)]:
            again.tell(proposal, objective(proposal.number, proposal.vector))
            told += 1
        assert again.ask() == recorded
    for recorded in whole[9:]:
        proposal = whole[told]
        again.tell(proposal, objective(proposal.number, proposal.vector))
        told += 1
        assert again.ask() == recorded


@pytest.mark.parametrize("name", NAMES)
def test_two_strategies_side_by_side_do_not_touch_each_other(name: str) -> None:
    space = mixed_space()
    alone = drive(make(name, space, 5), OBJECTIVES["well-behaved"], 8, window=1)
    one, two = make(name, space, 5), make(name, space, 6)
    for expected in alone:
        for strategy in (one, two):
            proposal = strategy.ask()
            assert proposal is not None
            assert strategy is two or proposal == expected
            strategy.tell(proposal, OBJECTIVES["well-behaved"](proposal.number, proposal.vector))


@pytest.mark.parametrize("name", ADAPTED)
def test_only_active_genes_are_suggested_and_values_are_the_ones_judged(name: str) -> None:
    space = mixed_space()
    strategy = make(name, space)
    asked = drive(strategy, OBJECTIVES["well-behaved"], 12)
    for proposal, trial in zip(asked, trials(strategy), strict=True):
        genome = space.decode(proposal.vector)
        assert set(trial.params) == set(genome)
        levels = {gene.name: gene.grid for gene in space.genes}
        assert {name: levels[name][at] for name, at in trial.params.items()} == dict(genome)


def test_numbers_keep_their_scale_and_choices_have_no_order() -> None:
    space = Space(
        "s",
        [
            Gene(name="log_float", kind="float", low=1e-4, high=1.0, scale="log", levels=21),
            Gene(name="log_int", kind="int", low=2, high=64, scale="log"),
            Gene(name="few_ints", kind="int", low=16, high=128, scale="log", levels=4),
            Gene(name="choice", kind="choice", values=(True, 1, "x")),
        ],
    )
    strategy = make_strategy("tpe", space, 0)
    drive(strategy, OBJECTIVES["constant"], 1)
    assert trials(strategy)[0].distributions == {
        "log_float": IntDistribution(0, 20),
        "log_int": FloatDistribution(0, 1),
        "few_ints": IntDistribution(0, 3),
        "choice": CategoricalDistribution((0, 1, 2)),
    }
    proposal = strategy.ask()
    assert proposal is not None
    assert space.decode(proposal.vector)["log_int"] == space.genes[1].level(trials(strategy)[1].params["log_int"])


@pytest.mark.parametrize("name", ADAPTED)
def test_a_moved_proposal_is_told_as_what_was_judged(name: str) -> None:
    """The asked trial counts for nothing, the judged genome is there with its value, active genes only."""
    space = mixed_space()
    strategy = make(name, space)
    for _ in range(6 if name == "gp" else 15):
        proposal = strategy.ask()
        assert proposal is not None
        moved = Proposal(proposal.number, tuple(1 - u for u in proposal.vector))
        genome = space.decode(moved.vector)
        before = len(trials(strategy))
        strategy.tell(moved, Fitness(False, score(genome)))
        *_, last = trials(strategy)
        assert last.state == TrialState.COMPLETE
        assert last.value == score(genome)
        assert set(last.params) == set(genome)
        assert genome["width"] == last.params["width"] + 1
        if genome != space.decode(proposal.vector):
            assert len(trials(strategy)) == before + 1
            assert trials(strategy)[-2].state == TrialState.FAIL
    generations = [value for t in trials(strategy) for key, value in t.system_attrs.items() if "generation" in key]
    if name in ("optuna-cma-es", "optuna-nsga2"):
        assert max(generations) >= 1  # moved ones complete a generation


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "options", "sampler"),
    [
        ("tpe", {"n_startup_trials": 4}, optuna.samplers.TPESampler),
        ("gp", {"n_startup_trials": 5}, optuna.samplers.GPSampler),
        ("optuna-nsga2", {"population_size": 4}, optuna.samplers.NSGAIISampler),
    ],
)
def test_it_proposes_what_optuna_alone_would(
    name: str, options: dict[str, int], sampler: Callable[..., BaseSampler], objectives: int
) -> None:
    """Given the same values, of one objective or several, and the same failures."""
    space = mixed_space()

    def values(genome: Mapping[str, Any]) -> list[float]:
        return [score(genome), float(genome["width"]), float(genome["kind"] == "a")][:objectives]

    alone = optuna.create_study(
        directions=["minimize"] * objectives, sampler=sampler(seed=derive_seed(3, "optuna") % 2**32, **options)
    )
    strategy = make_strategy(name, space, 3, options, objectives=objectives)
    for number in range(7 if name == "gp" else 16):
        proposal = strategy.ask()
        assert proposal is not None
        trial = alone.ask()
        suggested: dict[str, Any] = {}
        for gene in space.parents_first:
            if gene.name == "depth" and suggested["kind"] == "a":
                continue
            count = len(gene.grid)
            if gene.kind == "choice":
                level = trial.suggest_categorical(gene.name, range(count))
            else:
                level = trial.suggest_int(gene.name, 0, count - 1)
            suggested[gene.name] = gene.grid[level]
        assert dict(space.decode(proposal.vector)) == suggested
        found = values(space.decode(proposal.vector))
        strategy.tell(proposal, Fitness(number % 5 == 2, found[0], others=tuple(found[1:])))
        alone.tell(trial, **({"state": TrialState.FAIL} if number % 5 == 2 else {"values": found}))
    if objectives > 1:
        front = {tuple(trial.values) for trial in alone.best_trials}
        assert isinstance(strategy, FromOptuna) and {tuple(t.values) for t in strategy._study.best_trials} == front


@pytest.mark.parametrize("name", ADAPTED)
def test_failures_are_told_as_failed_trials_whatever_their_value(name: str) -> None:
    space = mixed_space()
    strategy = make(name, space)
    drive(strategy, OBJECTIVES["some failed"], 9, window=1)
    states = [trial.state for trial in trials(strategy)][:8]
    assert states == [TrialState.FAIL if i % 3 == 0 else TrialState.COMPLETE for i in range(8)]
    assert trials(strategy)[0].value is None


@pytest.mark.parametrize(("name", "evaluations"), [("tpe", 25), ("gp", 12)])  # what gp learns from is fitted each time
def test_the_models_learn(name: str, evaluations: int) -> None:
    """Over 3 seeds the median best is better than random search's."""
    space, best = mixed_space(), {}
    for each in (name, "random"):
        found = []
        for seed in range(3):
            asked = drive(
                make_strategy(each, space, seed),
                lambda number, vector: Fitness(False, score(space.decode(vector))),
                evaluations,
                window=1,
            )
            found.append(min(score(space.decode(proposal.vector)) for proposal in asked))
        best[each] = float(np.median(found))
    assert best[name] < best["random"]


def test_optuna_and_torch_are_not_imported_before_they_are_needed() -> None:
    code = (
        "import sys, evogan.strategies as s; from evogan.space import Space; from evogan.genome import Gene;"
        "assert not {'optuna', 'torch'} & set(sys.modules);"
        "space = Space('s', [Gene(name='x', kind='int', low=0, high=9)]);"
        "s.make_strategy('tpe', space, 0).ask(); assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_optunas_log_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    for name in ("tpe", "optuna-qmc", "optuna-nsga2"):
        drive(make(name, mixed_space()), OBJECTIVES["some failed"], 20)
    assert optuna.logging.get_verbosity() == logging.INFO
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tpe", {"n_startup_trials": 0}, "n_startup_trials must be at least 1, not 0"),
        ("tpe", {"seed": 3}, "unknown option of strategy 'tpe' 'seed'"),
        ("optuna-nsga2", {"population_size": 1}, "population_size must be at least 2, not 1"),
        ("optuna-nsga2", {"crossover_prob": 2.0}, r"crossover_prob must lie in \[0, 1\], not 2"),
        ("optuna-cma-es", {"popsize": 3}, "popsize must be at least 4, not 3"),
        ("optuna-qmc", {"qmc_type": "latin"}, "qmc_type must be 'sobol' or 'halton', not 'latin'"),
    ],
)
def test_wrong_options_get_one_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_strategy(name, mixed_space(), 0, options)


@pytest.mark.parametrize("name", NAMES)
def test_options_are_what_the_constructor_takes(name: str) -> None:
    make_strategy(name, mixed_space(), 0, strategy_options(name))


# --- our strategies as Optuna samplers ---------------------------------------------------------------------------


class TestConformance(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    """Optuna's own public tests of samplers."""

    @pytest.fixture(params=[n for n in MODEL_FREE if n in ("de", "ga", "random", "cma-es", "ga-steady")])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return lambda: EvoSampler(request.param, seed=0)


def test_auto_is_what_a_search_takes() -> None:
    assert str(EvoSampler("auto", seed=0)) == "EvoSampler(assisted)"


def bowl(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -5, 5)
    rate = trial.suggest_float("rate", 1e-5, 1.0, log=True)
    width = trial.suggest_int("width", 1, 64, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return x**2 + (math.log10(rate) + 2) ** 2 + (math.log(width) - 2) ** 2 + (kind == "b")


def params(study: optuna.Study) -> list[dict[str, object]]:
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", MODEL_FREE)
def test_every_strategy_drives_a_study_the_same_with_the_same_seed(name: str) -> None:
    studies = []
    for seed in (0, 0, 1):
        sampler = EvoSampler(name, seed=seed)
        study = optuna.create_study(sampler=sampler)
        study.optimize(bowl, n_trials=40)
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
        studies.append(study)
    assert params(studies[0]) == params(studies[1])
    assert params(studies[0]) != params(studies[2])


def test_it_learns_in_both_directions() -> None:
    best = {}
    for name in ("de", "random"):
        found = []
        for seed in range(7):
            study = optuna.create_study(direction="maximize", sampler=EvoSampler(name, seed=seed))
            study.optimize(lambda trial: -bowl(trial), n_trials=150)
            found.append(-study.best_value)
        best[name] = float(np.median(found))
    assert best["de"] < 0.5 * best["random"]


class Recorder(Strategy):
    """Proposes the middle, waits after `out` open proposals, and writes down what it is told."""

    def __init__(self, space: Space, seed: int, *, out: int = 3) -> None:
        super().__init__(space, seed)
        self.out = out
        self.told: list[tuple[Proposal, Fitness]] = []

    def _ask(self) -> Point | None:
        middle = Point([0.5] * self.space.dimension, "the middle")
        return None if self._asked - len(self.told) >= self.out else middle

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        self.told.append((proposal, fitness))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> EvoSampler:
    entry = STRATEGIES["random"]._replace(make=Recorder)
    monkeypatch.setitem(STRATEGIES, "recorder", entry)  # type: ignore[arg-type]
    return EvoSampler("recorder", seed=0)


def told(sampler: EvoSampler) -> list[tuple[Proposal, Fitness]]:
    assert isinstance(sampler._strategy, Recorder)
    return sampler._strategy.told


SPACE: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0), "y": IntDistribution(0, 9)}


def test_every_outcome_is_told_once(recorder: EvoSampler) -> None:
    study = optuna.create_study(sampler=recorder)
    outcomes: list[tuple[float | None, TrialState]] = [
        (3.0, TrialState.COMPLETE),
        (5.0, TrialState.COMPLETE),
        (None, TrialState.FAIL),
        (None, TrialState.PRUNED),
        (math.inf, TrialState.COMPLETE),
        (-math.inf, TrialState.COMPLETE),
    ]
    for value, state in outcomes:
        study.tell(study.ask(SPACE), value, state)
    study.ask(SPACE)
    assert [proposal.number for proposal, _ in told(recorder)] == list(range(6))
    assert [(fitness.failed, fitness.value) for _, fitness in told(recorder)] == [
        (False, 3.0), (False, 5.0), (True, 6.0), (True, 6.0), (True, 6.0), (False, 2.0),
    ]  # fmt: skip


def test_trials_of_others_are_learned_from_at_the_points_judged(recorder: EvoSampler) -> None:
    study = optuna.create_study(sampler=recorder)
    study.tell(study.ask(SPACE), 1.0)  # independent, as the space is not yet known
    study.add_trial(optuna.create_trial(params={"x": 0.25, "y": 9}, distributions=SPACE, value=2.0))
    study.enqueue_trial({"x": 0.75})
    study.tell(study.ask(SPACE), 3.0)
    study.add_trial(optuna.create_trial(params={"x": 0.1}, distributions={"x": SPACE["x"]}, value=4.0))
    study.ask({"x": SPACE["x"]})
    points = [proposal.vector for proposal, _ in told(recorder)]
    assert points[1:] == [(0.25,), (0.75,), (0.1,)]  # y is not shared any more
    assert [fitness.value for _, fitness in told(recorder)] == [1.0, 2.0, 3.0, 4.0]


def test_while_the_strategy_waits_trials_are_random_and_take_the_place_of_the_oldest(recorder: EvoSampler) -> None:
    study = optuna.create_study(sampler=recorder)
    study.tell(study.ask(SPACE), 1.0)
    asked = [study.ask(SPACE) for _ in range(5)]
    assert [trial.params["x"] == 0.5 for trial in asked] == [True, True, True, False, False]
    study.tell(asked[3], 2.0)
    study.ask(SPACE)
    assert told(recorder)[-1][0].number == 1
    assert told(recorder)[-1][0].vector[0] == pytest.approx(asked[3].params["x"])
    study.tell(asked[0], 3.0)  # its place is taken: it is learned from like another worker's
    study.ask(SPACE)
    assert sorted(fitness.value for _, fitness in told(recorder)) == [1.0, 2.0, 3.0]


def test_no_model_is_asked_for_the_trials_of_another_session(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    model = AssistedEvolution._model
    monkeypatch.setattr(AssistedEvolution, "_model", lambda self: asked.append(self) or model(self))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(bowl, n_trials=30)
    study.sampler = EvoSampler("assisted", seed=0)
    study.optimize(bowl, n_trials=2)
    assert len(asked) == 2
    known = study.sampler._strategy
    assert known is not None and len(known._rungs[0]) == 32


def test_threads_share_one_strategy() -> None:
    sampler = EvoSampler("ga", seed=0, population=8)
    study = optuna.create_study(sampler=sampler)
    study.optimize(bowl, n_trials=60, n_jobs=3)
    assert len(study.trials) == 60
    assert sampler._strategy is not None
    assert sampler._strategy._asked > 40


def test_workers_with_samplers_of_their_own_learn_from_each_other() -> None:
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="shared")
    workers = [
        optuna.load_study(study_name="shared", storage=storage, sampler=EvoSampler("de", seed=s)) for s in (0, 1)
    ]
    for _ in range(15):
        for study in workers:
            study.optimize(bowl, n_trials=1)
    asked = [trial.params for trial in workers[0].trials]
    assert all(params not in asked[:i] for i, params in enumerate(asked))
    for study in workers:
        assert isinstance(study.sampler, EvoSampler)
        assert len(study.sampler._told) >= 28


def test_a_study_that_is_loaded_again_goes_on_from_its_trials() -> None:
    study = optuna.create_study(sampler=EvoSampler("ga", seed=0, population=8))
    study.optimize(bowl, n_trials=80)
    before = study.best_value
    study.sampler = EvoSampler("ga", seed=1, population=8)
    study.optimize(bowl, n_trials=20)
    late = [trial.value for trial in study.trials[-20:] if trial.value is not None]
    early = [trial.value for trial in study.trials[:20] if trial.value is not None]
    assert np.median(late) < np.median(early)
    assert study.best_value <= before


@pytest.mark.parametrize("again", [copy.deepcopy, lambda study: pickle.loads(pickle.dumps(study))])
def test_a_copied_sampler_goes_on_and_a_reseeded_copy_goes_its_own_way(
    again: Callable[[optuna.Study], optuna.Study],
) -> None:
    study = optuna.create_study(sampler=EvoSampler("ga", seed=0, population=4))
    study.optimize(bowl, n_trials=10)
    one, two = again(study), again(study)
    two.sampler.reseed_rng()
    study.sampler.reseed_rng()  # the original keeps its strategy
    for each in (study, one, two):
        each.optimize(bowl, n_trials=10)
    assert params(one) == params(study)
    assert params(two) != params(study)


def test_pruners_and_conditional_parameters_go_together_with_it() -> None:
    def objective(trial: optuna.Trial) -> float:
        value = bowl(trial)
        if trial.suggest_categorical("deep", [True, False]):
            value += trial.suggest_float("depth", 0.0, 1.0)
        for step in range(5):
            trial.report(value + 5 - step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    for pruner in (optuna.pruners.MedianPruner(), optuna.pruners.HyperbandPruner(max_resource=5)):
        study = optuna.create_study(sampler=EvoSampler("de", seed=0), pruner=pruner)
        study.optimize(objective, n_trials=60)
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(-2.0, 7.0),
        FloatDistribution(1e-7, 10.0, log=True),
        FloatDistribution(-1.0, 1.0, step=0.25),
        FloatDistribution(1.0, 1.0000001),
        IntDistribution(-3, 12, step=5),
        IntDistribution(1, 100, log=True),
        CategoricalDistribution(("a", 1, 0.5, None)),
    ],
)
def test_values_and_coordinates_are_each_others_inverse(distribution: BaseDistribution) -> None:
    values = [evogan.optuna._value(distribution, u) for u in np.linspace(0, 1, 101).tolist()]
    for value in values:
        assert distribution._contains(distribution.to_internal_repr(value))
        again = evogan.optuna._value(distribution, evogan.optuna._unit(distribution, value))
        assert type(again) is type(value)
        assert again == (pytest.approx(value) if isinstance(value, float) else value)
    if not isinstance(distribution, FloatDistribution) or distribution.step:
        low, high = values[0], values[-1]
        assert values.count(low) >= 1 and values.count(high) >= 1
        assert len(set(map(repr, values))) > 1


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_whole_numbers_on_a_log_scale_are_spread_on_it(name: str) -> None:
    """As the same gene's are."""
    study = optuna.create_study(sampler=EvoSampler(name, seed=0))
    study.optimize(lambda trial: 0.0 * trial.suggest_int("n", 1, 1024, log=True), n_trials=100)
    assert 16 <= np.median([trial.params["n"] for trial in study.trials]) <= 64
    gene = Gene(name="n", kind="int", low=1, high=1024, scale="log")
    distribution = IntDistribution(1, 1024, log=True)
    for u in np.linspace(0.001, 1, 200).tolist():
        assert evogan.optuna._value(distribution, u) == gene.level(u)
        assert evogan.optuna._unit(distribution, gene.level(u)) == pytest.approx(
            (gene.cells.at(gene.nearest(gene.level(u)), 0.0) + gene.cells.at(gene.nearest(gene.level(u)), 1.0)) / 2
        )


@pytest.mark.parametrize(
    "distribution",
    [
        IntDistribution(-(2**62), 2**62),
        IntDistribution(1, 2**62, log=True),
        IntDistribution(0, 3 * 10**15, step=3),
        FloatDistribution(0.0, 1.0, step=1e-15),
        CategoricalDistribution((None, True, 0.5, 2, "a")),
    ],
    ids=str,
)
def test_what_optuna_allows_is_searched(distribution: BaseDistribution) -> None:
    study = optuna.create_study(sampler=EvoSampler("ga", seed=0, population=4))
    for value in range(12):
        trial = study.ask({"x": distribution})
        assert distribution._contains(distribution.to_internal_repr(trial.params["x"]))
        study.tell(trial, float(value))


def test_a_continuous_parameter_has_fine_places() -> None:
    """An evolution strategy's steps are no smaller than a place."""
    study = optuna.create_study(sampler=EvoSampler("es-plus", seed=1))
    study.optimize(lambda trial: sum((trial.suggest_float(x, -5, 5) - 1 / 3) ** 2 for x in "xy"), n_trials=500)
    assert study.best_value < 1e-8


def test_what_optuna_cannot_tell_apart_is_not_suggested() -> None:
    space = Space("s", [Gene(name="c", kind="choice", values=(1, True, "x"))])
    with pytest.raises(UserError, match="gene 'c': to Optuna true is 1"):
        evogan.optuna.suggest(optuna.create_study().ask(), space)


def test_ranges_that_change_are_left_to_chance() -> None:
    """The strategy searches what all trials share."""
    study = optuna.create_study(sampler=EvoSampler("ga", seed=0, population=4))
    study.optimize(lambda t: t.suggest_int("n", 1, 10 + t.number, log=True) + t.suggest_float("x", 0, 1), n_trials=12)
    assert isinstance(study.sampler, EvoSampler) and list(study.sampler._search_space) == ["x"]
    assert all(1 <= trial.params["n"] <= 10 + trial.number for trial in study.trials)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, math.nan, "x", True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(UserError, match="seed must be"):
        EvoSampler("ga", seed=seed)


def test_numpys_numbers_are_seeds_and_options() -> None:
    studies = [
        optuna.create_study(sampler=s)
        for s in (
            EvoSampler("ga", seed=np.int64(3), population=np.int32(4)),  # type: ignore[arg-type]
            EvoSampler("ga", seed=3, population=4),
        )
    ]
    for study in studies:
        study.optimize(bowl, n_trials=8)
    assert params(studies[0]) == params(studies[1])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gaa", {}, "unknown strategy 'gaa'"),
        ("ga", {"popultion": 3}, "did you mean 'population'"),
        ("ga", {"population": 1}, "population must be at least 2, not 1"),
    ],
)
def test_mistakes_are_named_when_the_sampler_is_built(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EvoSampler(name, **options)


def test_a_strategy_that_chooses_fidelities_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Low(Recorder):
        def ask(self) -> Proposal | None:
            return Proposal(0, (0.5,) * self.space.dimension, 0.25)

    monkeypatch.setitem(STRATEGIES, "low", STRATEGIES["random"]._replace(make=Low))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="'low' chooses fidelities"):
        EvoSampler("low")


def test_without_a_seed_every_sampler_is_another_one() -> None:
    before = random.getstate()
    studies = [optuna.create_study(sampler=EvoSampler("random")) for _ in range(2)]
    for study in studies:
        study.optimize(bowl, n_trials=2)
    assert params(studies[0]) != params(studies[1])
    assert random.getstate() == before


def test_the_example_of_the_docstring_runs() -> None:
    assert doctest.testmod(evogan.optuna).failed == 0
