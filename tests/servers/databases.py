"""MariaDB and PostgreSQL as plain processes: own folder, a socket in it and no network, ended by their own process ids."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from .nodes import Database, sqlite_database

MARIADB = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/bin") or ""
INSTALL_MARIADB = shutil.which("mariadb-install-db", path="/usr/bin:/usr/local/bin:/usr/sbin") or ""
_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
INITDB = shutil.which("initdb") or (str(_FOLDERS[-1]) if _FOLDERS else "")
NO_MARIADB = "" if MARIADB and INSTALL_MARIADB else "needs MariaDB (Debian: apt install mariadb-server)"
NO_POSTGRESQL = "" if INITDB else "needs PostgreSQL (Debian: apt install postgresql)"
STARTS_WITHIN = 60.0


class Server:
    """A database server; a subclass says how it is made, started and reached."""

    user = ""
    scheme = ""
    driver = ""
    socket = ""
    first = ""
    """A database that each server has."""

    def __init__(self) -> None:
        # A socket's path has 107 characters at most, which pytest's folders can exceed.
        self.folder = Path(tempfile.mkdtemp(prefix="syncd-"))
        self.data = self.folder / "data"
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make the files of an empty server."""
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        """Return what starts it."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """Return how its driver reaches the socket."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Return how a platform reaches it."""
        raise NotImplementedError

    def database(self, name: str = "node") -> Database:
        """Return the database ``name``, with empty tables."""
        first = create_engine(
            self._url(self.driver, self.first), connect_args=self.arguments(), poolclass=NullPool
        )
        with first.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if name not in self.names(connection):
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine = create_engine(
            self._url(self.driver, name), connect_args=self.arguments(), poolclass=NullPool
        )
        return Database(self._url(self.scheme, name), engine, **self.options())

    def names(self, connection: Any) -> list[str]:
        """Return the names of its databases."""
        raise NotImplementedError

    def ends(self, connection: Any) -> list[str]:
        """Return the statements that end all connections but this."""
        raise NotImplementedError

    def _url(self, scheme: str, name: str) -> str:
        return f"{scheme}://{self.user}@localhost/{name}"

    def __enter__(self) -> Self:
        as_user(self.folder)
        self.prepare()
        self.start()
        return self

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.folder / "log").open("wb")
        with log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, **_other_user())
        try:
            self._wait(time.monotonic() + STARTS_WITHIN)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _wait(self, until: float) -> None:
        assert self.process is not None
        engine = create_engine(
            self._url(self.driver, self.first), connect_args=self.arguments(), poolclass=NullPool
        )
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as tried:
                    tried.connect(str(self.folder / self.socket))
                engine.connect().close()
            except (OSError, OperationalError):
                if self.process.poll() is not None or time.monotonic() > until:
                    raise AssertionError((self.folder / "log").read_text(errors="replace")) from None
                time.sleep(0.05)
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """End it; what is stored stays."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT if self.scheme == "postgresql" else signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        """Kill it without a warning, and wait until nobody is left of it; ``start`` brings it back."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.kill()
        self.process.wait()
        until = time.monotonic() + STARTS_WITHIN
        while any(map(_lives, children)) and time.monotonic() < until:
            time.sleep(0.01)


def _lives(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class MariaDb(Server):
    """MariaDB, as durable as a process."""

    user, scheme, driver = "tester", "mariadb", "mariadb+pymysql"
    socket, first = "socket", "mysql"

    def prepare(self) -> None:
        run(
            [
                INSTALL_MARIADB,
                "--no-defaults",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ]
        )

    def command(self) -> Sequence[str]:
        settings = (
            "skip-networking",
            "skip-grant-tables",
            "innodb-flush-log-at-trx-commit=2",  # what it has confirmed outlives it, if not the machine
            "sync-binlog=0",
        )
        return [
            MARIADB,
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            "--innodb-buffer-pool-size=64M",
            "--character-set-server=utf8mb4",
            *(f"--{setting}" for setting in settings),
        ]

    def arguments(self) -> dict[str, Any]:
        return {"unix_socket": f"{self.folder}/socket", "charset": "utf8mb4"}

    def options(self) -> dict[str, Any]:
        return {"socket": f"{self.folder}/socket"}

    def names(self, connection: Any) -> list[str]:
        return [row[0] for row in connection.exec_driver_sql("SHOW DATABASES")]

    def ends(self, connection: Any) -> list[str]:
        others = connection.exec_driver_sql(
            "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND user = 'tester'"
        )
        return [f"KILL {row[0]}" for row in others]


class Postgresql(Server):
    """PostgreSQL, as durable as a process: what it has confirmed outlives it, if not the machine."""

    user, scheme, driver = "tester", "postgresql", "postgresql+psycopg"
    socket, first = ".s.PGSQL.5432", "postgres"

    def prepare(self) -> None:
        run(
            [
                INITDB,
                "-D",
                str(self.data),
                "-U",
                self.user,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
                "--locale=C",
            ]
        )

    def command(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "shared_buffers": "32MB",
        }
        told = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(Path(INITDB).resolve().with_name("postgres")), "-D", str(self.data), *told]

    def arguments(self) -> dict[str, Any]:
        return {"host": str(self.folder)}

    def options(self) -> dict[str, Any]:
        return {"socket": str(self.folder)}

    def names(self, connection: Any) -> list[str]:
        return [row[0] for row in connection.exec_driver_sql("SELECT datname FROM pg_database")]

    def ends(self, connection: Any) -> list[str]:
        backends = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'tester'"
        return [f"SELECT pg_terminate_backend(pid) {backends}"]


def _other_user() -> dict[str, Any]:
    """Return what makes a process run as nobody: neither server wants to be started by root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def as_user(folder: Path) -> None:
    """Give the folder to whom the servers run as."""
    if other := _other_user():
        os.chown(folder, other["user"], other["group"])


def run(command: Sequence[str]) -> None:
    """Run a program to its end."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **_other_user())
    assert done.returncode == 0, done.stdout + done.stderr


SERVERS: dict[str, tuple[Callable[[], Server], str]] = {
    "mariadb": (MariaDb, NO_MARIADB),
    "postgresql": (Postgresql, NO_POSTGRESQL),
}
"""By scheme: the server, and why there is none."""


@contextmanager
def server_of(scheme: str) -> Iterator[Server]:
    """Yield a running server; where there is none, the test is skipped and says why."""
    kind, missing = SERVERS[scheme]
    if missing:
        pytest.skip(missing)
    with kind() as running:
        yield running


@contextmanager
def databases_on(scheme: str | None, folders: pytest.TempPathFactory) -> Iterator[Callable[[], Database]]:
    """Yield what makes databases with empty tables: on a server, or without a scheme as files."""
    if scheme is None:
        yield lambda: sqlite_database(folders.mktemp("node") / "node.sqlite")
        return
    with server_of(scheme) as running:
        yield running.database
