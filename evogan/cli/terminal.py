"""Consoles on which a name is a name: none is markup, and none steers the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from evogan.cli.streams import Untroubled
from evogan.errors import printable


class _Harmless(Console):
    """Writes out whatever of the text would steer a terminal; what rich itself says to it is no text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                lines = segment.text.split("\n")
                yield Segment("\n".join(map(printable, lines)), segment.style)

    def on_broken_pipe(self) -> None:
        """As any other stream's: whoever runs the command decides how it ends."""
        raise BrokenPipeError


def on_stdout() -> Console:
    width = None if sys.stdout.isatty() else 140
    return _Harmless(width=width, highlight=False, markup=False, emoji=False)


def on_stderr() -> Console:
    """For what may get lost: no failure of the stream ends a search."""
    return _Harmless(file=cast(IO[str], Untroubled(sys.stderr)), highlight=False, markup=False, emoji=False)
