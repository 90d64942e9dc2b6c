"""The Python API, as a user's script calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

import evogan
from evogan import Gene, Space, UserError, shipped
from evogan.data import Dataset
from evogan.engine import Event
from evogan.evaluation.checkpoint import Generator
from evogan.export.code.compare import default
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.runs.seeds import read_seeds
from evogan.settings.gan import GANSettings
from evogan.space import load_space
from tests.conftest import NARROW, mixed_space, score

SMALL = {"kimg": 0.1, "samples": 100, "workers": 1, "finalists": 1, "confirm": 2}


def bowl(genes: dict[str, object]) -> float:
    return (float(genes["x"]) - 0.3) ** 2  # type: ignore[arg-type]


SPACE = Space("bowl", [Gene(name="x", kind="float", low=-1.0, high=1.0, levels=21)])


def test_search_finds_a_gan_and_hands_it_over(runs: Path) -> None:
    run = evogan.search("wdcgan", "digits", evaluations=3, runs=runs, **SMALL)
    assert run.best is not None
    frame = run.to_dataframe()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 3
    assert frame["fitness"].min() == min(t.value for t in run.history)
    assert np.allclose(frame["fitness"], frame["fid"])
    assert {"gene_filters", "kid", "normalized_loss", "training_seconds"} <= set(frame)
    images = run.load_best().sample(5, seed=1)
    assert images.shape == (5, 1, 8, 8)
    assert images.abs().max() <= 1
    assert torch.equal(images, run.load_best().sample(5, seed=1))
    assert run.report().is_file()
    assert [c.name for c in run.confirmations][-1] == "wdcgan"
    assert all(len(c.values) == 2 for c in run.confirmations)
    assert evogan.open_run(run.name, runs).best == run.best


@contextmanager
def inexact() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


SET = {
    "nothing": nullcontext,
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "a device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: default(torch.float64),
    "inexact products": inexact,
    "NumPy that raises": lambda: np.errstate(all="raise"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """What a small training comes to, where a script has set this and that in torch and NumPy."""
    found: dict[str, list[object]] = {}
    for what, setting in SET.items():
        with setting():
            asked = {"kimg": 0.1, "samples": 50, "runs": tmp_path_factory.mktemp("runs")}
            trained, folder = evogan.train({"filters": 4, "critic_steps": 1}, **asked)
            images = evogan.load(folder / "generator.safetensors").sample(9, seed=1)
            said = evogan.load_critic(folder).score(images)
            _, players = evogan.describe("wgan_gp", image_size=8)
        scores = [{name: x for name, x in row.items() if name != "seconds"} for row in trained.scores]
        found[what] = [trained.status, scores, images.tolist(), said.tolist(), players]
    return found


@pytest.mark.parametrize("what", SET)
def test_what_a_script_has_set_changes_nothing(what: str, found: dict[str, list[object]]) -> None:
    assert found["nothing"][0] == "completed" and found[what] == found["nothing"]


def test_a_script_whose_numpy_raises_searches_as_any(tmp_path: Path) -> None:
    def searched(name: str) -> list[dict[str, object]]:
        asked = {"evaluations": 40, "workers": 1, "runs": tmp_path, "name": name}
        run = evogan.search(mixed_space(), objective=score, task=name, strategy="assisted", **asked)
        return [dict(told.row.genome) for told in run.history]

    expected = searched("warns")
    with np.errstate(all="raise"):
        assert searched("raises") == expected


def test_a_run_is_found_from_wherever_its_script_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook changes the directory; `runs` was a folder of the one that it was in."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    asked = {"evaluations": 1, "workers": 1, "kimg": 0.05, "samples": 50, "confirm": 0, "runs": "runs"}
    run = evogan.search(Space("small", [Gene(name="filters", kind="int", low=4, high=5)]), "digits", **asked)
    monkeypatch.chdir("elsewhere")
    assert run.load_best().sample(2).shape == (2, 1, 8, 8) and run.report().is_file()


def test_a_notebook_completes_the_public_names() -> None:
    assert dir(evogan) == sorted(evogan.__all__)


def test_threads_share_torchs_default_type() -> None:
    def same(seed: int) -> bool:
        return torch.equal(evogan.load("evolved_mnist").sample(2, seed), expected[seed])

    expected = [evogan.load("evolved_mnist").sample(2, seed) for seed in range(16)]
    with default(torch.float64):
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(same, range(16)))
        assert torch.get_default_dtype() == torch.float64


def test_what_a_script_has_set_in_torch_stays() -> None:
    with default(torch.float64), torch.device("meta"), torch.no_grad():
        evogan.describe("wgan_gp", image_size=8)
        made = torch.ones(1)
        assert (made.dtype, made.device.type, torch.is_grad_enabled()) == (torch.float64, "meta", False)


def test_the_best_are_checked_beside_what_is_named(runs: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[genes]\nfilters = 8\n")
    asked = {"evaluations": 1, "runs": runs, **SMALL, "confirm": 1}
    run = evogan.search("wdcgan", "digits", references=["gan_mlp_small", mine], name="beside", **asked)
    assert [c.name for c in run.confirmations][-2:] == ["gan_mlp_small", "mine"]
    assert all(c.values for c in run.confirmations)
    alone = evogan.search("wdcgan", "digits", references="none", name="alone", **asked)
    assert alone.best is not None
    assert [c.name for c in alone.confirmations] == [f"evolved #{alone.best.row.number}"]
    mine.unlink()
    again = evogan.resume("beside", runs=runs, evaluations=2)
    assert [c.name for c in again.confirmations][-2:] == ["gan_mlp_small", "mine"]
    for references, why in (
        (["none", "dcgan"], "'none' stands alone"),
        ("dcgn", "did you mean 'dcgan'"),
        ("pix2pix", "pairs"),
        (3, "must be names of genomes or files"),
    ):
        with pytest.raises(UserError, match=why):
            evogan.search("wdcgan", "digits", references=references, name="none of it", **asked)
    with pytest.raises(UserError, match="an objective has none"):
        evogan.search(SPACE, objective=bowl, references="dcgan", evaluations=2)
    assert not (runs / "none of it").exists()


def test_an_objective_needs_no_gan_in_sight() -> None:
    run = evogan.search(SPACE, objective=bowl, evaluations=21, workers=1)
    assert run.best is not None
    assert run.best.row.genome["x"] == 0.3
    assert run.best.value == 0
    assert len({told.row.key for told in run.history}) == 21


def test_what_would_not_be_heeded_is_refused(runs: Path) -> None:
    with pytest.raises(UserError, match="kept only with a folder"):
        evogan.search(SPACE, objective=bowl, store="postgresql://nowhere/x")
    run = evogan.search(NARROW, "digits", evaluations=1, runs=runs, **SMALL | {"confirm": 0})
    with pytest.raises(UserError, match="unknown resource 'wrkers'.*did you mean 'workers'"):
        evogan.resume(run.name, runs=runs, resources={"wrkers": 2})


def test_an_objective_is_remembered_where_a_folder_is_named(runs: Path) -> None:
    calls: list[object] = []

    def counted(genes: dict[str, object]) -> float:
        calls.append(genes)
        return bowl(genes)

    for _ in range(2):
        evogan.search(SPACE, objective=counted, task="bowl", evaluations=10, workers=1, runs=runs)
    assert len(calls) == 10
    with pytest.raises(UserError, match="needs a name: task="):
        evogan.search(SPACE, objective=counted, evaluations=10, workers=1, runs=runs)


def test_a_run_in_memory_writes_its_report_where_it_is_told(tmp_path: Path) -> None:
    run = evogan.search(SPACE, objective=bowl, evaluations=12, workers=1)
    with pytest.raises(UserError, match="name a folder for its report"):
        run.report()
    assert run.report(tmp_path).read_text().startswith("<!doctype html>")


def test_names_made_up_for_runs_are_names() -> None:
    space = Space("my space", SPACE.genes)
    assert evogan.search(space, objective=bowl, evaluations=2, workers=1).name == "objective-my_space-assisted-s0"


def test_an_extended_budget_is_remembered(runs: Path) -> None:
    for n in (5, 9):
        evogan.search(SPACE, objective=bowl, task="bowl", evaluations=n, workers=1, runs=runs, name="grows")
    assert evogan.open_run("grows", runs).document["evaluations"] == 9


def test_a_run_that_grew_is_the_run_made_at_once(runs: Path) -> None:
    """Its finalists too: the best of those of every budget would be a luckier one."""
    space = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0, levels=1001)])
    made = []
    for name, budgets in {"grown": (5, 10, 20, 40), "direct": (40,)}.items():
        for n in budgets:
            run = evogan.search(
                space,
                objective=lambda genes: float(genes["x"]),
                task=name,
                strategy="random",
                evaluations=n,
                finalists=2,
                confirm=2,
                workers=1,
                runs=runs,
                name=name,
            )
        made.append([c.key for c in run.confirmations])
    assert made[0] == made[1]
    assert len(made[0]) == 2


def test_a_budget_may_shrink_to_what_was_spent_and_no_further(runs: Path) -> None:
    def go(evaluations: int, **limits: float) -> evogan.Run:
        return evogan.search(
            SPACE,
            objective=bowl,
            strategy="random",
            task="bowl",
            evaluations=evaluations,
            workers=1,
            runs=runs,
            name="less",
            **limits,
        )

    assert go(9).document["evaluations"] == 9
    assert go(9).document["evaluations"] == 9
    for fewer in (8, 1):
        with pytest.raises(evogan.UserError, match=f"'less' has spent 9 evaluations already: no budget of {fewer}"):
            go(fewer)
    with pytest.raises(evogan.UserError, match="seconds of training already: no budget of 1e-09"):
        go(12, total_seconds=1e-9)
    assert evogan.open_run("less", runs).document["evaluations"] == 9


def test_a_strategy_that_plans_over_its_budget_is_told_it() -> None:
    run = evogan.search(SPACE, objective=bowl, strategy="l-shade", evaluations=15, workers=1)
    assert run.document["options"] == {"evaluations": 15}


def test_an_objective_may_change_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def wanders(genes: Mapping[str, Any]) -> float:
        os.chdir(tmp_path / "elsewhere")
        return float(genes["x"])

    space = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0)])
    run = evogan.search(space, objective=wanders, task="x", runs="runs", name="it", evaluations=3, workers=1)
    assert len(run.history) == 3 and run.report() == tmp_path / "runs" / "it" / "report.html"


def test_a_conditional_generator_is_evaluated_on_the_classes_of_the_data(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As often as they are in them, as in a search: a perfect generator is perfect on unbalanced data, too."""
    assert digits.labels is not None
    kept = (digits.labels % 2 == 1) | (np.arange(len(digits.labels)) % 10 == 0)
    images, labels = digits.images[kept], digits.labels[kept]
    np.savez(tmp_path / "odd.npz", images=images, labels=labels)
    genome = {**shipped.read_genome("cgan").genome, "filters": 4}
    asked: dict[str, Any] = {"samples": 1000, "features": "digits", "runs": tmp_path}
    _, folder = evogan.train(genome, tmp_path / "odd.npz", kimg=0.1, **asked)
    told: list[Tensor] = []

    def perfect(self: Generator, labels_: Tensor, seed: int = 0) -> Tensor:
        told.append(labels_)
        rng, found = np.random.default_rng(0), np.empty((len(labels_), *images.shape[1:]), np.float32)
        for label in range(10):
            asked_for = labels_.numpy() == label
            found[asked_for] = rng.choice(images[labels == label], asked_for.sum()) / 127.5 - 1
        return torch.from_numpy(found)

    monkeypatch.setattr(Generator, "rows_of", perfect)
    found = evogan.evaluate(folder, tmp_path / "odd.npz", **asked)
    shares = np.bincount(labels, minlength=10) / len(labels)
    assert np.abs(np.bincount(told[0], minlength=10) / 1000 - shares).max() < 0.01
    assert not torch.equal(told[0], told[0].sort().values), "neighbours are compared, too"
    assert found["fid"] < 5 and found["class_distance"] < 0.01
    assert evogan.evaluate(folder, tmp_path / "odd.npz", **asked) == found
    evogan.evaluate(folder, tmp_path / "odd.npz", seed=1, **asked)
    assert not torch.equal(told[-1], told[0])


