"""An option is declared once: whatever users meet is made from its declaration."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer.testing

import evogan
from evogan import UserError
from evogan.campaigns.plan import read_campaign
from evogan.cli import app
from evogan.options import GROUPS, options_of
from evogan.settings import GANSettings, Output, Resources, SearchSettings, doors
from evogan.settings.page import page

ROOT = Path(__file__).parent.parent
DECLARED = '    stamina: int = option(7, low=2, high=9, group="budget", help="What the test waits for.")\n'
LOOKS = """
import contextlib, inspect, io, pathlib, sys
import evogan
from evogan.settings.page import page

with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
    sys.argv = ["evogan", "search", "--help"]
    from evogan.cli import main
    main()
assert "--stamina <int>" in said.getvalue() and "What the test waits for. (2 to 9)" in said.getvalue()
assert inspect.signature(evogan.search).parameters["stamina"].default == 7
assert "stamina: What the test waits for." in evogan.search.__doc__
assert "| `--stamina` |  | a whole number, 2 to 9 | `7` | What the test waits for. | campaign files |" in page()

file = pathlib.Path("new.toml")
file.write_text("data = ['digits']\\nspaces = ['wdcgan']\\nstrategies = ['ga']\\nseeds = 1\\nstamina = 3\\n")
from evogan.campaigns.plan import read_campaign
assert read_campaign(file).runs[0].search["stamina"] == 3

space = evogan.Space("line", [evogan.Gene(name="x", kind="float", low=0.0, high=1.0)])
kept = {"task": "line", "strategy": "random", "evaluations": 2, "workers": 1, "runs": "kept", "name": "mine"}
run = evogan.search(space, objective=lambda genes: genes["x"], stamina=5, **kept)
assert run.settings.stamina == run.document["stamina"] == 5
for wrong, why in ((1, "stamina must be at least 2, not 1"), (6, "was started with another stamina: 5, not 6")):
    try:
        evogan.search(space, objective=lambda genes: genes["x"], stamina=wrong, **kept)
    except evogan.UserError as error:
        assert why in str(error), error
    else:
        raise AssertionError(wrong)
"""


def test_a_new_option_reaches_everything_by_one_declaration(tmp_path: Path) -> None:
    """A copy of the package with one line more."""
    shutil.copytree(ROOT / "evogan", tmp_path / "evogan", ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("genomes", "search_spaces"):
        (tmp_path / room).symlink_to(ROOT / room)
    file = tmp_path / "evogan" / "settings" / "search.py"
    before, after = file.read_text().split("    gan: GANSettings | None = None\n")
    file.write_text(before + DECLARED + "    gan: GANSettings | None = None\n" + after)
    done = subprocess.run([sys.executable, "-c", LOOKS], cwd=tmp_path, capture_output=True, text=True, env={})
    assert done.returncode == 0, done.stderr


def test_the_page_of_options_is_up_to_date() -> None:
    """`python -m evogan.settings.page > docs/options.md` renews it."""
    assert (ROOT / "docs" / "options.md").read_text() == page()


def test_python_shows_every_option_with_its_default() -> None:
    shown = inspect.signature(evogan.search).parameters
    for one in doors.SEARCH:
        assert shown[one.name].default == one.default, one.name
        if one.name != "data":
            assert shown[one.name].kind is inspect.Parameter.KEYWORD_ONLY
    assert all(p.default is None for p in inspect.signature(evogan.resume).parameters.values() if p.name in SETTLED)
    assert "kimg" in inspect.signature(evogan.train).parameters


SETTLED = {*options_of(SearchSettings), *options_of(Resources)}


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("search", doors.SEARCH),
        ("resume", doors.RESUME),
        ("train", doors.TRAIN),
        ("evaluate", doors.EVALUATE),
        ("critic", doors.CRITIC),
        ("features train", doors.FEATURES),
        ("bench run", doors.BENCH),
    ],
)
def test_the_command_line_has_every_option_in_its_group(command: str, options: list[Any]) -> None:
    help = typer.testing.CliRunner().invoke(app, [*command.split(), "--help"]).output
    sections = dict(re.findall(r"^(\w+):\n((?:  .*\n|\n(?=  ))+)", help, re.MULTILINE))
    for one in options:
        assert (one.flag or f"--{one.name.replace('_', '-')}") + " " in sections[one.group.capitalize()], one.name


def test_every_option_has_a_group_and_a_sentence() -> None:
    for of in (SearchSettings, GANSettings, Resources, Output):
        for one in options_of(of).values():
            assert one.group in GROUPS and one.help.endswith("."), one.name


def test_no_two_options_have_one_name() -> None:
    names = [one.name for one in doors.SEARCH]
    assert len({*names}) == len(names)


def test_resources_may_be_said_one_by_one_or_together() -> None:
    space = evogan.Space("line", [evogan.Gene(name="x", kind="float", low=0.0, high=1.0)])
    run = evogan.search(
        space,
        objective=lambda genes: float(genes["x"]),
        evaluations=2,
        strategy="random",
        resources=Resources(workers=2, retries=5),
        workers=1,
    )
    assert (run.settings.resources.workers, run.settings.resources.retries) == (1, 5)
    with pytest.raises(UserError, match="unknown keyword 'wrkers': did you mean 'workers'"):
        evogan.search(space, objective=lambda genes: 1.0, wrkers=1)


def test_memory_is_in_gigabytes_everywhere() -> None:
    """Older runs recorded bytes."""
    assert Resources(memory_per_trial=1.5).memory == 1.5e9
    assert Resources.recorded({"memory_per_trial": 1.5e9}) == Resources(memory_per_trial=1.5)
    assert Resources.recorded(asdict(Resources(memory_per_trial=1.5))) == Resources(memory_per_trial=1.5)
    with pytest.raises(UserError, match="memory_per_trial must be at most 1000000, not 8000000000"):
        Resources(memory_per_trial=8e9)


def test_what_a_record_lacks_has_its_default() -> None:
    least = {"space": {"name": "x"}, "strategy": "ga", "gan": {"data": "mnist"}}
    found = SearchSettings.recorded(least)
    assert found == SearchSettings(space=least["space"], strategy="ga", gan=GANSettings(data="mnist"))
    assert SearchSettings.recorded(asdict(found)) == found
    with pytest.raises(UserError):
        SearchSettings.recorded(least | {"resources": {"elves": 3}})


def test_memory_is_in_gigabytes_outside_of_python(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('data = ["digits"]\nspaces = ["wdcgan"]\nstrategies = ["ga"]\nseeds = 1\n[resources]\n')
    path.write_text(path.read_text() + "memory_per_trial = 1.5\nfuse = 1\n")
    assert read_campaign(path).resources == Resources(memory_per_trial=1.5, fuse=1)
