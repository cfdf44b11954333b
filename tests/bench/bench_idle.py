"""What a service costs that has nothing to do: processor time, memory and wake-ups.

    python tests/bench/bench_idle.py --size 10000 --seconds 60

A daemon with two sources, both of them "every 15m", and a platform that is a file, reads a directory and a file
for the first time and delivers everybody; then it is left alone for a while. A wake-up is a thread that
waited and runs again (a voluntary context switch in /proc). Afterwards its memory at rest is measured again: when
it has read its configuration anew, when it has carried out so many verbs for programs and as many for terminals
(of which each asks for everybody at times), when a tenth of the people have changed, and after a restart.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_sync import CONFIGURATION, FILTER, people
from servers.slapd import PEOPLE, Slapd

from syncd.control.client import call, connect

SCHEDULE = 'detain = "never"\nschedule = { incremental = "every 15m", full = "daily at 02:30" }'

BRANCH = """
[enterprise.branch]
sources = ["branch"]
[source.branch]
type = "csv"
path = "{folder}/branch.csv"
anchor = "id"
stable_for = 0
match = ["login"]
detain = "never"
schedule = {{ full = "every 15m" }}
role = "desk"
limits = {{ add = "off", update = "off" }}
[source.branch.map]
login = "login"
last_name = "name"
[platform.list]
type = "csv"
path = "{folder}/list.csv"
columns = ["login", "last_name"]
"""

DESK = """
role = { desk = { template = "desk" } }
template = { desk = { services = ["list"] } }
"""

VERBS = ("status", "runs", "queue", "health", "schedule", "deliveries", "accounts list --limit 20", "status --json",
         "accounts list --json", "runs 1")  # fmt: skip

PATIENCE = 300.0


class Usage(NamedTuple):
    """What a process has used since its start; seconds, wake-ups, and MiB at the moment and at most."""

    seconds: float
    wakes: int
    resident: float
    peak: float


def usage(pid: int) -> Usage:
    """Return what a process has used so far, all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    wakes = sum(status(task)["voluntary_ctxt_switches"] for task in Path(f"/proc/{pid}/task").iterdir())
    whole = status(Path(f"/proc/{pid}"))
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), wakes, whole["VmRSS"] / 1024, whole["VmHWM"] / 1024)


def status(folder: Path) -> dict[str, int]:
    """Return the numbers of a ``status`` file below /proc."""
    lines = (line.split() for line in (folder / "status").read_text("ascii").splitlines())
    return {line[0].rstrip(":"): int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}


