"""A PostgreSQL server of the tests' own: unprivileged, in a temporary folder, on a unix socket."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from deodar.edr.database import Database
from deodar.kit.children import Child

USER = "deodar"
PORT = 5432
_FAST = ("fsync=off", "listen_addresses=", "max_connections=200")
"""No sync: nothing of it has to outlive the tests."""
_TEMPLATE = "made"


def programs() -> Path | None:
    """Return the folder with PostgreSQL's programs, the newest release's; None without any."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).resolve().parent if there else None


class PostgreSQL:
    """The running server; `url` gives a new database with the tables in it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="deodar-pg-"))  # short: sockets' paths are
        bin_ = programs()
        assert bin_ is not None
        command = [] if os.geteuid() else ["setpriv", "--reuid", "postgres", "--regid", "postgres",
                                           "--clear-groups"]  # fmt: skip
        if not os.geteuid():
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        data = str(self._folder / "data")
        subprocess.run(
            [*command, str(bin_ / "initdb"), "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"],
            check=True, capture_output=True, timeout=60, cwd=self._folder,
        )  # fmt: skip
        options = [word for option in _FAST for word in ("-c", option)]
        words = [*command, str(bin_ / "postgres"), "-D", data, "-k", str(self._folder), *options]
        logs = Path(tempfile.mkdtemp(prefix="deodar-pg-logs-"))
        self._logs = logs
        self._child = Child("postgres", words, logs).start()
        self._numbers = itertools.count(1)
        self._wait()
        self._command(f"CREATE DATABASE {_TEMPLATE}")
        Database(self.at(_TEMPLATE)).close()

    def at(self, database: str) -> str:
        """Return the URL of a database."""
        socket = self._folder / f".s.PGSQL.{PORT}"
        return f"postgresql+pg8000://{USER}@/{database}?unix_sock={socket}"

    def empty(self) -> str:
        """Make a database without tables and return its URL."""
        name = f"t{next(self._numbers)}"
        self._command(f"CREATE DATABASE {name}")
        return self.at(name)

    def made(self) -> str:
        """Make a database with the tables and return its URL."""
        name = f"t{next(self._numbers)}"
        self._command(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.at(name)

    def kill(self) -> None:
        """End the server as a crash would."""
        self._child.kill()

    def start(self) -> None:
        """Start it again."""
        self._child.start()
        self._wait()

    def stop(self) -> None:
        """End the server and remove its folder."""
        self._child.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.rmtree(self._logs, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self._command("SELECT 1")
            except SQLAlchemyError:
                if time.monotonic() > deadline or not self._child.alive:
                    raise AssertionError(self._child.last_words()) from None
                time.sleep(0.05)
            else:
                return

    def _command(self, sql: str) -> None:
        engine = create_engine(self.at("postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(sql))
        finally:
            engine.dispose()