def test_images_have_one_channel_or_three() -> None:
    with pytest.raises(UserError, match="channels must be 3, or 1 of grey images, not 2"):
        evogan.describe("wdcgan", channels=2)


def test_a_run_sees_only_its_own_fresh_replicates(runs: Path) -> None:
    """Another run with more finalists and replicates on the same task changes nothing here."""
    small = {"kimg": 0.1, "samples": 100, "workers": 1, "runs": runs, "evaluations": 4}
    one = evogan.search(NARROW, finalists=1, confirm=1, name="one", **small)
    evogan.search(NARROW, finalists=4, confirm=3, name="two", **small)
    again = evogan.open_run("one", runs)
    assert [(c.name, c.values) for c in again.confirmations] == [(c.name, c.values) for c in one.confirmations]
    assert len(again.confirmations) == 2
    assert again.best == one.best


def test_a_fixed_gene_that_does_not_apply_is_left_out(runs: Path) -> None:
    own = Space(
        "own",
        [Gene(name="critic_optimizer", kind="choice", values=("adam", "rmsprop"))],
        fixed={"filters": 8, "critic_beta1": 0.3},
    )
    run = evogan.search(own, "digits", evaluations=2, runs=runs, **SMALL)
    assert {("critic_beta1" in t.row.genome, t.row.genome["critic_optimizer"]) for t in run.history} == {
        (True, "adam"),
        (False, "rmsprop"),
    }
    for told in run.history:
        evogan.load(run.store.files(told.row.identity()) / "generator.safetensors")


