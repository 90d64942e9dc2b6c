"""What `tests.forked` starts is as a process that Python starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import forked

CODE = {
    "said": "import sys; print('said'); print('also', file=sys.stderr)",
    "arguments": "import sys; print(sys.argv)",
    "read": "print(input())",
    "where": "import os; print(os.getcwd(), os.environ['ONLY'], os.environ.get('HOME'))",
    "a session": "import os; print(os.getsid(0) == os.getpid() == os.getpgrp())",
    "exits": "import sys; sys.exit(3)",
    "exits with a line": "import sys; sys.exit('no')",
    "fails": "1 / 0",
    "is killed": "import os; print('not flushed', end=''); os.kill(os.getpid(), 9)",
    "at its end": "import atexit; atexit.register(print, 'ends')",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    "its name": "print(__name__)",
}


@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
def test_it_does_what_the_code_says(code: str, tmp_path: Path) -> None:
    ended = []
    for popen in (subprocess.Popen, forked.Popen):
        process = popen(
            [sys.executable, "-c", code, "a", "b c"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={"ONLY": "here"},
            start_new_session=True,
        )
        out, errors = process.communicate("a line\n")
        ended.append((out, errors.splitlines()[-1:], process.returncode))
    assert ended[0] == ended[1]


def test_it_is_a_child_that_can_be_signalled() -> None:
    code = "import time; print('here', flush=True); time.sleep(1000)"
    with forked.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "here\n"
        assert psutil.Process(child.pid).ppid() == os.getpid()
        assert child.poll() is None
        os.killpg(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid)
