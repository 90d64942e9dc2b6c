"""What others named or left lying about stays a name and a file: it leads nowhere, runs nothing, tells no secrets."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evogan import search
from evogan.bench.bench import _table_name
from evogan.campaigns.carry_out import _why
from evogan.campaigns.plan import read_campaign
from evogan.comparison import Comparison
from evogan.engine import Judge
from evogan.errors import UserError
from evogan.monitor import Log
from evogan.report.comparison import markdown
from evogan.report.export import export_table
from evogan.report.grids import Grid, real_grid
from evogan.runs.checks import check_name
from evogan.settings import Resources
from evogan.space import Space
from tests import test_cli
from tests.conftest import mixed_space, score
from tests.test_cli import mistake

shell = test_cli.run
FORMULAS = ("=1+1", "+x", "-x", "@x", "\tx", "\rx")


def named(name: str) -> Space:
    """A space of that name, with values that a spreadsheet would carry out."""
    document = mixed_space().document() | {"name": name}
    for gene in document["genes"].values():
        if gene["kind"] == "choice":
            gene["values"] = [*FORMULAS, *gene["values"]]
    return Space.from_document(document)


def found(called: str, **options: Any) -> Any:
    return search(named(called), objective=lambda genes: -score(dict(genes)), task=called, workers=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["/../../escaped", "../up", "..", ".", "a/b", "a\0b", "~root", "-rf", "\x1b[2J", "x" * 300]
)
def test_no_name_leads_out_of_its_folder(name: str, tmp_path: Path) -> None:
    """Of a space and a campaign: their tables, pages and runs are named by them."""
    table = Path(_table_name(name.replace("\0", ""), name))
    assert table.name == str(table) and not table.is_absolute() and table.name not in ("", ".", "..")
    run = found(name, evaluations=2, strategy="random", runs=tmp_path / "runs")
    check_name(run.name)
    assert run.report().is_relative_to(tmp_path / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize("name", ["a/../../up", "up..", "a b"])
def test_runs_of_a_campaign_have_names_of_runs(name: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'name = "{name}"\ndata = ["digits"]\nspaces = ["wdcgan"]\nstrategies = ["ga"]\nseeds = 1\n')
    (planned,) = read_campaign(file).runs
    check_name(planned.name)
    file.write_text(file.read_text().replace(name, "/../../up"))
    with pytest.raises(UserError, match="name: must begin with a letter"):
        read_campaign(file)


def test_a_store_from_elsewhere_names_no_report_outside(tmp_path: Path) -> None:
    run = found("space", evaluations=2, strategy="random", runs=tmp_path / "runs")
    run.store.add_run("../../up", run.document)
    with pytest.raises(UserError, match=r"run name '../../up'"):
        type(run)(run.store, "../../up").report()


def test_no_text_is_a_formula_in_a_spreadsheet_and_numbers_stay_numbers(tmp_path: Path) -> None:
    run = found("space", evaluations=60, strategy="random", options=None)
    export_table(run, "csv", tmp_path / "x.csv")
    table, frame = pd.read_csv(tmp_path / "x.csv"), run.to_dataframe()
    assert set(frame["gene_kind"]) & set(FORMULAS)
    assert table["gene_kind"].tolist() == [f"'{kind}" if kind in FORMULAS else kind for kind in frame["gene_kind"]]
    assert (frame["value"] < 0).any() and table["value"].tolist() == frame["value"].tolist()


def test_names_are_no_markup_in_a_comparison() -> None:
    text = markdown(
        Comparison([found("![x](https://x.example) # <b> & ~~a~~\n\n# b", evaluations=3, strategy="random")])
    )
    row = next(line for line in text.splitlines() if "| random |" in line)
    assert r"\!\[x\](https://x.example) \# \<b\> \& \~\~a\~\~ \# b".replace(r"\!", "!") in row


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:SECRET@127.0.0.1:1/x",
        "postgresql://127.0.0.1:1/x?user=me&password=SECRET",
        "postgresql://127.0.0.1:1/x?user=me&sslpassword=SECRET",
        "postgresql://me:SEC@RET/SECRET@127.0.0.1:1/x",
        "nosql://me:SECRET@h/x",
        "sqlite:////nowhere/x.db?password=SECRET",
    ],
)
def test_a_url_is_told_without_its_secrets(url: str, shell: test_cli.Run, tmp_path: Path) -> None:
    found("space", evaluations=2, strategy="random", runs=tmp_path / "runs", name="toy")
    result = shell(f"export optuna toy --runs {tmp_path / 'runs'} --to", url)
    mistake(result, "storage '")
    assert "SEC" not in result.err + result.out


def test_a_written_study_is_told_without_its_secrets(shell: test_cli.Run, tmp_path: Path) -> None:
    found("space", evaluations=2, strategy="random", runs=tmp_path / "runs", name="toy")
    result = shell(f"export optuna toy --runs {tmp_path / 'runs'} --to", "sqlite:///x.db?cache=SECRET")
    assert (result.code, result.err, result.out) == (0, "", "sqlite:///x.db  study 'toy' with 2 trials\n")
    with pytest.raises(UserError) as error:
        Resources(ray="ray://me:SECRET@host:6379")
    assert "SECRET" not in str(error.value)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [pipe, endless, huge, Path.mkdir])
def test_what_is_no_small_file_is_refused_before_it_is_read(make: Callable[[Path], None], tmp_path: Path) -> None:
    run = found("space", evaluations=2, strategy="random", runs=tmp_path / "runs")
    crash, log, real = (
        tmp_path / "crashed.txt",
        tmp_path / "log.jsonl",
        run.store.task_file(run.document["task"], "real.png"),
    )
    real.parent.mkdir()
    for path in (crash, log, real):
        make(path)
    with pytest.raises(UserError, match=str(crash)):
        _why(crash)
    if make is not huge:  # a log may be long
        with pytest.raises(UserError, match=str(log)):
            Log(log, "run", Judge("value"))
    if make is huge:
        with pytest.raises(UserError, match=str(real)):
            list(real_grid(run))
    else:
        assert list(real_grid(run)) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "for a reason that is not known"),
        (b"\n\n", "for a reason that is not known"),
        (b"a\n\xff b\n", "\ufffd b"),
    ],
)
def test_why_a_run_crashed_may_be_anything(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "crashed.txt").write_bytes(content)
    assert _why(tmp_path / "crashed.txt") == why
    assert _why(tmp_path / "none") == ""


def test_a_damaged_grid_is_one_line() -> None:
    grid = Grid("x", "x", "x", b"\x89PNG" + bytes(200_000))
    with pytest.raises(UserError, match="a grid of images is damaged"):
        grid.uri  # noqa: B018
    assert replace(grid, png=b"small").uri.startswith("data:image/png;base64,")
