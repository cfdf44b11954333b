"""The platforms under kill -9: a real process, killed in the middle of its batches, again and again."""

from __future__ import annotations

import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from syncd import Context
from syncd_bulk.csvfile import CsvFile
from syncd_bulk.csvplatform import CsvPlatform
from syncd_bulk.ldif import LdifFile, blocks
from syncd_bulk.ldifplatform import LdifPlatform

KILLS = 30
PEOPLE = 150

# Forks a child at every line; the child delivers batch after batch until somebody kills it, or until
# it dies by itself before the call (of fsync or rename) whose number it was told.
VICTIM = """
import itertools, json, os, pathlib, sys
from syncd import Account, Context, Delivery
from syncd_bulk.csvplatform import CsvPlatform
from syncd_bulk.ldifplatform import LdifPlatform

kind, options, people, generation = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), 0
maker = {"csv": CsvPlatform, "ldif": LdifPlatform}[kind]

def accounts(generation):
    for n in range(people):
        fields = {"uid": f"u{n}", "cn": f"generation {generation} \\n" + "x" * 200}
        yield Account(str(n), "user", True, fields)

def live(start):
    platform = maker(maker.Options(**options), Context("victim", None, str))
    platform.open()
    for generation in itertools.count(start):
        everybody = list(accounts(generation))
        some = [a for a in everybody if (int(a.key) + generation) % 7]
        rest = [a for a in everybody if not (int(a.key) + generation) % 7]
        work = [Delivery(0, "add", 1, None, a) for a in some] + [Delivery(0, "delete", 1, a.key, a) for a in rest]
        assert all(outcome.error is None for outcome in platform.deliver(work))

def die_before(count):
    left = itertools.count(count, -1)
    for where, name in ((os, "fsync"), (pathlib.Path, "rename")):
        def instead(*given, call=getattr(where, name)):
            if next(left) == 1:
                os._exit(9)
            return call(*given)
        setattr(where, name, instead)

for line in sys.stdin:
    generation, call = map(int, line.split())
    child = os.fork()
    if not child:
        die_before(call)
        live(generation)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


class Victim:
    def __init__(self, kind, options):
        import json

        arguments = [sys.executable, "-c", VICTIM, kind, json.dumps(options), str(PEOPLE)]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def live(self, generation, until_call=0):
        self.process.stdin.write(f"{generation} {until_call}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def is_dead(self):
        return "dead\n" == self.process.stdout.readline()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture
def victim():
    started = []

    def start(kind, **options):
        started.append(Victim(kind, options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def expected(generation):
    return {f"u{n}" for n in range(PEOPLE) if (n + generation) % 7}


def generation_of(people):
    """Return the one generation that everybody belongs to (0 for nobody)."""
    found = {int(re.match(r"generation (\d+) ", cn)[1]) for cn in people.values()}
    assert len(found) <= 1, f"rows of several batches in one file: {found}"
    generation = found.pop() if found else 0
    assert set(people) == (expected(generation) if generation else set())
    return generation


def csv_people(path):
    if not path.exists():
        return {}
    with path.open("rb") as file:
        table = CsvFile(file)
        uid, cn = table.header.index("uid"), table.header.index("cn")
        return {row.cells[uid]: row.cells[cn] for row in table if not row.faults}


def ldif_people(path):
    if not path.exists():
        return {}
    with path.open("rb") as file:
        return {entry.values["uid"][0]: entry.values["cn"][0] for entry in LdifFile(file)}


def survive(victim, folder, read):
    """Kill, look, and go on, many times; every look finds one whole batch, never an older one than before."""
    chance, generation, drafts = random.Random(7), 0, 0
    for _ in range(KILLS):
        child = victim.live(generation + 1)
        time.sleep(chance.uniform(0.001, 0.08))
        os.kill(child, signal.SIGKILL)
        assert victim.is_dead()
        drafts += any(path.name.endswith(".tmp") for path in folder.iterdir())
        found = read()
        assert found >= generation
        generation = found
    assert generation > 0
    assert drafts > 0, "no kill hit the middle of a batch; the test has proved nothing"


@pytest.mark.parametrize("options", [{}, {"key": False, "enabled": False}])
def test_a_killed_csv_platform_leaves_the_old_file_or_the_new_one(victim, tmp_path, options):
    path = tmp_path / "out.csv"
    settings = {"path": str(path), "columns": ["uid", "cn"], **options}
    one = victim("csv", **settings)

    survive(one, tmp_path, lambda: generation_of(csv_people(path)))

    platform = CsvPlatform(CsvPlatform.Options(**settings), Context("after", SimpleNamespace(), str))
    platform.open()
    assert len(list(platform.list())) == len(csv_people(path))


def test_a_killed_ldif_platform_leaves_the_old_file_or_the_new_one(victim, tmp_path):
    path = tmp_path / "out.ldif"
    one = victim("ldif", path=str(path), dn="uid={uid},dc=x", attributes=["uid", "cn"])

    survive(one, tmp_path, lambda: generation_of(ldif_people(path)))


def test_the_changes_of_a_killed_platform_add_up_to_its_state_with_none_lost_or_doubled(victim, tmp_path):
    settings = {
        "path": str(tmp_path),
        "style": "changes",
        "dn": "uid={uid},dc=x",
        "attributes": ["uid", "cn"],
    }
    state = tmp_path / ".state.ldif"
    one = victim("ldif", **settings)

    survive(one, tmp_path, lambda: generation_of(ldif_people(state)))

    platform = LdifPlatform(LdifPlatform.Options(**settings), Context("after", SimpleNamespace(), str))
    platform.open()
    assert ldif_people(state) == replayed(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "derived csv", "ldif", "changes"])
def test_death_before_any_call_that_matters_is_survived(victim, tmp_path, kind):
    """Before the first, the second, the third ... fsync or rename, each time in what the last death has left."""
    path = tmp_path / "out"
    ldif = {"dn": "uid={uid},dc=x", "attributes": ["uid", "cn"]}
    options, read = {
        "csv": ({"path": str(path), "columns": ["uid", "cn"]}, lambda: csv_people(path)),
        "derived csv": (
            {"path": str(path), "columns": ["uid", "cn"], "key": False},
            lambda: csv_people(path),
        ),
        "ldif": ({"path": str(path), **ldif}, lambda: ldif_people(path)),
        "changes": (
            {"path": str(tmp_path), "style": "changes", **ldif},
            lambda: ldif_people(tmp_path / ".state.ldif"),
        ),
    }[kind]
    one, generation = victim("csv" if "csv" in kind else "ldif", **options), 0

    for call in range(1, 25):
        one.live(generation + 1, until_call=call)
        assert one.is_dead()
        found = generation_of(read())
        assert found >= generation
        generation = found

    assert generation >= 24
    if kind == "changes":
        platform = LdifPlatform(LdifPlatform.Options(**options), Context("after", SimpleNamespace(), str))
        platform.open()
        assert read() == replayed(tmp_path)


def replayed(folder):
    """Apply every change file in order, as a strict importer does: no add of what is there, nothing else of what is not."""
    people = {}
    for path in sorted(folder.glob("[0-9]*.ldif")):
        for _, block in blocks(io.BytesIO(path.read_bytes())):
            if block == b"version: 1":
                continue
            name = re.match(rb"dn: uid=(u\d+),", block)[1].decode()
            kind = re.search(rb"^changetype: (\w+)$", block, re.MULTILINE)[1]
            assert (kind == b"add") == (name not in people), f"{path.name}: {kind} of {name}"
            if kind == b"delete":
                del people[name]
                continue
            text = re.sub(rb"^(changetype|replace): .*\n|^-(\n|$)", b"", block, flags=re.MULTILINE)
            (entry,) = LdifFile(io.BytesIO(text))
            people[name] = entry.values["cn"][0]
    return people