def test_an_objective_may_return_metrics_and_may_fail() -> None:
    def objective(genes: dict[str, object]) -> dict[str, float]:
        x = float(genes["x"])  # type: ignore[arg-type]
        if x > 0.5:
            raise ValueError("too far")
        return {"loss": float("nan") if x < -0.5 else x * x, "size": 1.0}

    run = evogan.search(SPACE, objective=objective, fitness="loss", evaluations=21, workers=1)
    statuses = {told.row.genome["x"]: told.evaluation.status for told in run.history}
    assert statuses[0.6] == "crashed"
    assert statuses[-0.6] == "diverged"
    assert run.best is not None
    assert run.best.row.genome["x"] == 0
    with pytest.raises(UserError, match="unknown fitness 'lss': did you mean 'loss'"):
        evogan.search(SPACE, objective=objective, fitness="lss", evaluations=5, workers=1)


def test_a_space_of_your_own_is_checked_against_the_zoo(runs: Path) -> None:
    with pytest.raises(UserError, match="unknown gene 'x'"):
        evogan.search(SPACE, "digits", runs=runs, **SMALL)
    own = Space("own", [Gene(name="slope", kind="float", low=0.0, high=0.4, levels=3)], fixed={"filters": 8})
    run = evogan.search(own, "digits", evaluations=5, runs=runs, **SMALL)
    assert len({told.row.key for told in run.history}) == 3  # all there is
    assert all(told.row.genome["filters"] == 8 for told in run.history)


