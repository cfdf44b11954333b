"""What a service costs that has nothing to do: processor time, memory and wake-ups.

    python tests/bench/bench_idle.py --size 10000 --seconds 60

A daemon with two sources, both of them "every 15m", reads a directory and a file for the first time; when
both are done it is left alone for a while. A wake-up is a thread that waited and runs again (a voluntary
context switch in /proc).
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
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_sync import CONFIGURATION, FILTER, people
from servers.slapd import PEOPLE, Slapd

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
limits = {{ add = "off", update = "off" }}
[source.branch.map]
login = "login"
last_name = "name"
"""

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
    rows = "".join(f"{number},b{number},Name {number}\n" for number in range(size // 10))
    (folder / "branch.csv").write_text(f"id,login,name\n{rows}", "utf-8")
    made = folder / "syncd.toml"
    text = CONFIGURATION.format(state=folder / "state", url=url, base=PEOPLE, filter=FILTER)
    text = text.replace('detain = "never"', SCHEDULE)
    made.write_text(text + BRANCH.format(folder=folder), "utf-8")
    (folder / "state").mkdir(mode=0o700)
    return made


def served(process: subprocess.Popen[bytes], state: Path) -> None:
    """Wait until both sources have been read and applied. Raises SystemExit if they are not."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.5)
        if not (state / "syncd.db").exists():
            continue
        with closing(sqlite3.connect(f"file:{state}/syncd.db?mode=ro", uri=True)) as conn:
            found = conn.execute("SELECT COUNT(*) FROM runs WHERE state = 'ended'").fetchall()
        if found == [(2,)]:
            return
    raise SystemExit("the daemon has not read its sources")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000, help="entries of the directory (10000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is left alone (60)")
    parser.add_argument("--settle", type=float, default=5.0, help="how long before that (5)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="syncd-idle-")))
        (folder / "slapd").mkdir()
        server = stack.enter_context(Slapd(folder / "slapd", people(given.size, "first")))
        made = configured(folder, server.url, given.size)
        command = [str(Path(sys.executable).with_name("syncd")), "--config", str(made), "daemon"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            served(process, folder / "state")
            time.sleep(given.settle)
            before = usage(process.pid)
            time.sleep(given.seconds)
            after = usage(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            sys.stderr.write((folder / "log").read_text("utf-8") if process.returncode else "")
    spent = (after.seconds - before.seconds) / given.seconds
    wakes = (after.wakes - before.wakes) / given.seconds
    print(f"Python {platform.python_version()}, {platform.machine()}; {given.seconds:.0f} s of rest\n")
    print("| entries | of a core | wake-ups a second | resident MiB | peak MiB |")
    print("|---|---|---|---|---|")
    print(f"| {given.size} | {spent:.2%} | {wakes:.1f} | {after.resident:.0f} | {after.peak:.0f} |")


if __name__ == "__main__":
    main()
