"""What README, docs and examples show works as it is shown."""

from __future__ import annotations

import doctest
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.testing

import evogan
from evogan.cli import app
from evogan.space import load_space
from evogan.strategies import STRATEGIES, explained

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
EXAMPLES = ROOT / "examples"


def commands() -> Iterator[str]:
    """Every line of code, and every piece of code in a sentence or a table, that calls evogan with more than a name."""
    for page in PAGES:
        for found in re.findall(r"^(evogan .*?)$|`(evogan .*?)`", page.read_text(), re.MULTILINE):
            yield " ".join(shlex.split("".join(found), comments=True))


def test_there_are_commands_in_the_docs() -> None:
    assert len({command.split()[1] for command in commands()}) > 15


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_of_the_docs_is_one(command: str) -> None:
    if " | " in command:
        pytest.skip("several names in one line")
    done = typer.testing.CliRunner().invoke(app, [*command.split()[1:], "--help"])
    assert done.exit_code == 0, done.output


def test_the_space_of_the_readme_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "mine.toml").write_text(text)
    assert load_space(str(tmp_path / "mine.toml")).dimension == text.count("[genes.")


def test_the_files_that_the_docs_link_to_are_there() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(*space: Any, **settings: Any) -> evogan.Run:
        if "objective" not in settings:
            settings |= {"evaluations": 2, "kimg": 0.2, "samples": 100, "confirm": 1, "workers": 1}
        return search(*space, **settings)

    search = evogan.search
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evogan, "search", small)
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_ends_with_an_example_that_runs(name: str) -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(STRATEGIES[name].make, name, globs={})
    said: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(example, out=said.append)
    assert not runner.failures and runner.tries >= 4, "".join(said)
    assert explained(name).endswith(f"\n{example.examples[-1].want.strip()}")
    assert f'strategy="{name}"' in explained(name)