def test_keywords_that_do_not_exist_are_named(runs: Path) -> None:
    with pytest.raises(UserError, match="unknown keyword 'kmig': did you mean 'kimg'"):
        evogan.search("wdcgan", kmig=3, runs=runs)
    with pytest.raises(UserError, match="unknown keyword 'kimg'"):
        evogan.search(SPACE, objective=bowl, kimg=3)


def test_one_class_of_colour_images_from_npz(tmp_path: Path, runs: Path) -> None:
    """A single class, as the book trains; another channel count and size; features named by hand, and too few to learn
    any."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (60, 12, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(60) % 3)
    genome = {"filters": 8, "batch_size": 8}
    data, settings = tmp_path / "data.npz", {"kimg": 0.1, "samples": 50, "runs": runs}
    with pytest.raises(UserError, match="54 images to train on: features can be learned from 100 or more; --features"):
        evogan.train(genome, data, **settings)
    said: list[str] = []
    evaluation, folder = evogan.train(genome, data, features="digits", classes=(1,), say=said.append, **settings)
    assert said[0] == "data: 18 images of 12x12, colour, 2 held out; 1 class: 1 (18)"
    assert said[1].startswith("digits-")
    assert evaluation.status == "completed"
    assert evogan.load(folder / "generator.safetensors").sample(2).shape == (2, 3, 12, 12)


def test_a_run_that_recorded_classes_by_number_goes_on(runs: Path, tmp_path: Path) -> None:
    """As all did before classes had names: 1 was the second folder, which is called 10."""
    for kind in (1, 10, 2):
        for number in range(12):
            path = tmp_path / "set" / str(kind) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), 12 * kind + number, np.uint8)).save(path)
    given = SMALL | {"data": tmp_path / "set", "features": "digits", "name": "old", "runs": runs, "confirm": 0}
    heard: list[Event] = []
    run = evogan.search(NARROW, classes=["10", "2"], evaluations=1, listener=heard.append, **given)
    assert heard[0].reason == run.document["contents"]
    assert "2 classes: 10 (" in run.document["contents"]
    assert run.document["contents"] in run.report().read_text()
    run.store.extend_run("old", {"gan": run.document["gan"] | {"classes": [1, 2]}})
    assert evogan.resume("old", runs=runs).document["gan"]["classes"] == [1, 2]
    assert evogan.search(NARROW, classes="10,2", evaluations=2, **given).document["gan"]["classes"] == [1, 2]
    with pytest.raises(UserError, match=r"another gan.classes: \[1, 2\], not \['1', '2'\]"):
        evogan.search(NARROW, classes=[1, 2], evaluations=2, **given)


def test_a_run_goes_on_with_the_references_that_it_recorded(runs: Path, tmp_path: Path) -> None:
    """Published genomes may be mended: what a run was held against from its first day on stays."""
    published = tmp_path / "published.toml"
    space = Space("of_mine", [Gene(name="filters", kind="int", low=4, high=8)], table=GENES, reference=[str(published)])
    genes = "[genes]\nfilters = 4\nclip = "
    published.write_text(f"{genes}0.1\n")
    first = evogan.search(space, "digits", evaluations=1, name="mine", runs=runs, **SMALL)
    checked = first.confirmations[-1]
    published.write_text(f"{genes}0.2\n")
    for again in (
        evogan.search(space, "digits", evaluations=2, name="mine", runs=runs, **SMALL),
        evogan.resume("mine", evaluations=3, runs=runs),
    ):
        assert again.confirmations[-1] == checked
        assert again.confirmations[-1].genome["clip"] == 0.1
    fresh = evogan.search(space, "digits", evaluations=1, name="fresh", runs=runs, **SMALL)
    assert fresh.confirmations[-1].genome["clip"] == 0.2


def test_importing_evogan_is_light() -> None:
    code = "import evogan, sys; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert all(getattr(evogan, name) is not None for name in evogan.__all__)
    with pytest.raises(AttributeError):
        evogan.nothing  # noqa: B018


# --- fidelities, seeds, several objectives


def test_a_promoted_gan_goes_on_from_where_it_stopped(runs: Path) -> None:
    options = {"fidelities": [0.25, 1.0], "initial": 4, "eta": 2}
    small = {**SMALL, "kimg": 0.4, "finalists": 0, "confirm": 0}
    run = evogan.search(NARROW, strategy="assisted", options=options, evaluations=4, window=2, runs=runs, **small)
    promoted = [told for told in run.history if told.row.fidelity == 1]
    assert promoted
    for told in promoted:
        assert told.evaluation.provenance["continued_from"] == 0.25
        straight, _ = evogan.train(told.row.genome, runs=runs / "straight", kimg=0.4, samples=100)
        assert [s["fid"] for s in straight.scores] == [s["fid"] for s in told.evaluation.scores]
    assert not list(runs.rglob("training.safetensors")), "states are of no use when a run is over"
    assert run.spent[-1] == pytest.approx(4)


def test_auto_says_what_it_chose(runs: Path) -> None:
    assert evogan.search(SPACE, objective=bowl, evaluations=5, workers=1).document["strategy"] == "assisted"
    run = evogan.search(
        SPACE, objective=lambda genes: {"a": bowl(genes), "b": 1.0}, fitness="a,b", evaluations=5, workers=1
    )
    assert run.document["strategy"] == "assisted"
    assert len(run.front) == 1

    def partial(genes: dict[str, object], fidelity: float) -> float:
        return bowl(genes) + 1 - fidelity

    run = evogan.search(SPACE, objective=partial, evaluations=12, workers=1)
    assert {told.row.fidelity for told in run.history} == {0.25, 1.0}
    assert run.best is not None and run.best.row.fidelity == 1.0


def test_an_objective_without_fidelities_is_not_asked_for_less() -> None:
    with pytest.raises(UserError, match="give the objective a parameter 'fidelity'"):
        evogan.search(SPACE, objective=bowl, strategy="hyperband", evaluations=5, workers=1)


def test_a_search_begins_with_its_seeds(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[genes]\nx = 0.31\n")
    kept = {"objective": bowl, "workers": 1, "runs": runs, "task": "bowl"}
    first = evogan.search(SPACE, evaluations=6, seed_genomes=str(file), strategy="random", name="first", **kept)
    assert first.history[0].row.genome["x"] == 0.3
    second = evogan.search(
        SPACE, evaluations=6, seed_genomes=["first", {"x": -1.0}], strategy="tpe", name="second", **kept
    )
    asked = dict.fromkeys(told.row.genome["x"] for told in second.history)
    assert list(asked) == [*(told.row.genome["x"] for told in first.ranking[:5]), -1.0]
    assert {told.row.operator for told in second.history} == {"seed", "tpe"}


def test_a_search_that_a_run_seeded_goes_on_though_that_run_has_grown(runs: Path) -> None:
    kept = {"objective": bowl, "workers": 1, "runs": runs, "strategy": "random"}
    second = {"task": "other bowl", "seed_genomes": "grown", "name": "goes-on", **kept}
    evogan.search(SPACE, task="bowl", evaluations=4, name="grown", **kept)
    begun = evogan.search(SPACE, evaluations=6, **second)
    evogan.search(SPACE, task="bowl", evaluations=21, name="grown", **kept)
    gone_on = evogan.search(SPACE, evaluations=8, **second)
    before = [told.row for told in begun.history]
    assert len(gone_on.history) > len(before) and [told.row for told in gone_on.history][: len(before)] == before
    with pytest.raises(UserError, match="was started with another seed_genomes"):
        evogan.search(SPACE, evaluations=9, **second | {"seed_genomes": [{"x": 0.5}]})


def test_published_seeds_are_those_that_lie_inside(runs: Path) -> None:
    run = evogan.search("wdcgan", evaluations=1, seed_genomes="published", runs=runs, **SMALL | {"confirm": 0})
    assert run.document["seed_genomes"][0]["critic_steps"] == 5


def test_rows_of_a_runs_table_are_genomes_to_begin_with() -> None:
    """Pandas makes numbers of NumPy of them, floats of whole numbers, and NaN of genes that do not apply."""
    space = mixed_space()
    run = evogan.search(space, objective=score, evaluations=8, strategy="random", workers=1)
    genomes = [told.row.genome for told in run.history]
    assert any("depth" not in genome for genome in genomes)
    frame = run.to_dataframe()
    genes = frame.filter(like="gene_").rename(columns=lambda name: name.removeprefix("gene_")).astype({"width": float})
    for given in (
        frame,
        genes,
        frame.to_dict("records"),
        genes.to_dict("records"),
        [row for _, row in genes.iterrows()],
    ):
        seeds = read_seeds(given, space)
        assert [seed.genome for seed in seeds] == genomes
        assert all(type(value) in (float, int, str) for seed in seeds for value in seed.genome.values())
    assert [seed.genome for seed in read_seeds(frame.iloc[3], space)] == [genomes[3]]


def test_numpys_numbers_are_recorded_as_numbers(runs: Path) -> None:
    numbers = {"evaluations": np.int64(6), "seed": np.int64(3), "window": np.int8(2), "workers": np.int64(1)}
    options = {"fidelities": np.array([0.5, 1.0]), "eta": np.int64(2)}
    space = Space("bowl", [Gene(name="x", kind="float", low=np.float32(-1), high=np.int64(1), levels=np.int64(21))])  # type: ignore[arg-type]

    def partial(genes: dict[str, object], fidelity: float) -> float:
        return bowl(genes) + 1 - fidelity

    kept = {"objective": partial, "strategy": "hyperband", "options": options, "runs": runs, "task": "bowl"}
    run = evogan.search(space, name="numpy", **kept, **numbers)  # type: ignore[arg-type]
    assert run.document["options"] == {"fidelities": [0.5, 1.0], "eta": 2}
    again = evogan.search(space, name="numpy", **kept, **numbers | {"seed": 3, "window": 2.0})  # type: ignore[arg-type]
    assert again.best == run.best


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 0.1, "width": np.nan, "kind": "a"}, "the genome has no value for gene 'width'"),
        ({"rate": 0.1, "width": 6.5, "kind": "a"}, "'width': 6.5 is not allowed"),
        ({"rate": 0.1, "width": (1, 2), "kind": "a"}, r"'width': \(1, 2\) is not allowed"),
        (5, "seed genomes must be a list, not 5"),
        ([5], "a seed genome is a name, a file or genes, not 5"),
    ],
)
def test_what_is_no_seed_is_refused(given: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_seeds(given, mixed_space())  # type: ignore[arg-type]


def test_a_hole_is_no_default() -> None:
    with pytest.raises(UserError, match="seed genome 'seed': gene 'clip' is nan, although it applies"):
        read_seeds({"clip": np.nan}, load_space("wdcgan"))


def test_a_gpu_that_is_not_used_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = GANProblem(GANSettings.of(data="digits"))
    assert not any("GPU" in line for line in problem.lines)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "a GPU, too: --device cuda" in problem.lines[-1]
    assert not any("GPU" in line for line in GANProblem(GANSettings.of(data="digits", device="cuda")).lines)
