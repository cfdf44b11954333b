"""How long a synchronization takes, against what the directory and the disk need anyway.

    python tests/bench/bench_sync.py --size 10000 --size 100000 --rounds 5 --json bench.json

Four cases, each a whole process (``syncd sync hq --full``) that writes everything for real: a first sync; nothing
changed; one mapped attribute of every entry changed; every entry changed but no mapped value. The floor of
a case is an ``ldapsearch`` of the same entries and attributes, plus a bare ``executemany`` of the very rows
that syncd wrote, into a database with the same schema, with no Python code inside the timing.

Everything is run in turn, round by round; a ratio is taken within its round. Times are wall clock, memory
is the peak resident set from wait4. The first pass, which is not counted, checks what was written, makes the
rows for the floors and fills the caches of byte code. ``--peer PYTHON`` adds django-python3-ldap's
``ldap_sync_users`` for the first two cases, if that interpreter has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from directory import ATTRIBUTES, UNITS, person
from servers.slapd import PEOPLE, Slapd, record

HERE = Path(__file__).resolve().parent
FILTER = "(objectClass=inetOrgPerson)"

CONFIGURATION = """
state_directory = "{state}"
[enterprise.acme]
sources = ["hq"]
[source.hq]
type = "ldap"
url = ["{url}"]
tls = "none"
base = ["{base}"]
filter = "{filter}"
anchor = "entryUUID"
match = ["login", "email"]
detain = "never"
limits = {{ add = "off", update = "off" }}
[source.hq.map]
login = "uid"
display_name = "cn"
last_name = "sn"
first_name = "givenName"
email = {{ from = "mail", via = ["first", "trim", "lower"] }}
phone = "telephoneNumber"
department = "departmentNumber"
employee_number = "employeeNumber"
"""


@dataclass(frozen=True)
class Case:
    """One thing to measure: which directory is read, from which state, and how many operations that makes."""

    name: str
    directory: str
    resumes: bool
    operations: int
    """Per entry."""
    writes: str = ""
    """What of ``floor.WRITES`` it has to write."""


CASES = (
    Case("first sync", "first", resumes=False, operations=1, writes="first"),
    Case("nothing changed", "first", resumes=True, operations=0),
    Case("every entry changed", "changed", resumes=True, operations=1, writes="update"),
    Case("no mapped value changed", "capitals", resumes=True, operations=0, writes="fingerprints"),
)


CHANGES: dict[str, tuple[str, Callable[[re.Match[str]], str]]] = {
    "changed": ("departmentNumber", lambda found: "departmentNumber: 999"),
    "capitals": ("mail", lambda found: f"mail: {b64decode(found[1]).decode().upper()}"),
}
"""Of a generation: the attribute that differs from the first, and how."""


class Measured(NamedTuple):
    """What one process took."""

    seconds: float
    megabytes: float


def people(count: int, generation: str) -> Iterator[str]:
    """Yield the same people in every generation, by the same entryUUIDs; see ``CASES`` for what differs."""
    for unit in UNITS:
        yield record(f"ou={unit},{PEOPLE}", objectClass="organizationalUnit", ou=unit)
    change = CHANGES.get(generation)
    for number in range(count):
        text = person(number)
        if change is not None:
            text = re.sub(f"(?m)^{change[0]}:: (.*)$", change[1], text)
        # Scattered over the whole range, as random ones are.
        yield f"{text}entryUUID: {UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)}\n"


def serve(folder: Path, size: int, stack: ExitStack) -> dict[str, Slapd]:
    """Start a slapd for every generation, made if it is not there from the last time."""
    servers = {}
    for generation in dict.fromkeys(case.directory for case in CASES):
        place = folder / f"{generation}-{size}"
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            Slapd(place, people(size, generation))
            (place / "entries.ldif").unlink()
            (place / "complete").touch()
        servers[generation] = stack.enter_context(Slapd(place))
    return servers


def measured(command: list[str], environment: dict[str, str] | None = None) -> Measured:
    """Run a process to its end. Raises SystemExit with what it said if it failed."""
    os.sync()
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said = process.stderr.read() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said}")
    return Measured(seconds, usage.ru_maxrss / 1024)


class Bench:
    """One size: its directories, a folder to work in, and a state that a first sync has left."""

    def __init__(self, folder: Path, size: int, servers: dict[str, Slapd]) -> None:
        self.folder = folder
        self.size = size
        self.servers = servers
        self.environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "pycache")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def state(self, name: str) -> Path:
        return self.folder / f"state-{name.replace(' ', '-')}"

    def search(self, case: Case) -> Measured:
        """Read the directory of a case with ldapsearch."""
        url = self.servers[case.directory].url
        command = ["ldapsearch", "-x", "-LLL", "-H", url, "-b", PEOPLE, "-E", "pr=1000/noprompt", FILTER]
        return measured([*command, *ATTRIBUTES, "entryUUID"])

    def write(self, case: Case) -> float:
        """Write the rows of a case into a database of its own, in a process of its own; return the seconds."""
        if not case.writes:
            return 0.0
        target = self.fresh(case, "floor") / "syncd.db"
        model = self.state(case.name) / "syncd.db"
        command = [sys.executable, str(HERE / "floor.py"), case.writes, str(model), str(target)]
        os.sync()
        done = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True)
        return float(done.stdout)

    def sync(self, case: Case, name: str) -> Measured:
        """Run ``syncd sync`` for a case, from the state that it starts with."""
        state = self.fresh(case, name)
        configuration = state / "syncd.toml"
        configuration.write_text(
            CONFIGURATION.format(
                state=state, url=self.servers[case.directory].url, base=PEOPLE, filter=FILTER
            )
        )
        command = [str(Path(sys.executable).with_name("syncd")), "--config", str(configuration)]
        return measured([*command, "sync", "hq", "--full"], self.environment)

    def fresh(self, case: Case, name: str) -> Path:
        """Return an empty state directory, or a copy of what the first sync left."""
        state = self.state(name)
        shutil.rmtree(state, ignore_errors=True)
        if case.resumes:
            shutil.copytree(self.state(CASES[0].name), state)
        else:
            state.mkdir(mode=0o700, parents=True)
        return state

    def check(self, case: Case) -> None:
        """Raise SystemExit unless the first pass of a case wrote what it should have written."""
        with closing(sqlite3.connect(self.state(case.name) / "syncd.db")) as conn:
            (run,) = conn.execute("SELECT MAX(id) FROM runs").fetchone()
            written = [
                conn.execute(query).fetchone()[0]
                for query in (
                    "SELECT COUNT(*) FROM accounts WHERE active",
                    "SELECT COUNT(DISTINCT fingerprint) FROM links",
                    f"SELECT COUNT(*) FROM operations WHERE state = 'applied' AND run = {run}",
                    f"SELECT COUNT(*) FROM runs WHERE state = 'ended' AND id = {run}",
                )
            ]
        expected = [self.size, self.size, self.size * case.operations, 1]
        if written != expected:
            raise SystemExit(
                f"{case.name}: accounts, fingerprints, operations, runs: {written} != {expected}"
            )

    def round(self, peer: str | None) -> Iterator[dict[str, Any]]:
        """Measure every case once, and the peer against the floors of the same cases."""
        written: dict[str, float] = {}
        for case in CASES:
            search, written[case.name] = self.search(case).seconds, self.write(case)
            yield self.told(case.name, search, written[case.name], self.sync(case, "measured"))
        for name, command in self.peers(peer).items():
            search = self.search(CASES[0]).seconds
            yield self.told(f"{name}, peer", search, written[name], measured(command))

    def told(self, case: str, search: float, written: float, taken: Measured) -> dict[str, Any]:
        floor = {"ldapsearch": search, "sqlite": written}
        return {"size": self.size, "case": case, **floor, **taken._asdict()}

    def peers(self, python: str | None) -> dict[str, list[str]]:
        """Return the commands of the peer: a first synchronization of an empty database, then another."""
        if python is None:
            return {}
        database = self.folder / "peer.db"
        database.unlink(missing_ok=True)
        command = [python, str(HERE / "django_peer.py"), self.servers["first"].url, PEOPLE, str(database)]
        subprocess.run([*command, "migrate"], check=True, stdout=subprocess.DEVNULL)
        return {name: [*command, "ldap_sync_users"] for name in ("first sync", "nothing changed")}


def table(rounds: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown: medians, with the range of the ratios."""
    yield "| entries | case | ldapsearch s | SQLite s | syncd s | x floor (lowest-highest) | peak MB |"
    yield "|---|---|---|---|---|---|---|"
    for size, case in dict.fromkeys((one["size"], one["case"]) for one in rounds):
        taken = [one for one in rounds if (one["size"], one["case"]) == (size, case)]
        search, sqlite, seconds, megabytes = (
            statistics.median(one[name] for one in taken)
            for name in ("ldapsearch", "sqlite", "seconds", "megabytes")
        )
        ratios = [one["seconds"] / (one["ldapsearch"] + one["sqlite"]) for one in taken]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        yield f"| {size} | {case} | {search:.2f} | {sqlite:.2f} | {seconds:.2f} | {spread} | {megabytes:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help="entries; may be repeated (100000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/syncd-bench"))
    parser.add_argument("--json", type=Path, help="write every single measurement to this file")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter that has django-python3-ldap")
    parser.add_argument("--peer-rounds", type=int, default=5, help="in how many rounds the peer runs, too")
    given = parser.parse_args()
    rounds: list[dict[str, Any]] = []
    for size in given.size or [100_000]:
        with ExitStack() as stack:
            bench = Bench(given.folder, size, serve(given.folder, size, stack))
            for case in CASES:
                bench.sync(case, case.name)
                bench.check(case)
            for number in range(given.rounds):
                rounds.extend(bench.round(given.peer if number < given.peer_rounds else None))
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores,",
        end=" ",
    )
    print(f"{platform.machine()}; medians of {given.rounds} rounds\n")
    print("\n".join(table(rounds)))
    if given.json:
        given.json.write_text(json.dumps(rounds, indent=1))


if __name__ == "__main__":
    main()
