"""The report says what the store says, and needs nothing but itself."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.text import Text

from evogan import shipped
from evogan.engine import Broker, Evaluate, Judge, LocalExecutor, Loop, Store, carry_out
from evogan.engine.history import RunHistory
from evogan.genes import GENES
from evogan.genome import Gene
from evogan.report import facts, figures, tables, training_figures, write_report
from evogan.report.grids import Grid
from evogan.report.importance import REPEATS, Importance, _held_out, gene_importance
from evogan.space import Space, load_space
from evogan.stable import derive_seed
from evogan.strategies import make_strategy
from evogan.trial import CHOSEN_BY, FRESH, Evaluation, GANTask, Task, Trial

GAN_TASK = GANTask(name="digits", fingerprint="f", image_size=8, channels=1, kimg=20.0, features="digits-1")
GAN = {
    "data": "digits",
    "data_dir": None,
    "image_size": None,
    "classes": [3, 5],
    "kimg": 20.0,
    "features": None,
    "samples": 5000,
    "precision": "fp32",
    "device": "cpu",
}


def png(shade: int, size: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (size, size), shade).save(buffer, "PNG")
    return buffer.getvalue()


def fake_gan(trial: Trial) -> Evaluation:
    """FID grows with the distance of the learning rate from 1e-3; one in seven genomes diverges."""
    noise = (trial.seed % 1000) / 1000
    rate = float(GENES.complete(trial.genome)["learning_rate"])
    fid = 8 + 6 * math.log10(rate / 1e-3) ** 2 + noise
    cost = {"seconds": 2 + noise, "scoring_seconds": 0.25, "kimg": 20.0, "flops": 1e9}
    made = {"torch": "2.11.0", "device": "x86_64", "threads": 1}
    if trial.seed % 7 == 0 and trial.replicate < FRESH and trial.key != reference_key():
        reason = f"diverged: critic loss is nan at iteration {trial.seed % 90}"
        return Evaluation(status="diverged", reason=reason, cost=cost, provenance=made)
    scores = tuple(
        {
            "kimg": 20 * part,
            "fidelity": part,
            "fid": fid / part,
            "kid": fid / 1000 / part,
            "normalized_loss": derive_seed(trial.key, "loss") % 1000 / 1000,
            "parameters": 1e5,
            "seconds": 2 * part,
        }
        for part in (0.25, 0.5, 0.75, 1.0)
    )
    files = {"samples.png": png(trial.seed % 256)}
    return Evaluation(status="completed", scores=scores, cost=cost, provenance=made, files=files)


def reference_key() -> str:
    return GENES.key(shipped.read_genome("wdcgan").genome)


def failing(trial: Trial) -> Evaluation:
    return Evaluation(status="crashed", reason=f"ValueError: <script>alert({trial.seed % 9})</script>")


def make_run(
    store: Store,
    space: Space,
    evaluate: Evaluate,
    *,
    task: Task = GAN_TASK,
    gan: Mapping[str, Any] | None = GAN,
    fitness: str = "fid",
    evaluations: int = 30,
    fresh: int = 3,
    name: str = "a-run",
    strategy: str = "random",
) -> RunHistory:
    """What `evogan.search` does, with any evaluator."""
    references = [(ref, shipped.read_genome(ref).genome) for ref in space.reference] if gan else []
    document = {
        "space": space.document(),
        "strategy": strategy,
        "options": {},
        "seed": 3,
        "window": 8,
        "fitness": fitness,
        "score": "best",
        "evaluations": evaluations,
        "replicates": 1,
        "average": "mean",
        "race": False,
        "finalists": 3,
        "confirm": fresh,
        "gan": gan,
        "task": task.key,
        "data": task.name,
        "reference": [[ref, space.key(genome), dict(genome)] for ref, genome in references],
    }
    store.add_run(name, json.loads(json.dumps(document)))
    broker = Broker(store, LocalExecutor(evaluate))
    judge = Judge.of(fitness)
    loop = Loop(
        name, space, make_strategy(strategy, space, 3), task, judge, broker, seed=3, evaluations=evaluations, window=8
    )
    return carry_out(loop, 3 if fresh else 0, fresh, [genome for _, genome in references])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunHistory:
    store = Store(tmp_path_factory.mktemp("store"))
    made = make_run(store, load_space("wdcgan_wide"), fake_gan, evaluations=60)
    (store.folder / "tasks").mkdir()
    (store.folder / "tasks" / f"{GAN_TASK.key}-real.png").write_bytes(png(255))
    return made


@pytest.fixture(scope="module")
def page(run: RunHistory) -> Path:
    return write_report(run, run.store.folder / run.name)


@pytest.fixture
def objective_run() -> RunHistory:
    """Hostile names, negative fitness, no reference."""
    space = Space(
        '<i>space</i> [red]"$x',
        [
            Gene(name="<b>x</b> $a_b$", kind="float", low=-1.0, high=1.0, levels=21),
            Gene(name="[bold]kind", kind="choice", values=("<img src=x>", "b&b")),
        ],
    )

    def evaluate(trial: Trial) -> Evaluation:
        x, kind = trial.genome.values()
        return Evaluation(status="completed", scores=({"value": float(x) ** 2 - 1 - (kind == "b&b") / 1e6},))

    task = Task(name="<u>objective</u>")
    return make_run(Store(), space, evaluate, task=task, gan=None, fitness="value", evaluations=25)


def text_of(table: Any) -> str:
    console = Console(width=400, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def assert_self_contained(html: str) -> None:
    assert not re.search(r"https?:", html)
    assert not re.search(r"@import|url\((?!#)|<script|<link|<iframe", html)
    for target in re.findall(r"(?:src|href)=[\"']?([^\"'> ]*)", html):
        assert target.startswith(("data:image/", "#")), target


# --- the page


def test_page_has_the_numbers_of_the_store(run: RunHistory, page: Path) -> None:
    html = page.read_text()
    for c in run.confirmations:
        values = [run.judge.value(e) for e in c.evaluations]
        mean = sum(value or 0.0 for value in values) / 3
        spread = math.sqrt(sum(((value or 0.0) - mean) ** 2 for value in values) / 2)
        row = next(row for row in re.findall(r"<tr.*?</tr>", html) if f"<td>{c.name}" in row)
        assert f'<td class="n">{mean:.4g}</td><td class="n">{spread:.4g}</td><td class="n">3</td>' in row
    for told in run.ranking[:10]:
        assert f'<td class="n">{told.row.number}</td>' in html
        assert f'<td class="n">{told.value:.4g}</td>' in html
    failed = sum(told.value is None for told in run.history)
    assert 0 < failed < 60
    assert f"<dt>diverged</dt><dd>{failed}</dd>" in html
    assert f"<dt>completed</dt><dd>{60 - failed}</dd>" in html
    seconds = sum(told.evaluation.cost["seconds"] for told in run.history)
    assert f'<td class="n">60</td><td class="n">{facts.duration(seconds)}</td>' in html
    assert f"{100 * 15 / seconds:.1f} %" in html
    assert "evogan resume a-run" in html
    assert "2.11.0" in html


def test_page_needs_nothing_but_itself(page: Path) -> None:
    html = page.read_text()
    assert_self_contained(html)
    assert len(html) < 2_000_000
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids)) > 0
    for used in re.findall(r'(?:url\(|href=")#([^")]*)', html):
        assert used in ids
    assert "#0" not in "".join(re.findall(r'style="[^"]*"', html))  # no stand-in colour is left


def test_every_figure_is_drawn(page: Path) -> None:
    html = page.read_text()
    for title in ("Best so far", "Learning curves", "Best genes", "genes mattered", "against FID", "Seconds"):
        assert title in html
    assert html.count('<svg class="figure"') == 6


def test_grids_are_those_of_the_best_trainings(run: RunHistory, page: Path) -> None:
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "best.png", "real.png", "reference-wdcgan.png", "report.html"
    ]  # fmt: skip
    best = run.best
    assert best is not None
    for name, key in (("best", best.row.key), ("reference-wdcgan", reference_key())):
        identities = [(key, GAN_TASK.key, 1.0, replicate) for replicate in (0, FRESH, FRESH + 1, FRESH + 2)]
        found = [(run.store.find(identity), identity) for identity in identities]
        _, best_identity = min((e.metric("fid") or 0.0, identity) for e, identity in found if e and not e.failed)
        kept = run.store.files(best_identity) / "samples.png"
        assert (page.parent / f"{name}.png").read_bytes() == kept.read_bytes()
    assert page.read_text().count("data:image/png;base64,") == 3


def test_grids_through_training_are_those_of_the_best_training(run: RunHistory, page: Path, tmp_path: Path) -> None:
    def evaluate(trial: Trial) -> Evaluation:
        made = fake_gan(trial)
        grids = {f"samples-{part}.png": png(part + trial.replicate % 3) for part in (25, 50, 75, 100)}
        return replace(made, files={} if made.failed else {**made.files, **grids})

    store = Store(tmp_path / "store")
    with_grids = make_run(store, load_space("wdcgan"), evaluate, evaluations=5)
    html = write_report(with_grids, tmp_path / "page").read_text()
    assert with_grids.best is not None
    training = with_grids.best_training(with_grids.best.row.key)
    assert training is not None
    section = html.split("<h2>Images through training</h2>")[1].split("</section>")[0]
    shown = re.findall(r'src="data:image/png;base64,([^"]*)".*?<figcaption>(.*?)</figcaption>', section)
    assert [base64.b64decode(grid) for grid, _ in shown] == [
        (store.files(training.identity) / f"samples-{part}.png").read_bytes() for part in (25, 50, 75, 100)
    ]
    fids = [point["fid"] for point in training.evaluation.scores]
    assert [said for _, said in shown] == [f"{25 * (i + 1)} %: FID {fid:.4g}" for i, fid in enumerate(fids)]
    assert "Images through training" not in page.read_text()  # of a run that kept none


def test_best_genome_can_be_trained_from_the_page(run: RunHistory, page: Path, tmp_path: Path) -> None:
    toml = next(pre for pre in re.findall(r"<pre>(.*?)</pre>", page.read_text(), re.S) if "[genes]" in pre)
    toml = toml.replace("&#34;", '"')
    (tmp_path / "best.toml").write_text(toml)
    read = shipped.read_genome(str(tmp_path / "best.toml"))
    assert run.best is not None
    assert GENES.key(read.genome) == run.best.row.key
    assert "evogan train best.toml --data digits --classes 3,5 --kimg 20 --samples 5000" in page.read_text()
    assert tomllib.loads(toml)["title"] == f"evolved #{run.best.row.number} of a-run"


def test_large_grids_are_embedded_small() -> None:
    """Noise does not compress: such a PNG would make a page of megabytes."""
    buffer = io.BytesIO()
    Image.effect_noise((900, 900), 200).save(buffer, "PNG")
    large, small = Grid("real", "", "", buffer.getvalue()), Grid("real", "", "", png(9))
    assert large.uri.startswith("data:image/jpeg;base64,")
    assert len(large.uri) < len(large.png)
    assert small.uri.startswith("data:image/png;base64,")


def test_hostile_names_are_only_names(objective_run: RunHistory, tmp_path: Path) -> None:
    html = write_report(objective_run, tmp_path).read_text()
    assert_self_contained(html.replace("&lt;img src=x&gt;", ""))
    for hostile in ("<i>", "<b>", "<u>", "<img src=x"):
        assert hostile not in html
    assert "&lt;b&gt;x&lt;/b&gt; $a_b$" in html
    assert "&lt;u&gt;objective" in html
    assert "[bold]kind" in text_of(tables.best_genomes(objective_run))


def test_a_fitness_that_is_no_number_is_said_to_be_none() -> None:
    def nan(trial: Trial) -> Evaluation:
        return Evaluation(status="completed", scores=({"fid": math.nan},))

    run = make_run(Store(), load_space("wdcgan"), nan, fresh=0)
    assert facts.verdict(run) == (
        "Nothing completed: all 30 evaluations failed (no finite FID 30). The first: no finite FID at any checkpoint."
    )


def test_objective_run(objective_run: RunHistory, tmp_path: Path) -> None:
    html = write_report(objective_run, tmp_path).read_text()
    assert "no published reference" in facts.verdict(objective_run)
    assert "resume a-run" not in html
    assert "kimg" not in html
    assert "against FID" not in html
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_all_failed(tmp_path: Path) -> None:
    run = make_run(Store(), load_space("wdcgan"), failing, evaluations=12)
    html = write_report(run, tmp_path).read_text()
    said = (
        "Nothing completed: all 12 evaluations failed (crashed 12). The first: ValueError: <script>alert(4)</script>."
    )
    assert facts.verdict(run) == said
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert '<td>crashed</td><td class="n">12</td>' in html  # reasons differ in a number only
    assert tables.as_document(run)["best"] is None
    assert tables.as_document(run)["confirmations"][0]["mean"] is None
    assert "Nothing completed" in text_of(tables.verdict(run))
    assert "best 0" in text_of(tables.best_genomes(run))


def test_run_that_has_only_begun(tmp_path: Path) -> None:
    store = Store()
    space = load_space("wdcgan")
    made = make_run(store, space, fake_gan, evaluations=1)
    store.add_run("new", made.document | {"seed": 9})
    run = RunHistory(store, "new")
    assert "Nothing was evaluated yet" in write_report(run, tmp_path).read_text()
    json.dumps(tables.as_document(run), allow_nan=False)


# --- the verdict


def verdict_of(evolved: list[float | None], published: list[float | None], replicates: int = 3) -> str:
    """A run whose one genome and whose reference score as given on fresh replicates."""
    space = Space(
        "tiny",
        [Gene(name="filters", kind="choice", values=(64, 96))],
        table=GENES,
        reference=["wdcgan"],
    )

    def evaluate(trial: Trial) -> Evaluation:
        values = published if trial.key == reference_key() else evolved
        value = values[trial.replicate - FRESH] if trial.replicate >= FRESH else 5.0
        if value is None:
            return Evaluation(status="diverged", reason="diverged")
        return Evaluation(status="completed", scores=({"fid": value},))

    return facts.verdict(make_run(Store(), space, evaluate, evaluations=2, fresh=replicates))


def test_verdict_better_in_every_replicate() -> None:
    said = verdict_of([12.0, 13.0, 14.0], [38.0, 39.0, 40.0])
    assert said == (
        "FID 13.0 ± 1.0 over 3 fresh replicates, against 39.0 ± 1.0 of wdcgan over 3 fresh replicates: "
        "3x better, in every replicate."
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0.5, "0.5"),
        (999.4, "999"),
        (999.6, "1 k"),
        (999_600, "1 M"),
        (1_182_000, "1.18 M"),
        (9.996e8, "1 G"),
        (5e15, "5 P"),
    ],
)
def test_large_numbers_have_the_unit_that_they_are_rounded_to(number: float, said: str) -> None:
    assert facts.many(number) == said


@pytest.mark.parametrize(
    ("metrics", "score", "said"),
    [
        (["fid"], "best", "the lowest."),
        (["fid", "kid"], "last", "the last."),
        (["manifold_recall"], "best", "the best manifold recall."),
    ],
)
def test_a_figure_says_what_chose_the_weights(metrics: list[str], score: str, said: str) -> None:
    scores = tuple({"kimg": k, "fid": 9.0 - k, "kid": 1.0, "manifold_recall": 0.1} for k in (1.0, 2.0))
    chosen = {CHOSEN_BY: {"metrics": metrics, "score": score}}
    drawn = training_figures.fid(Evaluation(status="completed", scores=scores, provenance=chosen))
    assert drawn is not None and drawn.caption.endswith(f"The weights are those of {said}")


def test_logarithms_have_no_ratio() -> None:
    one, other = (Namespace(shown=value, mean=value) for value in (20.0, 23.0))
    assert facts._times("fid", one, other) == "1.15x better"  # type: ignore[arg-type]
    assert facts._times("psnr", one, other) == ""  # type: ignore[arg-type]


def test_verdict_claims_nothing_where_replicates_overlap() -> None:
    said = verdict_of([12.0, 13.0, 30.0], [20.0, 22.0, 24.0])
    assert "overlap, so no clear difference" in said
    assert "x better" not in said


def test_verdict_worse_than_the_reference() -> None:
    said = verdict_of([30.0, 30.0, 30.0], [10.0, 10.0, 10.0])
    assert said.startswith("Nothing better than wdcgan was found")
    assert "3x worse" in said


def test_verdict_counts_failed_replicates() -> None:
    assert "2 fresh replicates (1 more failed)" in verdict_of([12.0, None, 13.0], [38.0, 39.0, 40.0])
    assert "failed on every fresh replicate" in verdict_of([None, None, None], [38.0, 39.0, 40.0])
    assert "wdcgan failed on every replicate" in verdict_of([9.0, 9.0, 9.0], [None, None, None])


def test_a_failed_replicate_is_not_better() -> None:
    said = verdict_of([12.0, None, 13.0], [38.0, 39.0, 40.0])
    assert said.endswith("a better mean of what completed, but not all did, so no clear difference.")
    said = verdict_of([30.0, 30.0, 30.0], [29.0, 29.0, None])  # it stands first, by its failures
    assert said.endswith("fewer failures, but no better mean, so no clear difference.")
    assert "Nothing better" in verdict_of([30.0, None, 30.0], [29.0, 29.0, None])
    assert "in every replicate" in verdict_of([12.0, 12.0, 13.0], [38.0, 39.0, None])


def test_one_replicate_has_no_spread_and_shows_no_difference() -> None:
    said = verdict_of([10.0], [20.0], replicates=1)
    assert "±" not in said
    assert said.endswith(": one replicate shows no difference.")


def test_a_reference_that_another_run_checked_is_not_the_best_of_this_one(tmp_path: Path) -> None:
    space = load_space("wdcgan")
    one = make_run(Store(tmp_path), space, fake_gan, evaluations=9)
    assert any(standing.best for standing in facts.standings(one))
    other = make_run(one.store, space, fake_gan, evaluations=9, name="other", fresh=0)
    other.settings = replace(other.settings, confirm=3)  # its winners are not checked yet
    assert [standing.best for standing in facts.standings(other)] == [False]


def test_a_page_says_what_a_run_was_told_by(tmp_path: Path) -> None:
    run = make_run(Store(), load_space("wdcgan"), fake_gan, evaluations=9)
    page = write_report(run, tmp_path / "one").read_text()
    assert "never on the number of workers" in page and "evogan resume" in page
    run.settings = replace(run.settings, order="completion")
    run.facts = replace(run.facts, table="digits-wdcgan", kind="surrogate")
    page = write_report(run, tmp_path / "other").read_text()
    assert "which trials were fast" in page and "on table <code>digits-wdcgan</code>" in page
    assert "evogan resume" not in page


def test_verdict_without_confirmations() -> None:
    run = make_run(Store(), load_space("wdcgan"), fake_gan, evaluations=9, fresh=0)
    assert "not checked on fresh replicates" in facts.verdict(run)
    assert f"{run.ranking[0].value:.4g}" in facts.verdict(run)


# --- flags


def collapsing(trial: Trial) -> Evaluation:
    """Every second genome has lost most of its classes; the first of them never learned either."""
    sick = trial.seed % 2 == 0
    last = {"fid": 10.0 + trial.seed % 100, "coverage": 0.3 if sick else 1.0, "diversity": 0.9, "collision": 0.0}
    return Evaluation(status="completed", scores=(last,), flags=("mode_collapse",) if sick else ())


def test_flags_are_counted_and_explained(tmp_path: Path) -> None:
    run = make_run(Store(), load_space("wdcgan"), collapsing, evaluations=20)
    sick = sum("mode_collapse" in evaluation.flags for evaluation in facts.evaluations(run))
    assert 0 < sick < 20
    said = "mode collapse: 30% of the classes appear"
    assert facts.flagged(facts.evaluations(run)) == {"mode_collapse": facts.Flagged(sick, said)}
    html = write_report(run, tmp_path).read_text()
    assert f'<td>mode collapse</td><td class="n">{sick}</td><td class="long">{said}</td>' in html
    assert "of 20 evaluations" in html
    assert said in text_of(tables.troubles(run))
    assert tables.as_document(run)["flags"] == {"mode_collapse": sick}


def test_why_an_evaluation_failed() -> None:
    crashed = Evaluation(status="crashed", reason="ValueError: no")
    diverged = Evaluation(status="diverged", reason="real loss is nan by 0.1 kimg", flags=("divergence",))
    late = replace(diverged, status="completed", cut_short="diverged", reason="diverged: fake loss is inf")
    assert facts.why(crashed) == ["crashed: ValueError: no"]
    assert facts.why(diverged) == ["divergence: real loss is nan by 0.1 kimg"]
    assert facts.why(late) == ["divergence: fake loss is inf"]
    assert facts.why(Evaluation(status="completed")) == []
    assert facts.why(Evaluation(status="diverged", reason="as version 1 has it")) == ["diverged: as version 1 has it"]


# --- importance and ranks


def test_importance_finds_the_gene_that_matters(run: RunHistory) -> None:
    found = gene_importance(run)
    assert isinstance(found, Importance)
    assert found.genes[0] == "learning_rate"
    assert found.means[0] > 5 * found.means[1]
    assert found.evaluations == len(run.ranking)
    assert sum(found.means[1:]) < 0.1 * found.means[0], "what does not matter is not said to, a little each"


def test_figures_say_what_they_show(run: RunHistory) -> None:
    found = gene_importance(run)
    assert isinstance(found, Importance)
    assert "on genomes that it has not seen" in figures.importance(found).caption

    def measured(trial: Trial) -> Evaluation:
        scores = {name: float(trial.seed // 7**i % 7) for i, name in enumerate(("fid", "kid", "swd"))}
        return Evaluation(status="completed", scores=(scores,))

    for fitness, every in (("fid,kid", "both"), ("fid,kid,swd", "all 3")):
        several = make_run(
            Store(), load_space("wdcgan"), measured, fitness=fitness, fresh=0, strategy="nsga2", evaluations=20
        )
        shown = [told.values or () for told in several.ranking]
        assert not any(
            all(a < b for a, b in zip(v, told.values or (), strict=True)) for told in several.front for v in shown
        )
        drawn = figures.front(several)
        assert drawn is not None and f"better in {every} than one on the front" in drawn.caption


def test_importance_is_twice_the_share_of_the_variance() -> None:
    """Of a sum of independent terms: a shuffled one is lost, and as much is put in its place."""
    x = np.random.default_rng(0).normal(size=(4000, 3))
    r2, drops = _held_out(lambda *_: lambda vectors: 3 * vectors[:, 0] + vectors[:, 1], x, 3 * x[:, 0] + x[:, 1])
    assert r2 == 1
    assert drops.mean(axis=1) == pytest.approx([2 * 0.9, 2 * 0.1, 0], abs=0.05)
    assert drops.shape == (3, REPEATS)


def test_importance_says_why_it_is_missing() -> None:
    few = make_run(Store(), load_space("wdcgan"), fake_gan, evaluations=5)
    assert "least from which importance" in str(gene_importance(few))

    def noise(trial: Trial) -> Evaluation:
        return Evaluation(status="completed", scores=({"fid": 10 + trial.seed % 1000 / 100},))

    assert "nothing to say" in str(gene_importance(make_run(Store(), load_space("wdcgan"), noise, evaluations=30)))


def test_spearman_of_losses_and_fid() -> None:
    """A normalised loss that orders genomes exactly the wrong way."""

    def opposite(trial: Trial) -> Evaluation:
        fid = 10 + trial.seed % 1000 / 10
        return Evaluation(status="completed", scores=({"fid": fid, "normalized_loss": 1 / fid},))

    run = make_run(Store(), load_space("wdcgan"), opposite, evaluations=20)
    drawn = figures.loss_against_fid(run)
    assert drawn is not None
    assert "of 20 genomes" in drawn.caption
    assert "correlation -1.00" in drawn.caption
    assert f"has FID {run.ranking[-1].value:.4g}, rank 20" in drawn.caption


# --- documents and tables


def test_document_is_json_and_true(run: RunHistory) -> None:
    document = json.loads(json.dumps(tables.as_document(run), allow_nan=False))
    best = run.best
    assert best is not None
    assert document["best"]["genome"] == dict(best.row.genome)
    assert document["best"]["value"] == best.value
    failed = sum(told.value is None for told in run.history)
    assert document["counts"] == {
        "proposals": 60,
        "evaluations": 60,
        "genomes": 60,
        "failed": failed,
        "pushed": 0,
        "spent": 60.0,
    }
    assert document["front"][0]["values"] == {"fid": run.ranking[0].value}
    named = {c["name"]: c for c in document["confirmations"]}
    assert len(named) == 4
    assert named["wdcgan"]["replicates"] == 3
    assert named["wdcgan"]["mean"] > named[f"evolved #{best.row.number}"]["mean"]


def test_evaluation_document_is_json() -> None:
    evaluation = Evaluation(
        status="completed",
        scores=({"fid": 3.0, "normalized_loss": math.nan},),
        diagnostics=({"critic": {"head": {"gradient": math.inf, "singular": 2.0}}},),
        flags=("memorisation",),
        files={"samples.png": b"x"},
    )
    document = json.loads(json.dumps(tables.evaluation_document(evaluation), allow_nan=False))
    assert document["scores"] == [{"fid": 3.0, "normalized_loss": None}]
    assert document["diagnostics"] == [{"critic": {"head": {"gradient": None, "singular": 2.0}}}]
    assert document["flags"] == ["memorisation"]
    assert "files" not in document


def test_tables_show_the_run(run: RunHistory) -> None:
    said = text_of(tables.verdict(run))
    for c in run.confirmations:
        assert c.name in said
        assert f"{c.mean:.4g}" in said
    assert facts.verdict(run).split(",")[0] in said
    listed = text_of(tables.runs([run]))
    assert "a-run" in listed
    assert "60/60" in listed
    top = text_of(tables.best_genomes(run))
    assert f"{run.ranking[9].value:.4g}" in top
    assert f"{run.ranking[10].value:.4g}" not in top
    checkpoints = text_of(tables.scores(run.ranking[0].evaluation))
    assert checkpoints.count("\n") >= 6
    assert f"{run.ranking[0].evaluation.scores[0]['fid']:.4g}" in checkpoints


def test_the_list_of_runs_says_whose_best_it_has(run: RunHistory) -> None:
    shown = text_of(tables.runs([run]))
    assert f"{facts.fitness(run, run.best):.4g}" in shown and "in the search" in shown
    assert "in the search" not in text_of(tables.runs([]))


def test_tables_of_what_is_shipped() -> None:
    assert "WDCGAN" in text_of(
        tables.zoo([tables.zoo_row(shipped.read_genome("wdcgan"), {"generator": 1, "critic": 2})])
    )
    listed = text_of(tables.spaces([load_space("wdcgan")]))
    assert "1.5e+05" in listed
    genes = text_of(tables.genes(GENES))
    assert all(gene in genes for gene in GENES)
    assert "population" in text_of(tables.strategies())


def test_features_table_takes_any_fields() -> None:
    said = text_of(tables.features([{"name": "digits", "floor": 1.23456}, {"name": "x", "accuracy": 0.5}]))
    assert "1.235" in said
    assert "accuracy" in said


def test_generations_are_summed_up(tmp_path: Path) -> None:
    """Beside pandas."""
    run = make_run(Store(tmp_path), load_space("wdcgan"), fake_gan, evaluations=70, fresh=0, strategy="ga")
    found = {one.number: one for one in facts.generations(run)}
    frame = run.to_dataframe()
    there = frame[frame.fitness.notna()].groupby("generation").fitness
    assert list(found) == list(there.groups) and len(found) > 2
    for name, theirs in {
        "average": there.mean(),
        "deviation": there.std(ddof=0),
        "best": there.min(),
        "worst": there.max(),
        "genomes": there.count(),
        "failed": frame.fitness.isna().groupby(frame.generation).sum(),
    }.items():
        for number, one in found.items():
            assert getattr(one, name) == pytest.approx(theirs[number]), name
    assert all(one.leader.value == one.best for one in found.values())
    page = write_report(run, tmp_path / "page").read_text()
    strip = re.findall(r"generation (\d+): FID ([\d.]+), #(\d+)", page)
    assert [(int(number), int(proposal)) for number, _, proposal in strip] == [
        (one.number, one.leader.row.number) for one in found.values()
    ]
    assert "<h2>Lineage</h2>" in page and "<h2>How the best came about</h2>" in page
    assert "Generation by generation" in page and "<td>generation</td>" in page
    assert tables.best_genomes(run).columns[0]._cells[1] == Text("generation")


def test_a_strategy_without_generations_has_none(run: RunHistory, page: Path) -> None:
    assert facts.generations(run) == [] and "generation" not in page.read_text().lower().replace("regeneration", "")