def configured(folder: Path, url: str, size: int) -> Path:
    """Write the configuration and the file that is its second source."""
    rows = "".join(f"{number},b{number},Name {number}\n" for number in range(min(size // 10, 4000)))
    (folder / "branch.csv").write_text(f"id,login,name\n{rows}", "utf-8")
    made = folder / "syncd.toml"
    text = CONFIGURATION.format(state=folder / "state", url=url, base=PEOPLE, filter=FILTER)
    text = DESK + text.replace('detain = "never"', f'role = "desk"\n{SCHEDULE}')
    made.write_text(text + BRANCH.format(folder=folder), "utf-8")
    (folder / "state").mkdir(mode=0o700)
    return made


def served(process: subprocess.Popen[bytes], state: Path) -> None:
    """Wait until both sources have been read, applied and delivered. Raises SystemExit if they are not."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.5)
        if not (state / "syncd.db").exists():
            continue
        with closing(sqlite3.connect(f"file:{state}/syncd.db?mode=ro", uri=True)) as conn:
            found = conn.execute(
                "SELECT COUNT(DISTINCT connection) FROM runs WHERE kind = 'sync' AND state = 'ended'"
            ).fetchone()
            open_ = conn.execute("SELECT COUNT(*) FROM remotes WHERE state <> 'done'").fetchone()
        if found == (2,) and open_ == (0,):
            return
    raise SystemExit("the daemon has not read its sources")


class Daemon:
    """The service of one configuration, as a process of its own."""

    def __init__(self, made: Path, settle: float) -> None:
        self.state = made.parent / "state"
        self.settle = settle
        command = [str(Path(sys.executable).with_name("syncd")), "--config", str(made), "daemon"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONMALLOC"] = "malloc"  # as systemd/syncd.service has it
        self.log = made.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def rested(self) -> Usage:
        """Let it come to rest, and return what it has used."""
        time.sleep(self.settle)
        return usage(self.process.pid)

    def ask(self, words: str, *, terminal: bool) -> None:
        """Have it carry out a verb for somebody who reads all of it."""
        connection = connect(self.state / "control.sock")
        if connection is None:
            raise SystemExit("the daemon does not listen")
        shown = {
            "columns": 100,
            "encoding": "utf-8",
            "output": True,
            "messages": True,
            "asks": False,
            "colour": True,
        }
        more = {"terminal": shown} if terminal else {}
        with closing(connection):
            for _ in call(connection, "Command", arguments=words.split(), **more):
                pass

    def end(self) -> None:
        """End it, and say what it had to say if that was not as it should be."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        sys.stderr.write(self.log.read_text("utf-8") if self.process.returncode else "")


def situations(daemon: Daemon, made: Path, verbs: int, settle: float) -> Iterator[tuple[str, Usage]]:
    """Yield what a service that is at rest again has used, after one thing and another."""
    daemon.process.send_signal(signal.SIGHUP)
    yield "the configuration was read anew", daemon.rested()
    for terminal in (False, True):
        for number in range(verbs):
            daemon.ask(VERBS[number % len(VERBS)], terminal=terminal)
        yield f"{verbs} verbs for {'terminals' if terminal else 'programs'}", daemon.rested()
    path = made.parent / "branch.csv"
    path.write_text(path.read_text("utf-8").replace(",Name ", ",Other "), "utf-8")
    daemon.ask("sync branch", terminal=False)
    yield "a tenth was changed and delivered", daemon.rested()
    daemon.end()
    again = Daemon(made, settle)
    try:
        yield "it was started again", again.rested()
    finally:
        again.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000, help="entries of the directory (10000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is left alone (60)")
    parser.add_argument("--settle", type=float, default=5.0, help="how long before that (5)")
    parser.add_argument("--verbs", type=int, default=200, help="how many are asked for (200)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="syncd-idle-")))
        (folder / "slapd").mkdir()
        server = stack.enter_context(Slapd(folder / "slapd", people(given.size, "first")))
        made = configured(folder, server.url, given.size)
        syncd = str(
            Path(sys.executable).with_name("syncd")
        )  # whoever starts a service has looked at a plan first
        subprocess.run(
            [syncd, "--config", str(made), "preview", "branch"], check=True, stdout=subprocess.DEVNULL
        )
        daemon = Daemon(made, given.settle)
        try:
            served(daemon.process, daemon.state)
            before = daemon.rested()
            time.sleep(given.seconds)
            after = usage(daemon.process.pid)
            spent = (after.seconds - before.seconds) / given.seconds
            wakes = (after.wakes - before.wakes) / given.seconds
            print(f"Python {platform.python_version()}, {platform.machine()}; {given.size} entries, ", end="")
            print(f"{given.seconds:.0f} s of rest: {spent:.2%} of a core, {wakes:.1f} wake-ups a second\n")
            print("| at rest after | resident MiB | MB | peak MiB |\n|---|---|---|---|")
            for name, one in chain(
                [("the first read and delivery", after)], situations(daemon, made, given.verbs, given.settle)
            ):
                megabytes = one.resident * 1.048576
                print(f"| {name} | {one.resident:.1f} | {megabytes:.1f} | {one.peak:.0f} |", flush=True)
        finally:
            if daemon.process.poll() is None:
                daemon.end()


if __name__ == "__main__":
    main()
