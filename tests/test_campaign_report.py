"""The page of a campaign says what its runs say, as far as they are, and links to a page of each."""

from __future__ import annotations

import io
import os
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import evogan
from evogan import UserError, report_campaign, run_campaign
from evogan.comparison import Comparison
from evogan.evaluation.evaluator import GANEvaluator
from evogan.report import facts
from evogan.stable import derive_seed
from evogan.strategies import STRATEGIES
from evogan.trial import Evaluation, Trial
from tests.test_campaigns import SMALL, Command, write
from tests.test_cli import mistake, run
from tests.test_report import assert_self_contained, png

__all__ = ["run"]  # a fixture
LARGER = (("evaluations = 3", "evaluations = 12"), ("confirm = 1", "confirm = 2"))


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is really trained; one training in four fails."""

    def evaluate(self: GANEvaluator, trial: Trial) -> Evaluation:
        luck = derive_seed(trial.key, "luck", trial.replicate)
        if luck % 4 == 0 and trial.replicate < 1000:
            return Evaluation(status="diverged", reason=f"critic loss is nan at iteration {luck % 90}")
        cost = {"seconds": 1.0 + luck % 3}
        fid = {"fid": luck % 1000 + 1.0, "fidelity": trial.fidelity}
        return Evaluation(status="completed", scores=(fid,), cost=cost, files={"samples.png": png(luck % 256)})

    monkeypatch.setattr(GANEvaluator, "__call__", evaluate)


def links(page: Path) -> list[Path]:
    """The files that the page links to."""
    found = dict.fromkeys(re.findall(r'href="([^"#][^"]*)"', page.read_text()))
    return [(page.parent / unquote(unescape(link))).resolve() for link in found]


def test_the_page_has_what_the_runs_have(run: Command, tmp_path: Path) -> None:
    path = write(tmp_path, SMALL, *LARGER)
    runs = run_campaign(path, runs=tmp_path / "runs").runs
    done = run(f"campaign report {path}")
    assert (done.code, done.err) == (0, "")
    page = tmp_path / done.out.strip()
    assert page == tmp_path / "runs" / "small" / "campaign.html"
    html = page.read_text()
    assert_self_contained(re.sub(r'href="[^"#]*report\.html"', "", html))
    assert unescape(html).count(Comparison(runs).verdict) == 1
    for title in ("The best on digits/tiny", "Results", "Paired wins", "Why it failed", "All runs"):
        assert f"<h2>{title}</h2>" in html
    assert "<dd>4 done</dd>" in html
    assert "so far.</p>" not in html
    assert html.count('<svg class="figure"') == 2
    assert html.count("data:image/png;base64,") == 3  # real, wdcgan, the best
    assert sorted(links(page)) == sorted(tmp_path / "runs" / one.name / "report.html" for one in runs)
    assert all(link.is_file() for link in links(page))


def test_the_best_is_the_best_on_fresh_replicates(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL, *LARGER)
    runs = run_campaign(path, runs=tmp_path / "runs").runs
    html = unescape(report_campaign(path, runs=tmp_path / "runs").read_text())
    checked = {one.name: facts.checked_best(one) for one in runs}
    best = min(runs, key=lambda one: checked[one.name].mean)  # type: ignore[union-attr]
    assert f"<p>{facts.verdict(best)}</p>" in html
    assert f"{best.name}</a>, the best of 4 runs" in html
    for one in runs:
        found = checked[one.name]
        assert found is not None
        row = next(row for row in re.findall(r"<tr>.*?</tr>", html) if f">{one.name}</a></td>" in row)
        assert f'<td class="n">{facts.figure(found)}</td>' in row
        assert f'<td class="n">{one.ranking[0].value:.4g}</td>' in row


def test_what_is_said_of_checks_is_what_was_done(tmp_path: Path) -> None:
    """The file may ask for less than was checked already."""
    run_campaign(write(tmp_path, SMALL, *LARGER), runs=tmp_path / "runs")
    page = report_campaign(write(tmp_path, SMALL, LARGER[0]), runs=tmp_path / "runs")
    assert re.search(r"<dt>winners checked</dt><dd>\d on 2 fresh seeds</dd>", page.read_text())


def test_without_a_reference_the_genes_of_the_best_are_those_of_its_space(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL, *LARGER, ("[resources]", 'references = ["none"]\n[resources]'))
    done = run_campaign(path, runs=tmp_path / "runs").runs
    assert len(done) == 4  # though they were checked beside less than the space asks for
    best = min(done, key=lambda one: facts.checked_best(one).order).best  # type: ignore[union-attr]
    assert best is not None
    genes = ", ".join(f"{name} {facts.short(value)}" for name, value in best.row.genome.items())
    assert f"Its genes: {genes}." in report_campaign(path, runs=tmp_path / "runs").read_text()


def test_a_campaign_with_a_reference_that_cannot_make_its_images_ends(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL, *LARGER)
    space = tmp_path / "tiny.toml"
    space.write_text(space.read_text().replace('["wdcgan"]', '["wdcgan", "seqgan"]'))
    runs = run_campaign(path, runs=tmp_path / "runs").runs
    assert len(runs) == 4 and {name for run in runs for name, _, _ in run.facts.reference} == {"wdcgan"}
    path.write_text(path.read_text().replace("confirm = 2", "confirm = 3"))
    more = run_campaign(path, runs=tmp_path / "runs").runs
    assert [len(one.evaluations) for run in more for one in run.confirmations] == [3] * 8
    assert "<dd>4 done</dd>" in report_campaign(path, runs=tmp_path / "runs").read_text()


def test_failures_are_counted_by_strategy(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL, *LARGER)
    runs = run_campaign(path, runs=tmp_path / "runs").runs
    html = report_campaign(path, runs=tmp_path / "runs").read_text()
    counts = {
        strategy: sum(e.failed for one in runs if one.document["strategy"] == strategy for e in facts.evaluations(one))
        for strategy in ("ga", "random")
    }
    assert all(counts.values())
    row = next(row for row in re.findall(r"<tr>.*?</tr>", html) if "critic loss is nan" in row)
    assert re.findall(r'<td class="n">(\d*)</td>', row) == [str(counts["ga"]), str(counts["random"])]


def test_half_a_campaign_is_reported_as_far_as_it_is(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, SMALL, ("seeds = 2", "seeds = 1"))
    with monkeypatch.context() as broken:
        broken.setattr(STRATEGIES["ga"].make, "tell", lambda *told: 1 / 0)
        run_campaign(path, runs=tmp_path / "runs")
    path = write(tmp_path)
    html = report_campaign(path, runs=tmp_path / "runs").read_text()
    assert "1 of 4 runs are done." in html
    assert "<dd>1 done, 1 crashed, 2 waiting</dd>" in html
    assert "ZeroDivisionError: division by zero" in html
    assert "<td>small-digits-tiny-random-s1</td><td>waiting</td>" in html  # no link
    assert "not finished: 1 of 3 evaluations" in html
    assert "nothing to compare" in html


def test_pages_of_runs_are_written_once(tmp_path: Path) -> None:
    path = write(tmp_path)
    ran = run_campaign(path, runs=tmp_path / "runs").runs
    report_campaign(path, runs=tmp_path / "runs")
    pages = [tmp_path / "runs" / one.name / "report.html" for one in ran]
    for page in pages:
        page.write_text("seen")
    os.utime(pages[0], (0, 0))  # older than its run
    report_campaign(path, runs=tmp_path / "runs")
    assert [page.read_text() == "seen" for page in pages] == [False, True, True, True]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evogan.engine.database._only_readable", lambda path: True)
        page = report_campaign(path, runs=tmp_path / "runs", out=tmp_path / "elsewhere")
    assert sorted(links(page)) == sorted(tmp_path / "elsewhere" / one.name / "report.html" for one in ran)
    assert all(link.is_file() for link in links(page))
    assert [page.read_text() == "seen" for page in pages] == [False, True, True, True]


def test_the_page_may_lie_elsewhere(run: Command, tmp_path: Path) -> None:
    path = write(tmp_path)
    run_campaign(path, runs=tmp_path / "runs")
    assert run(f"campaign report {path} --out", "over here/#1").out.strip() == "over here/#1/campaign.html"
    found = links(tmp_path / "over here" / "#1" / "campaign.html")
    assert len(found) == 4
    assert all(link.is_file() for link in found)


def test_problems_and_strategies_are_called_as_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "named.toml"
    write(tmp_path)
    path.write_text(
        'spaces = ["./tiny.toml"]\nseeds = 1\nevaluations = 3\nconfirm = 0\n[resources]\nworkers = 1\n'
        '[data.low]\ndata = "digits"\nclasses = [0, 1]\n[data."<i>high"]\ndata = "digits"\nclasses = [8, 9]\n'
        '[strategies.random]\n[strategies.few]\nstrategy = "ga"\npopulation = 4\n'
    )
    run_campaign(path, runs=tmp_path / "runs")
    html = report_campaign(path, runs=tmp_path / "runs").read_text()
    for name in ("low/tiny", "&lt;i&gt;high/tiny"):
        assert f"<td>{name}</td><td>few</td>" in html
    assert "<i>" not in html


def test_nothing_ran_yet(run: Command, tmp_path: Path) -> None:
    path = write(tmp_path)
    mistake(run(f"campaign report {path}"), "nothing was run there yet")
    mistake(run("campaign report nothing.toml"), "nothing.toml")
    assert not (tmp_path / "runs").exists()
    evogan.search("wdcgan", evaluations=1, confirm=0, workers=1, kimg=0.05, samples=50, runs=tmp_path / "runs")
    mistake(run(f"campaign report {path}"), f"{path}: none of its 4 runs has begun in '/", "/runs'")
    assert not (tmp_path / "runs" / "small").exists()
    with pytest.raises(UserError, match="No such file"):
        report_campaign(tmp_path / "nothing.toml")


def test_pages_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where every grid is noise, which compresses worst."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 600, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    noise = buffer.getvalue()
    assert len(noise) > 1_000_000
    parts = (0.25, 0.5, 0.75, 1.0)
    files = dict.fromkeys(("samples.png", *(f"samples-{100 * part:.0f}.png" for part in parts)), noise)

    def evaluate(self: GANEvaluator, trial: Trial) -> Evaluation:
        scores = tuple({"fid": 9.0 + derive_seed(trial.key) % 99, "kimg": part, "fidelity": part} for part in parts)
        return Evaluation(status="completed", scores=scores, files=files)

    monkeypatch.setattr(GANEvaluator, "__call__", evaluate)
    path = write(tmp_path, SMALL, ("seeds = 2", "seeds = 1"))
    run_campaign(path, runs=tmp_path / "runs")
    page = report_campaign(path, runs=tmp_path / "runs")
    assert page.stat().st_size < 2_000_000
    assert all(link.stat().st_size < 4_000_000 for link in links(page))
