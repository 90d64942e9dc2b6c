"""A PostgreSQL server for tests: a real one, on a free loopback port, in a folder that goes away with it.

`from tests.postgres import postgres` and take the fixture; where PostgreSQL is not installed the test is skipped.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import sleep
from typing import Any

import psycopg
import pytest

USER, PASSWORD = "evogan", "s3cret/word"
QUOTED = "s3cret%2Fword"


class Postgres:
    """A running server. It asks every connection for the password."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        self._options: dict[str, Any] = {"cwd": folder, "stderr": subprocess.STDOUT}
        if os.getuid() == 0:  # as which PostgreSQL does not run
            user = next(entry for name in ("postgres", "nobody") for entry in pwd.getpwall() if entry.pw_name == name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        options = f"--username={USER} --pwfile={password} --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync"
        command = [str(binaries / "initdb"), "-D", str(folder / "data"), *options.split()]
        made = subprocess.run(command, stdout=subprocess.PIPE, text=True, **self._options)
        assert made.returncode == 0, made.stdout
        self.port = _free_port()
        self._names = count()
        self.start()
        self.url = self.fresh()

    def fresh(self) -> str:
        """The URL of a place with no tables yet: a schema, which costs less than a database."""
        name = f"fresh_{next(self._names)}"
        with self._connect() as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"postgresql://{USER}:{QUOTED}@127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{name}"

    def start(self) -> None:
        settings = f"listen_addresses=127.0.0.1 port={self.port} unix_socket_directories= fsync=off".split()
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data")]
        with open(self._folder / "log", "ab") as log:
            self._server = subprocess.Popen(
                [*command, *(part for setting in settings for part in ("-c", setting))],
                stdout=log,
                start_new_session=True,  # Ctrl-C is for the tests
                **self._options,
            )
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                assert self._server.poll() is None, (self._folder / "log").read_text()
                sleep(0.05)

    def stop(self) -> None:
        """At once, as in a crash: nobody's transaction is finished."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, dbname="postgres", user=USER, password=PASSWORD, autocommit=True
        )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _binaries() -> Path | None:
    """Where `initdb` and `postgres` are; of several versions the newest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    in_path = shutil.which("initdb")
    return next((path for path in [*found, *([Path(in_path).parent] if in_path else [])] if _complete(path)), None)


def _complete(folder: Path) -> bool:
    return all((folder / program).exists() for program in ("initdb", "postgres"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: neither in PATH nor under /usr/lib/postgresql")
    with tempfile.TemporaryDirectory(prefix="evogan-postgres-") as folder:
        server = Postgres(binaries, Path(folder))
        yield server
        server.stop()
