"""Python processes that need not import first: each is the child of one that has imported torch and the rest already.

`Popen` is `subprocess.Popen` for `[sys.executable, "-c", CODE, ...]` and `[sys.executable, "-m", MODULE, ...]`: same
arguments, streams, signals and exit codes, and a true child of the process that asks. Not for what starts Ray, nor for
what looks at how an interpreter begins.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

HEAVY = (
    *(
        "matplotlib.figure",
        "pandas",
        "psutil",
        "scipy.stats",
        "sklearn.datasets",
        "sqlalchemy.dialects.sqlite",
        "torch",
    ),
    *("torch._dynamo", "evogan.api", "evogan.evaluation.evaluator", "evogan.report.page"),
)
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


class Popen(subprocess.Popen[Any]):
    """See above."""

    def _execute_child(  # type: ignore[override]  # as of Python 3.11 to 3.14
        self,
        args: list[str],
        executable: object,
        preexec_fn: object,
        close_fds: bool,
        pass_fds: object,
        cwd: str | Path | None,
        env: dict[str, str] | None,
        startupinfo: object,
        creationflags: object,
        shell: bool,
        *more: Any,
    ) -> None:
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_, new_session, _ = more
        assert args[0] == sys.executable and args[1] in ("-c", "-m")
        asked = {
            "arguments": args[1:],
            "cwd": str(cwd or os.getcwd()),
            "env": dict(os.environ if env is None else env),
            "new_session": new_session,
        }
        streams = [own if given == -1 else given for own, given in ((0, p2cread), (1, c2pwrite), (2, errwrite))]
        prctl = ctypes.CDLL(None).prctl
        prctl(SUBREAPER, 1)  # the process that forked it ends, and then it is ours
        try:
            socket.send_fds(_server(), [json.dumps(asked).encode()], streams)
            self.pid = int(_server().recv(100))
            self._child_created = True
            _server().recv(100)
        finally:
            prctl(SUBREAPER, 0)
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]


def run(args: list[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run`, of such a process, with its output."""
    with Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        out, errors = process.communicate()
    return subprocess.CompletedProcess(args, process.returncode, out, errors)


@cache
def _server() -> socket.socket:
    """One for each process that runs tests; it ends with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.forked", str(its.fileno())]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    silent: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": env}
    _server_process.append(
        subprocess.Popen(
            command, pass_fds=[its.fileno()], cwd=Path(__file__).parents[1], start_new_session=True, **silent
        )
    )
    its.close()
    return ours


_server_process: list[subprocess.Popen[bytes]] = []  # kept, or Python warns that it still runs


def _next_child(connection: socket.socket) -> dict[str, Any]:
    """What the next child is to do. Returns in the child only, as whose child's child it is."""
    while True:
        message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not message:
            os._exit(0)
        between = os.fork()
        if not between:
            if pid := os.fork():
                connection.send(str(pid).encode())
                os._exit(0)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for stream in {*streams, connection.detach()}:
                os.close(stream)
            return dict(json.loads(message))
        for stream in streams:
            os.close(stream)
        os.waitpid(between, 0)
        connection.send(b"it is yours")


def _serve() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    for name in HEAVY:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    gc.freeze()
    asked = _next_child(connection)
    if asked["new_session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    code = 1
    try:
        _be(*asked["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else bool(ended.code)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:  # as an interpreter ends, but for the seconds that it takes to tidy up what is imported
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)


def _be(how: str, what: str, *arguments: str) -> None:
    """`python HOW WHAT ARGUMENTS`."""
    sys.argv = [how, *arguments]
    sys.path[0] = "" if how == "-c" else os.getcwd()
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]))


if __name__ == "__main__":
    _serve()
