"""What is printed: names are names on a terminal, and a stream that fails ends no search and spoils no file."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table

from evogan import cli
from evogan.cli import training
from evogan.cli.common import say
from evogan.cli.streams import Untroubled, spell_out
from evogan.cli.terminal import on_stderr
from evogan.engine import Event
from evogan.monitor import SearchProgress

HOSTILE = "a\x1b[2J\x1b]0;title\x07 [bold]b[/x] \u202ec \udcff"
HARMLESS = r"a\x1b[2J\x1b]0;title [bold]b[/x] \u202ec \udcff"


@pytest.mark.parametrize("table", [False, True])
def test_nothing_that_is_said_steers_the_terminal(table: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if table:
        listing = Table("name", width=120)
        listing.add_row(HOSTILE)
        say(listing)
    else:
        say(HOSTILE)
    said = capsys.readouterr().out
    assert HARMLESS in said and "\x1b" not in said
    assert said.count("\n") == (5 if table else 1)


def test_names_in_a_progress_line_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        open("/dev/null", "w") as nowhere,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "stderr", nowhere)
        patch.setenv("FORCE_COLOR", "1")
        console = on_stderr()
        assert console.is_terminal
        with SearchProgress(10, console) as progress:
            progress(Event("waiting", None, reason="[/x]"))


@pytest.mark.fault
def test_a_search_goes_on_when_nothing_more_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = open("/dev/null", "w")  # noqa: SIM115
    closed.close()
    for stream in (open("/dev/full", "w", buffering=1), closed):  # noqa: SIM115
        monkeypatch.setattr(sys, "stderr", stream)
        progress = SearchProgress(10, on_stderr())
        progress(Event("waiting", None, reason="the disk is full"))
        with Progress(console=on_stderr()):
            assert Untroubled(stream).write("more") == 4


def test_sentences_are_printed_as_they_are_and_steer_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["\tcafé  \U0001f469\u200d\U0001f467", "a\x1b[2J"]
    training._write_texts(told, None, [])
    assert capsys.readouterr().out == "\n".join([*told, ""])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    training._write_texts(told, None, [])
    assert capsys.readouterr().out == "\n".join([told[0], r"a\x1b[2J", ""])


def test_what_a_stream_has_no_letters_for_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    spell_out()
    print("café 你", end="", flush=True)
    assert stream.buffer.getvalue() == b"caf\xe9 \\u4f60"  # type: ignore[attr-defined]


@pytest.mark.fault
@pytest.mark.parametrize(
    ("reader", "code", "line"), [("full", 2, "evogan: No space left on device\n"), ("gone", 141, "")]
)
def test_a_stdout_that_cannot_be_written_is_one_line_and_one_that_nobody_reads_none(
    reader: str, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if reader == "full":
        target = os.open("/dev/full", os.O_WRONLY)
    else:
        read, target = os.pipe()
        os.close(read)
    with os.fdopen(target, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "argv", ["evogan", "strategies"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == line


@pytest.mark.fault
def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    code = """
import sys
from evogan.cli.streams import open_closed
open_closed()
file = open(sys.argv[1], "w")
print("said", flush=True)
print("said", file=sys.stderr, flush=True)
file.write(str(file.fileno() > 2))
"""
    shell = f'"{sys.executable}" -c "$1" "$2" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell, "sh", code, str(tmp_path / "file")]).returncode == 0
    assert (tmp_path / "file").read_text() == "True"
