"""The platform ``mivoice`` under kill -9, while files are collected: an importer that forgives nothing ends with everybody."""

from __future__ import annotations

import csv
import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syncd import Account, Delivery
from syncd.testing import context
from syncd_bulk.csvfile import CsvFile
from syncd_bulk.ldif import blocks
from syncd_pbx.mivoice import MivoicePlatform

DEATHS, KILLS, PEOPLE = 40, 25, 60
OPTIONS = {"product": "business", "dn": "CN={sAMAccountName},DC=x", "max_entries": 20}

# Forks a child at every line; the child delivers batch after batch until somebody kills it, or until it
# dies by itself before the call (of fsync, rename or unlink) whose number it was told.
VICTIM = """
import itertools, os, pathlib, sys
sys.path[:0] = sys.argv[2].split(os.pathsep)
from test_mivoice_kill import deliver

def die_before(count):
    left = itertools.count(count, -1)
    for where, name in ((os, "fsync"), (pathlib.Path, "rename"), (pathlib.Path, "unlink")):
        def instead(*given, call=getattr(where, name), **named):
            if next(left) == 1:
                os._exit(9)
            return call(*given, **named)
        setattr(where, name, instead)

for line in sys.stdin:
    generation, call = map(int, line.split())
    child = os.fork()
    if not child:
        die_before(call)
        for number in itertools.count(generation):
            deliver(pathlib.Path(sys.argv[1]), number)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def expected(generation):
    """Return everybody of a generation: login -> last name. One in seven is not there, and three in seven change."""
    return {
        f"u{number}": f"name {generation if (number + generation) % 7 < 3 else 0}"
        for number in range(PEOPLE)
        if (number + generation) % 7
    }


def opened(folder):
    made = MivoicePlatform(MivoicePlatform.Options(path=str(folder), **OPTIONS), context())
    made.open()
    return made


def deliver(folder, generation):
    made, people = opened(folder), expected(generation)
    work = []
    for number in range(PEOPLE):
        login = f"u{number}"
        fields = {"Login ID": login, "Role": "r", "Last Name": people.get(login, "")}
        action = "add" if login in people else "delete"
        work.append(Delivery(number, action, 1, str(number), Account(str(number), "user", True, fields)))
    assert all(outcome.error is None for outcome in made.deliver(work))


class Importer:
    """Takes files away and imports them; whoever is added twice, or changed without being there, is an error."""

    def __init__(self, folder: Path, inbox: Path) -> None:
        self.folder, self.inbox = folder, inbox
        self.people: dict[str, str] = {}
        self.seen: set[str] = set()
        inbox.mkdir()

    def collect(self, chance: random.Random, share: float = 1.0) -> None:
        for path in list(self.folder.iterdir()):
            if path.name.startswith(".") or chance.random() > share:
                continue
            try:
                mine = path.rename(self.inbox / path.name)
            except FileNotFoundError:
                continue
            assert path.name not in self.seen, "a number was used twice"
            self.seen.add(path.name)
            (self.rows if path.suffix == ".csv" else self.records)(mine)

    def rows(self, path: Path) -> None:
        with path.open("rb") as file:
            assert all(not row.faults for row in CsvFile(file))
        for row in csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True):
            assert row["Login ID"] not in self.people, f"{path.name} adds {row['Login ID']} again"
            self.people[row["Login ID"]] = row["Last Name"]

    def records(self, path: Path) -> None:
        for _, block in blocks(io.BytesIO(path.read_bytes())):
            if block == b"version: 1":
                continue
            text = block.decode()
            login, kind = re.match("dn: CN=(u[0-9]+),", text)[1], re.search("changetype: (.*)", text)[1]
            assert (kind == "add") == (login not in self.people), f"{path.name}: {kind} of {login}"
            if kind == "delete":
                del self.people[login]
            else:
                self.people[login] = re.search("^sn: (.*)$", text, re.MULTILINE)[1]


@pytest.fixture
def victim(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    here = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(folder), here], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip

    children = []

    def live(generation, until_call=0):
        process.stdin.write(f"{generation} {until_call}\n")
        process.stdin.flush()
        children.append(int(process.stdout.readline()))
        return children[-1]

    def is_dead():
        children.pop()
        return process.stdout.readline() == "dead\n"

    yield live, folder, is_dead
    for child in children:
        os.kill(child, signal.SIGKILL)
    process.stdin.close()
    process.stdout.close()
    process.wait(10)


def test_death_before_any_call_that_matters_loses_and_doubles_nobody(victim, tmp_path):
    live, folder, is_dead = victim
    importer, chance = Importer(folder, tmp_path / "in"), random.Random(3)
    for call in range(1, DEATHS):
        live(call, until_call=call)
        assert is_dead()
        importer.collect(chance, 0.5)
    deliver(folder, DEATHS)
    importer.collect(chance)

    assert expected(DEATHS) == importer.people
    assert [".state.jsonl"] == [path.name for path in folder.iterdir()]


def test_kills_and_collections_at_any_moment_lose_and_double_nobody(victim, tmp_path):
    live, folder, is_dead = victim
    importer, chance, left = Importer(folder, tmp_path / "in"), random.Random(5), 0
    for number in range(1, KILLS):
        child = live(1000 * number)
        for _ in range(3):
            time.sleep(chance.uniform(0.001, 0.03))
            importer.collect(chance, 0.6)
        os.kill(child, signal.SIGKILL)
        assert is_dead()
        left += any(path.name.endswith((".tmp", ".old")) for path in folder.iterdir())
    deliver(folder, 7)
    importer.collect(chance)

    assert left > 0, "no kill hit the middle of a batch; the test has proved nothing"
    assert expected(7) == importer.people
