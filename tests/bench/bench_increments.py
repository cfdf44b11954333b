"""How long it takes to find what has changed, against the directory's own client.

    python tests/bench/bench_increments.py --size 100000 --rounds 5 --json bench.json

Two kinds of figures. *Work* is the time of one read from a cursor inside an open and bound connection: by content
synchronization (an OpenLDAP with syncprov), and by timestamps with a list of all who are there (the same server,
without the overlay). *Process* is a whole ``syncd sync hq`` from start to exit. The yardstick is ``ldapsearch``
of entryUUID alone over the same people, or the sum of imports that a process needs before it has done anything.

``--tls`` adds a first synchronization over ldaps, against the same over plain TCP.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_sync import CONFIGURATION, FILTER, measured
from directory import ATTRIBUTES, UNITS, people
from servers.certificates import Authority
from servers.ldap_source import ldap_source
from servers.slapd import PEOPLE, Slapd

from syncd import Checkpoint

IMPORTS = "import click, ldap3, pydantic, sqlite3\nclass Model(pydantic.BaseModel):\n  text: str"
CHANGED, REMOVED = 100, 10


def name_of(number: int) -> str:
    """Return the name of a person of the bench directory."""
    return f"uid=u{number:07d},ou={UNITS[number * 7919 // 100 % 8]},{PEOPLE}"


class Bench:
    """One directory, with and without the overlay, and who of it was changed so far."""

    def __init__(self, folder: Path, size: int, *, session_log: int | None, stack: ExitStack) -> None:
        place = folder / f"increments-{size}-{'plain' if session_log is None else 'sync'}"
        certificate = Authority(place.with_suffix(".tls")).sign("server", "DNS:localhost", "IP:127.0.0.1")
        fresh = not (place / "complete").exists()
        if fresh:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
        self.server = stack.enter_context(
            Slapd(place, people(size) if fresh else (), session_log=session_log, tls=certificate)
        )
        (place / "complete").touch()
        self.place, self.size, self.next = place, size, 0
        stack.callback(shutil.rmtree, place)
        stack.callback(shutil.rmtree, place.with_suffix(".tls"))

    def edit(self) -> None:
        """Change some people, and remove some others; never the same twice."""
        numbers = range(self.next, self.next + CHANGED + REMOVED)
        self.next += CHANGED + REMOVED
        records = [
            f"dn: {name_of(number)}\nchangetype: modify\nreplace: departmentNumber\ndepartmentNumber: {time.time()}\n"
            for number in numbers[:CHANGED]
        ]
        records += [f"dn: {name_of(number)}\nchangetype: delete\n" for number in numbers[CHANGED:]]
        self.server.modify("\n".join(records))

    def work(self, strategy: str, edit: Callable[[], None]) -> float:
        """Return the seconds of a read from a cursor within a connection."""
        source = ldap_source(self.server.url, incremental=strategy, overlap=1, select=ATTRIBUTES)
        source.open()
        (end,) = deque(source.read(None), maxlen=1)
        assert isinstance(end, Checkpoint)
        time.sleep(2.1)  # what the last edit made does not count as changed by its timestamp
        edit()
        source.open()
        begun = time.perf_counter()
        for _ in source.read(end.cursor):
            pass
        return time.perf_counter() - begun

    def process(self, url: str, state: Path, *words: str) -> float:
        """Return the seconds of a whole ``syncd sync hq``."""
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = CONFIGURATION.format(state=state, url=url, base=PEOPLE, filter=FILTER)
        if url.startswith("ldaps"):
            tls = f'ca_file = "{self.server.certificate.authority}"' if self.server.certificate else ""
            text = text.replace('tls = "none"', tls)
        (state / "syncd.toml").write_text(text)
        command = [str(Path(sys.executable).with_name("syncd")), "--config", str(state / "syncd.toml")]
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(self.place.parent / "pycache")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as it is for users: compiled once
        return measured([*command, "sync", "hq", *words], environment).seconds

    def search(self) -> float:
        """Return the seconds of ``ldapsearch`` for entryUUID alone."""
        command = ["ldapsearch", "-x", "-LLL", "-H", self.server.url, "-b", PEOPLE]
        return measured([*command, "-E", "pr=1000/noprompt", FILTER, "entryUUID"]).seconds


def imports() -> float:
    """Return the seconds of a process that imports what every synchronization needs, and ends."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - begun


def rounds(folder: Path, size: int, count: int, *, tls: bool) -> Iterator[dict[str, Any]]:
    """Yield every single measurement: case, seconds, and what to compare them with."""
    with ExitStack() as stack:
        sync = Bench(folder, size, session_log=10_000, stack=stack)
        plain = Bench(folder, size, session_log=None, stack=stack)
        state = folder / "increments-state"
        shutil.rmtree(state, ignore_errors=True)
        sync.process(sync.server.url, state)
        for _ in range(count):
            yield told("sync, work, nothing changed", sync.work("sync", lambda: None), 0.010)
            yield told("sync, work, 100 changed and 10 removed", sync.work("sync", sync.edit), 0.050)
            sync.process(sync.server.url, state)
            yield told("sync, process, nothing changed", sync.process(sync.server.url, state), imports())
            sync.edit()
            yield told(
                "sync, process, 100 changed and 10 removed", sync.process(sync.server.url, state), imports()
            )
            seconds = plain.work("timestamps", plain.edit)
            yield told("timestamps, work, 100 changed and 10 removed", seconds, plain.search())
        if tls:
            over = {}
            for url in (sync.server.url, sync.server.ldaps_url):
                fresh = folder / "increments-first"
                shutil.rmtree(fresh, ignore_errors=True)
                over[url] = sync.process(url, fresh)
            yield told("first sync over ldaps", over[sync.server.ldaps_url], over[sync.server.url])


def told(case: str, seconds: float, yardstick: float) -> dict[str, Any]:
    return {"case": case, "seconds": seconds, "yardstick": yardstick}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/syncd-bench"))
    parser.add_argument("--json", type=Path, help="write every single measurement to this file")
    parser.add_argument("--tls", action="store_true", help="also a first synchronization over ldaps")
    given = parser.parse_args()
    found = list(rounds(given.folder, given.size, given.rounds, tls=given.tls))
    print(f"{given.size} people; medians; the ratio is to the yardstick of its case\n")
    print("| case | seconds | yardstick | ratio (lowest-highest) |\n|---|---|---|---|")
    for case in dict.fromkeys(one["case"] for one in found):
        taken = [one for one in found if one["case"] == case]
        seconds, yardstick = (
            statistics.median(one[name] for one in taken) for name in ("seconds", "yardstick")
        )
        ratios = [one["seconds"] / one["yardstick"] for one in taken]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"| {case} | {seconds:.4f} | {yardstick:.4f} | {spread} |")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
