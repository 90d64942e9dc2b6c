"""The live page of a run (`evogan watch`) beside it: in a process of its own, which ends with this one."""

from __future__ import annotations

import os
import subprocess
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from evogan.serving.page import has_browser

PATIENCE = 5.0  # seconds that it has to end


class LivePage:
    """A context manager. `say` hears where it is, or that it is nowhere: the run goes on without it."""

    def __init__(self, folder: Path, url: str | None, run: str, say: Callable[[str], None]) -> None:
        self._command = [sys.executable, "-m", "evogan.watch", str(folder), run]
        self._environment = {**os.environ, "EVOGAN_STORE": url or ""}  # not for everyone to see, as arguments are
        self._say = say

    def __enter__(self) -> LivePage:
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(  # Ctrl-C is for the run; the server ends when its stdin does
            self._command, stdin=pipe, stdout=pipe, env=self._environment, start_new_session=True, text=True
        )
        assert self._server.stdout is not None
        address = self._server.stdout.readline().strip()
        self._say(f"watch  {address}" if address else "there is no live page: its server did not start")
        if address and has_browser():
            webbrowser.open(address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._server.stdin, self._server.stdout):
            assert stream is not None
            stream.close()
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
