"""How long a PBX database takes to follow, against a bare executemany of the very same rows.

    python tests/bench/bench_pbx.py [--size 10000] [--there 100000] [--rounds 3] [--on sqlite,mariadb,postgresql]

prints a line for each database and platform: new accounts, and 100 changes among many. The floor is the driver's own
``executemany`` of the rows that the platform wrote, one transaction, into the same tables. ``--sync`` adds whole
processes ``syncd sync`` that bring a file of people to an SQLite node, and the same without the node.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from servers.databases import SERVERS
from servers.nodes import METADATA, Database, account, asterisk, kamailio, opened, sqlite_database
from sqlalchemy import event

from syncd import Delivery, Platform

CONFIGURATION = """
state_directory = "{folder}/state"
[enterprise.acme]
sources = ["hr"]
[source.hr]
type = "csv"
path = "{folder}/hr.csv"
anchor = "number"
stable_for = 0
max_entries = 1_000_000
detain = "never"
limits = {{ add = "off", update = "off" }}
[source.hr.map]
display_name = "name"
extension = "number"
"""
NODE = """
[platform.pbx]
type = "asterisk"
url = "sqlite:///{folder}/node.sqlite"
limits = {{ add = "off", update = "off" }}
"""
MARKS = {"sqlite": "?", "mariadb": "%s", "postgresql": "%s"}


@contextmanager
def database_on(kind: str, folder: Path) -> Iterator[Callable[[], Database]]:
    """Yield what makes a database with empty tables."""
    if kind == "sqlite":
        (folder / "node.sqlite").unlink(missing_ok=True)
        yield lambda: sqlite_database(folder / "node.sqlite")
        return
    make, missing = SERVERS[kind]
    if missing:
        sys.exit(missing)
    with make() as server:
        yield server.database


def deliveries(kind: str, size: int) -> list[Delivery]:
    """Return new accounts, with everything that the platform takes."""
    made = []
    for number in range(100_000, 100_000 + size):
        more = {"email_address": f"p{number}@acme.example"}
        if kind == "asterisk":
            more = {"mailbox": str(number), "pin": "471100", "email": f"p{number}@acme.example"}
        made.append(Delivery(number, "add", number, None, account(number, **more)))
    return made


def clocks() -> tuple[float, float]:
    """Return the time, and the processor time of this process."""
    return time.perf_counter(), time.process_time()


def since(begin: tuple[float, float]) -> tuple[float, float]:
    """Return the seconds since then, and those that this process worked."""
    now = clocks()
    return now[0] - begin[0], now[1] - begin[1]


def deliver(platform: Platform, made: list[Delivery]) -> tuple[float, float]:
    """Return the seconds that the platform takes, and those that this process works."""
    begin = clocks()
    for start in range(0, len(made), platform.batch):
        for outcome in platform.deliver(made[start : start + platform.batch]):
            if outcome.error is not None:
                raise outcome.error
    return since(begin)


def floor(database: Database, kind: str) -> tuple[float, float]:
    """Write the rows that are there once more, into the same tables, emptied before; return seconds as ``deliver`` does."""
    rows = {name: found for name in METADATA.tables if (found := database.rows(name))}
    statements = []
    for name, found in rows.items():
        used = [column for column in found[0] if any(row[column] is not None for row in found)]
        marks = ", ".join([MARKS[kind]] * len(used))
        statement = f"INSERT INTO {name} ({', '.join(used)}) VALUES ({marks})"
        statements.append((statement, [tuple(row[column] for column in used) for row in found]))
        database.run(f"DELETE FROM {name}")
    connection = database.engine.raw_connection()
    cursor = connection.cursor()
    begin = clocks()
    for statement, values in statements:
        cursor.executemany(statement, values)
    connection.commit()
    seconds = since(begin)
    connection.close()
    return seconds


def watched(platform: Any) -> dict[str, int]:
    """Return a count of statements, and of the rows that they change, kept up to date."""
    counts = {"statements": 0, "rows": 0}

    def note(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        counts["statements"] += 1
        if statement.split(maxsplit=1)[0] in {"INSERT", "UPDATE", "DELETE"}:
            counts["rows"] += cursor.rowcount

    event.listen(platform._engine, "after_cursor_execute", note)
    return counts


def measure(kind: str, name: str, args: argparse.Namespace, folder: Path) -> None:
    """Print what one platform does over one database."""
    ratios, works, seconds, per_batch = [], [], [], 0.0
    with database_on(kind, folder) as make:
        for _ in range(args.rounds):
            database = make()
            platform = opened((asterisk if name == "asterisk" else kamailio)(database))
            counts = watched(platform)
            made = deliveries(name, args.size)
            took, worked = deliver(platform, made)
            platform.close()
            least, at_least = floor(database, kind)
            seconds.append(took)
            ratios.append(took / least)
            works.append(worked / at_least)
            per_batch = counts["statements"] / (args.size / platform.batch)
        median = statistics.median
        print(
            f"{kind:10} {name:9} {args.size} new: {median(seconds):.2f} s, {median(ratios):.1f} x executemany "
            f"({min(ratios):.1f}-{max(ratios):.1f}; {median(works):.1f} x its processor time), "
            f"{per_batch:.0f} statements for {platform.batch}",
            flush=True,
        )
        database = make()
        platform = opened((asterisk if name == "asterisk" else kamailio)(database))
        made = deliveries(name, args.there)
        deliver(platform, made)
        counts = watched(platform)
        field = "name" if name == "asterisk" else "email_address"
        changes = []
        for one in made[:: max(1, args.there // 100)][:100]:
            changed = account(int(one.account.fields["extension"]), **{**one.account.fields, field: "new"})
            remote_id = str(one.account.fields["extension"])
            changes.append(Delivery(one.id, "update", one.id, remote_id, changed, frozenset({field})))
        removals = [Delivery(one.id, "delete", one.id, one.remote_id, one.account) for one in changes]
        for words, wanted in (("changes", changes), ("removals", removals)):
            counts.update(statements=0, rows=0)
            took, _ = deliver(platform, wanted)
            print(
                f"{kind:10} {name:9} {len(wanted)} {words} among {args.there}: {took * 1000:.0f} ms, "
                f"{counts['statements']} statements, {counts['rows']} rows written",
                flush=True,
            )
        platform.close()


def sync(folder: Path, size: int) -> None:
    """Print what whole processes take, with a node and without."""
    command = [sys.executable, "-c", "from syncd.cli import main; main()"]
    for words, kept in (("without a node", ""), ("with an SQLite node", NODE)):
        here = folder / words.split()[0]
        here.mkdir()
        sqlite_database(here / "node.sqlite")
        (here / "syncd.toml").write_text((CONFIGURATION + kept).format(folder=here), "utf-8")
        for what in ("new", "unchanged", "100 changed"):
            if what != "unchanged":
                people(here / "hr.csv", size, 100 if what == "100 changed" else 0)
            begin, before = time.perf_counter(), cpu()
            done = subprocess.run(
                [*command, "--config", str(here / "syncd.toml"), "sync"],
                env={**os.environ, "SYNCD_CONFIG": ""}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            seconds, used = time.perf_counter() - begin, cpu() - before
            assert done.returncode == 0, done.stdout + done.stderr
            print(
                f"syncd sync {words}, {size} people, {what}: {seconds:.2f} s ({used:.2f} of CPU)", flush=True
            )


def cpu() -> float:
    """Return the seconds that ended processes have worked."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def people(path: Path, size: int, changed: int) -> None:
    """Write the file of people, the first of them with another name."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("number", "name"))
        rows.writerows(
            (number, f"{'Another' if number - 100_000 < changed else 'Person'} {number}")
            for number in range(100_000, 100_000 + size)
        )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--there", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--on", default="sqlite,mariadb,postgresql")
    parser.add_argument("--sync", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        for kind in filter(None, args.on.split(",")):
            for platform in ("asterisk", "kamailio"):
                measure(kind, platform, args, folder)
        if args.sync:
            sync(folder, args.size)


if __name__ == "__main__":
    main()
