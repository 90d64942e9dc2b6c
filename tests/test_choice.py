"""The metric of the run decides which weights are kept; what was trained before answers only where they are these."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evogan import Gene, Run, Space, open_run, resume, search, train
from evogan.engine import Broker, Judge, LocalExecutor, Store
from evogan.engine.upkeep import add, check
from evogan.errors import UserError
from evogan.evaluation.checkpoint import Generator
from evogan.evaluation.evaluator import GANEvaluator
from evogan.fitness import Scorer
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import STATE, Choice, Evaluation, GANTask, Stopped, Task, Trial

SMALL = {"filters": 4, "batch_size": 16, "critic_steps": 2, "latent": 4}
SPACE = Space("small", [Gene(name="learning_rate", kind="float", low=1e-4, high=1e-3, levels=4)], fixed=SMALL)
GAN: dict[str, Any] = {"kimg": 0.3, "samples": 100}
FID, KID, LAST = Choice(), Choice(("kid",)), Choice(score="last")
CHOICES = (KID, LAST, Choice(("normalized_loss", "kid")))


@pytest.fixture(autouse=True)
def _opposite(monkeypatch: pytest.MonkeyPatch) -> None:
    """KID is best where FID is worst, neither of them in the end; and nothing else takes long."""
    score = Scorer.score

    def opposite(self: Scorer, samples: Any) -> dict[str, float]:
        fid = score(self, samples)["fid"] % 3.0
        return {"fid": fid, "kid": -fid}

    monkeypatch.setattr(Scorer, "score", opposite)
    monkeypatch.setattr("evogan.evaluation.scoring.diagnose", lambda *_: ({}, {}))


@pytest.fixture(scope="module")
def digits() -> tuple[GANTask, GANEvaluator]:
    return GANProblem(GANSettings(**GAN)).prepare()


def trial(task: Task, rate: float = 1e-3, **how: Any) -> Trial:
    genome = GENES.read({**SMALL, "learning_rate": rate})
    return Trial(genome, GENES.key(genome), task, **how)


def scored_again(generator: Generator, evaluate: GANEvaluator, task: Task) -> dict[str, float]:
    """On the latents that every training of the task is scored on."""
    scoring = evaluate._scoring(trial(task), evaluate._streams())
    return scoring.scorer.score(generator._gan.sample(prompt) for prompt in scoring._prompts(generator._gan))


def weights(evaluation: Evaluation, folder: Path) -> Generator:
    path = folder / "generator.safetensors"
    path.write_bytes(evaluation.files[path.name])
    return Generator(path)


def timeless(evaluation: Evaluation) -> list[dict[str, float]]:
    return [{name: value for name, value in score.items() if name != "seconds"} for score in evaluation.scores]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_weights_kept_are_those_of_the_checkpoint_that_the_metric_chose(
    choice: Choice, digits: tuple[GANTask, GANEvaluator], tmp_path: Path
) -> None:
    """Trained straight through, gone on with from any lower fidelity, stopped early, and among others."""
    task, evaluate = digits
    one = trial(task, choice=choice)
    whole, by_fid = evaluate(one), evaluate(replace(one, choice=FID))
    assert timeless(whole) == timeless(by_fid) and whole.curve == by_fid.curve
    assert whole.choice == choice and by_fid.choice == FID and "chosen_by" not in by_fid.provenance
    kept = whole.kept
    assert kept in (whole.scores[-1], min(whole.scores, key=lambda point: point[choice.metrics[0]]))
    assert scored_again(weights(whole, tmp_path), evaluate, task)["fid"] == pytest.approx(kept["fid"])
    assert whole.files["samples.png"] == whole.files[f"samples-{round(100 * kept['fidelity'])}.png"]

    for fidelity in (0.5, 0.9):
        part = evaluate(replace(one, fidelity=fidelity))
        on = evaluate(replace(one, earlier=part))
        assert on.provenance["continued_from"] == fidelity
        assert on.files == whole.files and on.choice == choice

    def stop(point: Mapping[str, float], grid: bytes = b"") -> None:
        if point.get("checkpoint") == 3:
            raise Stopped

    stopped = evaluate(replace(one, report=stop))
    assert stopped.fidelity == 0.75 and len(stopped.scores) == 3
    assert scored_again(weights(stopped, tmp_path), evaluate, task)["fid"] == pytest.approx(stopped.kept["fid"])


def test_so_are_those_of_trainings_that_are_trained_together(
    digits: tuple[GANTask, GANEvaluator], tmp_path: Path
) -> None:
    task, evaluate = digits
    trials = [trial(task, choice=choice, replicate=i) for i, choice in enumerate((FID, KID, LAST))]
    for one, found in evaluate.together(trials):
        assert found.choice == one.choice and found.provenance["trained_together"] == 3
        assert found.kept == found.scores[one.choice.place(found.scores) or 0]
        again = scored_again(weights(found, tmp_path), evaluate, task)
        assert again["fid"] == pytest.approx(found.kept["fid"], rel=1e-4)


def test_kid_and_fid_choose_other_weights_here(digits: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = digits
    by_fid, by_kid = evaluate(trial(task)), evaluate(trial(task, choice=KID))
    assert by_fid.kept["fid"] < by_kid.kept["fid"]
    assert by_fid.files["generator.safetensors"] != by_kid.files["generator.safetensors"]
    assert not by_fid.keeps(KID) and not by_kid.keeps(FID)


def test_a_training_does_not_go_on_from_one_that_kept_other_weights(digits: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = digits
    part = evaluate(trial(task, fidelity=0.5))
    assert STATE in part.files and not part.keeps(KID)
    on = evaluate(trial(task, choice=KID, earlier=part))
    assert on.provenance["not_continued"] == "ValueError: the weights of another checkpoint"
    assert on.files == evaluate(trial(task, choice=KID)).files


def test_a_trial_that_is_sent_says_what_chooses() -> None:
    sent = pickle.loads(pickle.dumps(Trial(GENES.read({}), "key", Task(name="t"), choice=KID)))
    assert sent.choice == KID
    assert sent == replace(sent, choice=FID), "the choice is no part of what a trial is"


# --- runs


def find(runs: Path, name: str, **how: Any) -> Run:
    how = {"strategy": "random", "evaluations": 2, "finalists": 1, "confirm": 1} | how
    return search(SPACE, name=name, runs=runs, workers=1, **GAN, **how)


def assert_hands_over_what_was_judged(run: Run, evaluate: GANEvaluator, task: Task) -> None:
    assert run.best is not None
    training = run.best_training(run.best.row.key)
    assert training is not None
    again = scored_again(run.load_best(), evaluate, task)
    assert again["fid"] == pytest.approx(run.judge.point(training.evaluation)["fid"])
    for told in run.history:
        assert all(evaluation.keeps(run.judge.choice) for evaluation in told.evaluations)


@pytest.mark.parametrize("how", [{"fitness": "kid"}, {"score": "last"}])
def test_a_search_hands_over_the_weights_that_it_judged(
    how: dict[str, Any], digits: tuple[GANTask, GANEvaluator], tmp_path: Path
) -> None:
    """Also after a search judged by FID on the same store, which keeps its own; and when it goes on."""
    task, evaluate = digits
    by_fid = find(tmp_path, "fid")
    trained, before = by_fid.store.count(), scored_again(by_fid.load_best(), evaluate, task)
    assert_hands_over_what_was_judged(by_fid, evaluate, task)
    run = find(tmp_path, "mine", **how)
    assert run.store.count() > trained, "what kept other weights was trained again"
    assert_hands_over_what_was_judged(run, evaluate, task)
    trained = run.store.count()

    assert find(tmp_path, "again", **how).store.count() == trained, "nothing is trained twice"
    find(tmp_path, "fid-again")
    resume("mine", runs=tmp_path, workers=1)
    assert run.store.count() == trained
    assert [vars(told.row) for told in open_run("again", tmp_path).history] == [vars(t.row) for t in run.history]
    assert scored_again(open_run("fid", tmp_path).load_best(), evaluate, task) == before
    more = resume("mine", runs=tmp_path, workers=1, evaluations=3)
    assert_hands_over_what_was_judged(more, evaluate, task)


def test_a_search_over_fidelities_goes_on_with_the_weights_that_it_judges(
    digits: tuple[GANTask, GANEvaluator], tmp_path: Path
) -> None:
    task, evaluate = digits
    how = {"strategy": "hyperband", "options": {"fidelities": (0.5, 1.0)}, "evaluations": 3, "window": 1}
    find(tmp_path, "fid", **how)
    run = find(tmp_path, "kid", fitness="kid", **how)
    assert_hands_over_what_was_judged(run, evaluate, task)
    whole = [e for told in run.history for e in told.evaluations if told.fidelity == 1]
    assert any(e.provenance.get("continued_from") == 0.5 for e in whole)
    assert not list(tmp_path.rglob(STATE))


def test_the_samples_that_a_report_shows_are_of_these_weights(tmp_path: Path) -> None:
    run = find(tmp_path, "kid", fitness="kid")
    assert run.best is not None
    training = run.best_training(run.best.row.key)
    assert training is not None
    page = run.report()
    assert f"KID {training.value:.4g}, its best training" in page.read_text()
    point = run.judge.point(training.evaluation)
    folder = run.store.files(training.identity, training.evaluation)
    shown = (page.parent / "best.png").read_bytes()
    assert shown == (folder / f"samples-{round(100 * point['fidelity'])}.png").read_bytes()


def test_a_training_without_a_run_keeps_the_best_by_fid(digits: tuple[GANTask, GANEvaluator], tmp_path: Path) -> None:
    find(tmp_path, "kid", fitness="kid", evaluations=1, confirm=0)
    (told,) = open_run("kid", tmp_path).history
    evaluation, folder = train(dict(told.row.genome), runs=tmp_path, **GAN)
    assert evaluation.choice == FID
    assert Generator(folder / "generator.safetensors").facts["fid"] == evaluation.metric("fid")


# --- what answers


def points(*values: tuple[float, float]) -> tuple[dict[str, float], ...]:
    return tuple({"fid": fid, "kid": kid} for fid, kid in values)


AGREE, DIFFER = points((3, 3), (1, 1), (2, 2)), points((3, 1), (1, 3), (2, 2))


@pytest.mark.parametrize(
    ("scores", "judge", "known"),
    [
        (AGREE, Judge("fid"), True),
        (AGREE, Judge("kid"), True),
        (AGREE, Judge("fid", "last"), False),
        (AGREE, Judge("fid", others=("kid",)), True),
        (AGREE, Judge("collision"), False),
        (DIFFER, Judge("fid"), True),
        (DIFFER, Judge("kid"), False),
        (DIFFER, Judge("fid", others=("kid",)), True),
    ],
)
def test_what_is_recorded_answers_whoever_would_have_kept_the_same_weights(
    scores: tuple[dict[str, float], ...], judge: Judge, known: bool
) -> None:
    """As a further attempt otherwise; recorded as today, and as by a version that says nothing of a choice."""
    asked: list[Trial] = []

    def evaluate(trial: Trial) -> Evaluation:
        asked.append(trial)
        said = {"chosen_by": {"metrics": [*trial.choice.metrics], "score": trial.choice.score}}
        return Evaluation(status="completed", scores=tuple(p | {"collision": 0.0} for p in scores), provenance=said)

    store, one = Store(), trial(Task(name="made up"))
    old = store.record(one, Evaluation(status="completed", scores=scores, provenance={"evogan": "0.1.0"}))
    for _ in range(2):
        answer = Broker(store, LocalExecutor(evaluate), choice=judge.choice).result(one)
        assert (answer == old) == known
        assert len(asked) == (not known)
        assert [t.choice for t in asked] == [judge.choice] * len(asked)
    assert store.count() == 1 + (not known)
    assert Broker(store, LocalExecutor(evaluate), choice=FID).result(one) == old
    assert Broker(store, LocalExecutor(evaluate)).result(one) == old, "who judges nothing takes what there is"


def test_a_store_that_is_added_brings_weights_that_another_metric_chose(tmp_path: Path) -> None:
    one, store, other = trial(Task(name="made up")), Store(tmp_path / "one"), Store(tmp_path / "other")
    kid = {"chosen_by": {"metrics": ["kid"], "score": "best"}}
    for kept, chosen in ((store, {}), (other, {}), (other, kid)):
        evaluation = Evaluation(status="completed", scores=DIFFER, provenance=chosen, files={"a": str(chosen).encode()})
        kept.record(one, evaluation, choice=evaluation.choice)
    assert (add(lambda: store, other).new, add(lambda: store, other).new) == (1, 0)
    by_fid, by_kid = store.answers(one.identity)
    assert (store.files(one.identity, by_fid) / "a").read_bytes() == b"{}"
    assert (store.files(one.identity, by_kid) / "a").read_bytes() == str(kid).encode()
    assert list(check(store)) == []


@given(
    st.lists(st.tuples(st.floats(-2, 2), st.sampled_from([0.0, math.nan])), max_size=5),
    st.sampled_from(["best", "last"]),
)
def test_the_checkpoint_is_the_one_where_the_judge_takes_the_fitness(
    values: list[tuple[float, float]], score: Any
) -> None:
    evaluation = Evaluation(status="completed", scores=points(*values))
    judge = Judge("fid", score, others=("kid",))
    point = judge.point(evaluation)
    finite = [p for p in evaluation.scores if math.isfinite(p["kid"])]
    assert bool(point) == bool(finite)
    if finite:
        assert point is (finite[-1] if score == "last" else min(finite, key=lambda p: p["fid"]))


def test_a_single_training_may_be_judged_otherwise_and_as_a_run_was(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"runs": tmp_path, **GAN}
    genes = {**SMALL, "learning_rate": 1e-3}
    by_fid, by_kid = (train(genes, "digits", fitness=fitness, **asked)[0] for fitness in ("fid", "kid"))
    last = train(genes, "digits", score="last", **asked)[0]
    assert by_fid.kept["fid"] == min(point["fid"] for point in by_fid.scores)
    assert by_kid.kept["kid"] == min(point["kid"] for point in by_kid.scores) != by_fid.kept["kid"]
    assert last.kept == last.scores[-1]
    run = find(tmp_path, "kid", fitness="kid", evaluations=1, confirm=0)
    again, folder = train("kid", runs=tmp_path, kimg=GAN["kimg"])
    assert run.best is not None and again.kept["kid"] == min(point["kid"] for point in again.scores)
    assert folder == run.store.files(run.best.identity(0), run.best.evaluation)
    for fitness, said in (("psnr", "judges GANs that make images from images"), ("kdi", "unknown fitness 'kdi'")):
        with pytest.raises(UserError, match=said):
            train(genes, "digits", fitness=fitness, **asked)
