"""The doors through which everything from outside comes in, and what is printed goes out."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evogan.errors import UserError, one_line, public_url
from evogan.files import expand, file_name, half_of, read_small, write_whole
from evogan.files.documents import DEEPEST, parse_json, parse_toml, read_json, read_toml
from evogan.options import check_options, option

# --- documents


@pytest.mark.parametrize("nested", ["x = " + "[" * 900 + "]" * 900, "x" + ".x" * 900 + " = 1", "x = " + "{x=" * 900])
def test_toml_nested_too_deep_is_a_users_mistake(nested: str) -> None:
    with pytest.raises((UserError, tomllib.TOMLDecodeError), match=r"^nested deeper than|^Invalid|^Unclosed|^Expected"):
        parse_toml(nested)


@pytest.mark.parametrize("depth", [900, 100_000])
def test_json_nested_too_deep_is_a_users_mistake(depth: int) -> None:
    with pytest.raises(UserError, match=rf"^nested deeper than {DEEPEST} levels$"):
        parse_json("[" * depth + "]" * depth)
    with pytest.raises(UserError, match="^nested deeper"):
        parse_json('{"x":' * 900 + "1" + "}" * 900)


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_whole_numbers_have_64_bits(digits: int) -> None:
    for read in (lambda: parse_toml(f"x = {'9' * digits}"), lambda: parse_json('{"x": [%s]}' % ("9" * digits))):
        with pytest.raises(UserError, match="^a whole number of more than 64 bits$"):
            read()
    assert parse_toml(f"x = {2**63 - 1}") == {"x": 2**63 - 1}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for content, why in ((b"x = [", "Invalid value"), (b"\xff\xfe", "invalid start byte"), (b"x = 1e", "Expected")):
        (tmp_path / "x.toml").write_bytes(content)
        with pytest.raises(UserError, match=rf"^{tmp_path}/x.toml: .*{why}"):
            read_toml(tmp_path / "x.toml")
    (tmp_path / "x.json").write_bytes(b"{")
    with pytest.raises(UserError, match=rf"^{tmp_path}/x.json: no JSON: "):
        read_json(tmp_path / "x.json")


# --- files


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _gigabytes(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 * 10**9)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_pipe, "no regular file"),
        (_device, "no regular file"),
        (_gigabytes, "3,000 MB, where at most 10 are expected"),
        (Path.mkdir, "a folder"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: None, "No such file or directory"),
    ],
)
def test_only_small_regular_files_are_read(make: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    make(path)
    with pytest.raises(UserError, match=f"^{path}: {why}$"):
        read_small(path)


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expand("~/x") == Path("/somewhere/x") == expand(Path("~/x"))
    assert expand("a/~") == Path("a/~")
    for wrong in ("~nosuchuser/x", "", "a\0b", 3, None, b"x"):
        with pytest.raises(UserError):
            expand(wrong)  # type: ignore[arg-type]


@given(st.text())
def test_any_text_is_one_file_name(text: str) -> None:
    name = file_name(text)
    assert Path(name).name == name and 0 < len(name) <= 200 and name[0] not in ".-"
    assert file_name(name) == name


# --- what is printed


@given(st.text(st.characters(exclude_categories=())))
def test_a_line_steers_no_terminal(text: str) -> None:
    assert one_line(text).isprintable()


def test_a_line_says_what_was_there() -> None:
    assert one_line("a\n  b") == "a b"
    assert one_line("\x1b[2J\x07ü \u202e \udcff") == r"\x1b[2J\x07ü \u202e \udcff"


SECRET = st.text(st.sampled_from("s3cret:/@?&=%#"), min_size=1).map(lambda text: f"<{text}>")


@given(SECRET)
def test_a_url_is_printed_without_secrets(secret: str) -> None:
    for url in (
        f"postgresql://user:{secret}@host:5432/db",
        f"postgresql://host/db?user=u&password={secret}",
        f"postgresql://u:{secret}@host/db?password={secret}#x",
    ):
        assert not set("<>") & set(public_url(url))


def test_a_url_still_says_where() -> None:
    assert public_url("postgresql+psycopg://user:pw@host:5432/db?x=1") == "postgresql+psycopg://user@host:5432/db"
    assert public_url("sqlite:///study.db") == "sqlite:///study.db"
    assert public_url("no url") == "no url"


# --- options


@dataclass(frozen=True)
class Some:
    n: int = option(3, low=1, high=10)
    share: float | Literal["auto"] | None = option(None, above=0)
    way: Literal["a", "b"] | None = "a"
    flag: bool = False
    name: str = "x"

    def __post_init__(self) -> None:
        check_options(self)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"n": np.int64(4)}, 4),
        ({"n": np.float64(4.0)}, 4),
        ({"share": 1}, 1.0),
        ({"share": np.float32(0.5)}, 0.5),
        ({"share": "auto"}, "auto"),
        ({"way": None}, None),
        ({"flag": np.True_}, True),
        ({"name": Path("a/b")}, "a/b"),
    ],
)
def test_options_become_plain(given: dict[str, Any], read: object) -> None:
    [name] = given
    found = getattr(Some(**given), name)
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"n": 0}, "n must be at least 1, not 0"),
        ({"n": 11}, "n must be at most 10, not 11"),
        ({"n": 10**5000}, "n must be at most 10, not a number of thousands of digits"),
        ({"n": 2.5}, "n must be a whole number, not 2.5"),
        ({"n": float("nan")}, "n must be a whole number, not nan"),
        ({"n": True}, "n must be a whole number, not True"),
        ({"n": (3,)}, r"n must be a whole number, not \(3,\)"),
        ({"n": None}, "n must be a whole number, not None"),
        ({"share": 0}, "share must be above 0, not 0"),
        ({"share": float("inf")}, r"share must be a finite number, not inf"),
        ({"share": 10**400}, r"share must be at most 1.79769313486232e\+308, not 1000.*"),
        ({"share": "half"}, "share must be a number or auto, not 'half'"),
        ({"way": "c"}, "unknown way 'c': allowed: a, b"),
        ({"way": 3}, "unknown way '3': allowed: a, b"),
        ({"flag": 1}, "flag must be True or False, not 1"),
        ({"name": " "}, "name is empty"),
        ({"name": ["x"]}, r"name must be a text, not \['x'\]"),
    ],
)
def test_options_are_refused_by_name(given: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=f"^{why}$"):
        Some(**given)


@pytest.mark.fault
def test_half_a_file_of_a_dead_writer_is_removed_by_the_next_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    """Of another machine nothing is known."""
    path = tmp_path / "a"
    dead = subprocess.Popen(["true"])
    dead.wait()
    other = tmp_path / f".a.0123abcd-{dead.pid}"
    stays = {half_of(path, dead.pid): False, half_of(path, os.getppid()): True, other: True, tmp_path / ".a.b": True}
    for half in stays:
        half.touch()
    write_whole(path, b"whole")
    assert {half: half.exists() for half in stays} == stays
    assert path.read_bytes() == b"whole"
