"""Whole ``syncd`` processes that are killed: forked from a parent that has everything imported already.

The parent is a process of its own, told on its standard input what to do, one JSON document a line. Its
children do what the console script does, with their own arguments and clock, on real files; they are ended
by a real SIGKILL, of the parent's after some time or of their own before a certain event.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
import pkgutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).parent
_COUNTS = struct.Struct("Qdd")
_WRITING = frozenset({"os.link", "os.mkdir", "os.remove", "os.rename", "os.truncate"})


class Life(NamedTuple):
    """How a process ended (below 0: by that signal), and what it did: statements and changes of files.

    ``first`` and ``last`` are when the first and the last of these events were, in seconds since the fork.
    """

    code: int
    output: str
    events: int
    first: float
    last: float

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Nursery:
    """The parent, seen from the tests."""

    def __init__(self, output: Path, *plugins: str) -> None:
        self.output = output
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "SUDO_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import victims; victims.parent()", *(plugins or ("syncd_bulk",))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **kept,
                "COLUMNS": "80",
                "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)]),
            },
        )

    def live(
        self,
        words: list[str],
        now: datetime,
        *,
        event: int | None = None,
        after: float | None = None,
        commit: tuple[str, int] | None = None,
        signals: Sequence[tuple[float, int]] = (),
    ) -> Life:
        """Let a process live that is to be killed before its ``event``, or ``after`` some seconds, or not.

        ``commit`` is ("before", 3) or ("after", 3): when the third transaction on the database of a node ends.
        ``signals`` are sent at these seconds of its life.
        """
        request = {
            "words": words,
            "now": now.isoformat(),
            "event": event,
            "commit": commit,
            "signals": [*signals, *([] if after is None else [(after, signal.SIGKILL)])],
            "output": str(self.output),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        return Life(told["code"], self.output.read_text("utf-8"), *told["counts"])

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


# --- in the parent ---


def parent() -> None:
    """Fork a process for every request, and tell how it ended."""
    for package in ("syncd", *sys.argv[1:]):
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.startswith("syncd.testing") and module.name != "syncd.__main__":
                import_module(module.name)
    _work_in_small_steps()
    counts = mmap.mmap(-1, _COUNTS.size)
    for line in sys.stdin:
        print(json.dumps(_let_live(json.loads(line), counts)), flush=True)


def _work_in_small_steps() -> None:
    """Forty people are to be several chunks, reads and batches, so that a kill can be between them."""
    from syncd.connector import Platform
    from syncd.store import applying, keeping, staging

    applying.CHUNK = keeping.CHUNK = staging.FLUSH = 10
    for kind in _kinds(Platform):
        kind.batch = 15


def _kinds(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for more in kind.__subclasses__():
        yield from _kinds(more)


def _let_live(request: dict[str, Any], counts: mmap.mmap) -> dict[str, Any]:
    counts[:] = _COUNTS.pack(0, 0, 0)
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _live(request, counts)
    for moment, number in request["signals"]:
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        os.kill(child, number)  # of one that has ended already nothing is left but its status
    _, status = os.waitpid(child, 0)
    events, first, last = _COUNTS.unpack(counts[:])
    seconds = [moment - begun if moment else 0.0 for moment in (first, last)]
    return {"code": os.waitstatus_to_exitcode(status), "counts": [events, *seconds]}


# --- in the child ---


def _live(request: dict[str, Any], counts: mmap.mmap) -> None:
    """Do what ``syncd`` does, and end the process."""
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    code: Any = 70
    try:
        for stream in (1, 2):
            os.dup2(output, stream)
        _watch(counts, request["event"])
        if request["commit"]:
            _die_at_commit(*request["commit"])
        from syncd.cli import main, session

        now = datetime.fromisoformat(request["now"])
        session.now = lambda: now
        sys.argv = ["syncd", *request["words"]]
        main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(counts: mmap.mmap, fatal: int | None) -> None:
    """Count every statement of SQLite and every change of a file; die before the ``fatal`` one."""

    def event(*_given: object) -> None:
        number, first, _ = _COUNTS.unpack(counts[:])
        moment = time.monotonic()
        counts[:] = _COUNTS.pack(number + 1, first or moment, moment)
        if number + 1 == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def audited(name: str, given: tuple[Any, ...]) -> None:
        if name in _WRITING or (name == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)):
            event()

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        conn = connect(*given, **named)
        conn.set_trace_callback(event)
        return conn

    def brought_to_disk(file: Any) -> None:
        event()
        fsync(file)

    connect, fsync = sqlite3.connect, os.fsync
    sqlite3.connect = connected
    os.fsync = brought_to_disk
    sys.addaudithook(audited)


def _die_at_commit(when: str, number: int) -> None:
    """Die when the transaction of this number is about to be committed, or when it has just been."""
    from sqlalchemy.engine.default import DefaultDialect

    def committed(dialect: DefaultDialect, connection: Any) -> None:
        last = next(numbers) == number
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(dialect, connection)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    numbers, commit = itertools.count(1), DefaultDialect.do_commit
    DefaultDialect.do_commit = committed  # type: ignore[method-assign]
