"""An installation of forty people in a folder, worked on by ``syncd`` processes that may be killed.

Two files are read (LDIF and CSV), and three platforms written: a CSV file, an LDIF file, and a folder of
LDIF changes. ``picture`` is what has to be the same in the end, however often somebody was killed.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from victims import Life, Nursery

from syncd_bulk.csvfile import CsvFile
from syncd_bulk.ldif import LdifFile, blocks
from syncd_bulk.ldifplatform import stored

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
PLATFORMS = ("phones", "letters", "steps")

CONFIGURATION = """
state_directory = "{folder}/state"
purge_after = "30d"
keep = { values = "60d" }
role = { sales = { template = "desk" } }
[template.desk]
services = ["phones", "letters", "steps"]
allocate = { extension = "100-299" }
[enterprise.acme]
sources = ["hq", "branch"]

[source.hq]
type = "ldif"
path = "{folder}/in/hq.ldif"
anchor = "entryUUID"
enabled = "status"
stable_for = 0
match = ["login", "email"]
adopt = true
role = "sales"
detain = "never"
leavers = { reads = 1, after = "0s", delete_after = "1d" }
limits = { remove = "off", add = "off", update = "off", container = "off", shrink = "off" }
[source.hq.map]
login = "uid"
email = "mail"
last_name = "sn"
location = "l"
phone = { from = "telephoneNumber", policy = "detain" }

[source.branch]
type = "csv"
path = "{folder}/in/branch.csv"
anchor = "number"
stable_for = 0
match = ["login"]
operations = ["add", "update", "remove"]
detain = "never"
leavers = { reads = 1, after = "0s", removed = "delete" }
limits = { remove = "off", add = "off", update = "off", container = "off", shrink = "off" }
[source.branch.map]
login = "login"
email = "mail"
last_name = "name"

[platform.phones]
type = "csv"
path = "{folder}/out/phones.csv"
limits = { remove = "off", add = "off", update = "off" }
[platform.phones.columns]
login = "login"
email = { attribute = "email", key = true }
extension = { attribute = "extension", key = true }

[platform.letters]
type = "ldif"
path = "{folder}/out/letters.ldif"
dn = "uid={uid},dc=acme"
attributes = { uid = "login", cn = "login", sn = "last_name", mail = "email" }
limits = { remove = "off", add = "off", update = "off" }

[platform.steps]
type = "ldif"
style = "changes"
path = "{folder}/out/steps"
dn = "uid={uid},dc=acme"
attributes = { uid = "login", cn = "login", sn = "last_name", mail = "email", l = "location" }
limits = { remove = "off", add = "off", update = "off" }
"""


class DoomedSite:
    """The folder, what its sources say, and the clock that every process sees."""

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self.folder, self.kept = folder / "live", folder / "kept"
        self.nursery = nursery
        self.now = START
        for part in ("in", "out/steps"):
            (self.folder / part).mkdir(parents=True)
        self.config = self.folder / "syncd.toml"
        self.config.write_text(CONFIGURATION.replace("{folder}", str(self.folder)), "utf-8")
        self.hq = {f"p{number:02}": person(f"p{number:02}") for number in range(32)}
        self.branch = {f"b{number}": person(f"p{20 + number}") for number in range(6)}  # who are in both
        self.branch |= {f"b{number}": person(f"b{number}") for number in (6, 7)}
        self.write()

    @property
    def database(self) -> Path:
        return self.folder / "state" / "syncd.db"

    def configure(self, old: str, new: str) -> None:
        text = self.config.read_text("utf-8")
        assert old in text
        self.config.write_text(text.replace(old, new), "utf-8")

    def write(self) -> None:
        """Write what the sources say."""
        lines = ["version: 1"]
        for anchor, one in self.hq.items():
            lines += ["", f"dn: uid={one['uid']},dc=acme", f"entryUUID: {anchor}"]
            lines += [f"{name}: {value}" for name, value in one.items()]
        (self.folder / "in/hq.ldif").write_text("\n".join(lines) + "\n", "utf-8")
        rows = [f"{anchor},{one['uid']},{one['mail']},{one['sn']}" for anchor, one in self.branch.items()]
        (self.folder / "in/branch.csv").write_text(
            "\n".join(["number,login,mail,name", *rows]) + "\n", "utf-8"
        )

    def later(self, **times: float) -> None:
        self.now += timedelta(**times)

    def live(self, *words: str, **death: Any) -> Life:
        """Let a process live, and an hour pass."""
        life = self.nursery.live(["--config", str(self.config), *words], self.now, **death)
        self.later(hours=1)
        return life

    def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> Life:
        """Let a process live that nobody kills, and that has to end with one of ``codes``."""
        life = self.live(*words)
        assert life.code in codes, f"syncd {' '.join(words)}: {life.code}\n{life.output}"
        return life

    def keep(self) -> None:
        """Keep all files as they are now, and the time."""
        shutil.copytree(self.folder, self.kept)
        self._then = self.now

    def back(self) -> None:
        """Put all files back as they were kept, at the same place, and the time."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)
        self.now = self._then

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as conn:
            return conn.execute(query, values).fetchall()

    def numbers(self, query: str, *values: Any) -> list[str]:
        return [str(number) for (number,) in self.rows(query, *values)]


def person(name: str, **said: str) -> dict[str, str]:
    usual = {"uid": name, "mail": f"{name}@acme.example", "sn": name.title(), "l": "north", "status": "on"}
    return {**usual, **said}


def check_wreck(site: DoomedSite) -> dict[str, list[tuple[Any, ...]]]:
    """Look at what a killed process has left: a sound database, whole files, and a lock that is free.

    Nobody is on a platform twice. Returns whom each has.
    """
    lock = site.folder / "state" / "lock"
    if lock.exists():
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if site.database.exists():
        assert [("ok",)] == site.rows("PRAGMA integrity_check")
        assert [] == site.rows("PRAGMA foreign_key_check")
    there = on_platforms(site)
    for platform, people in there.items():
        assert len({login for login, *_ in people}) == len(people), platform
    return there


def check_end(site: DoomedSite, there: dict[str, list[tuple[Any, ...]]]) -> None:
    """Look at what there is in the end: nothing is left over, and nobody is lost or doubled anywhere."""
    assert [] == site.rows("SELECT id, kind, state FROM runs WHERE state IN ('reading','applying')")
    assert [] == site.rows(
        "SELECT * FROM deliveries d WHERE intent IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.intent = d.id)"
    )
    assert not list((site.folder / "out").rglob("*.tmp"))
    for platform in PLATFORMS:
        wanted = site.numbers(
            "SELECT a.login FROM remotes r JOIN accounts a ON a.id = r.account"
            " WHERE r.platform = ? AND r.remote_id IS NOT NULL ORDER BY 1", platform,
        )  # fmt: skip
        assert wanted == sorted(login for login, *_ in there[platform]), platform


def on_platforms(site: DoomedSite) -> dict[str, list[tuple[Any, ...]]]:
    """Return whom each platform has: login, whether enabled, and values; what was told of changes must add up."""
    out = site.folder / "out"
    steps = ldif_people(out / "steps" / ".state.ldif")
    if (out / "steps").exists() and not list((out / "steps").glob(".*.tmp")):
        assert {login: values for login, enabled, values in steps if enabled} == replayed(out / "steps")
    return {
        "phones": csv_people(out / "phones.csv"),
        "letters": ldif_people(out / "letters.ldif"),
        "steps": steps,
    }


def csv_people(path: Path) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    with path.open("rb") as file:
        table = CsvFile(file)
        rows = [dict(zip(table.header, row.cells, strict=True)) for row in table]
    return sorted((row["login"], row["enabled"], row["email"], row["extension"]) for row in rows)


def ldif_people(path: Path) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    found = []
    with path.open("rb") as file:
        for _, block in blocks(file):
            if block.startswith(b"# account:"):
                row = stored(block)
                (entry,) = LdifFile(io.BytesIO(row.body))
                found.append((entry.values["uid"][0], row.enabled, dict(entry.values)))
    return sorted(found, key=lambda one: one[0])


def replayed(folder: Path) -> dict[str, Any]:
    """Apply every file of changes in order, as a strict importer does: no add of what is there, nothing else of what is not."""
    there: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("[0-9]*.ldif")):
        for _, block in blocks(io.BytesIO(path.read_bytes())):
            if block == b"version: 1":
                continue
            text = block.decode()
            name = re.match(r"dn: uid=([^,]+),", text)[1]  # type: ignore[index]
            kind = re.search(r"^changetype: (\w+)$", text, re.MULTILINE)[1]  # type: ignore[index]
            assert (kind == "add") == (name not in there), f"{path.name}: {kind} of {name}"
            if kind == "delete":
                del there[name]
            elif kind == "add":
                (entry,) = LdifFile(io.BytesIO(text.replace("changetype: add\n", "").encode()))
                there[name] = dict(entry.values)
            elif kind == "modify":
                _modify(there[name], text)
            else:
                raise AssertionError(f"{path.name}: {kind} of {name}")
    return there


def _modify(values: dict[str, Any], text: str) -> None:
    for name in re.findall(r"^(?:replace|add|delete): (\w+)$", text, re.MULTILINE):
        values.pop(name.lower(), None)
    new = re.sub(r"^(changetype|replace|add|delete): .*\n|^-(\n|$)", "", text + "\n", flags=re.MULTILINE)
    (entry,) = LdifFile(io.BytesIO(new.encode()))
    values.update({name: texts for name, texts in entry.values.items() if name != "dn"})


# --- what has to be the same ---

_WHO = "(SELECT COALESCE(w.login, 'nobody') || IIF(w.deleted_at IS NULL, '', ' (deleted)') FROM accounts w WHERE w.id = {})"
_SAME = {
    "accounts": "SELECT enterprise, kind, attributes, template, local, disabled_by, deleted_at IS NULL FROM accounts",
    "links": f"SELECT c.name, l.anchor, {_WHO.format('l.account')}, l.owner, l.record, l.enabled, hex(l.fingerprint),"
    " l.missing_since IS NULL, l.gone_at IS NULL FROM links l JOIN connections c ON c.id = l.connection",
    "keys": f"SELECT enterprise, attribute, folded, {_WHO.format('account')}, {_WHO.format('releasing')} FROM keys",
    "operations": f"SELECT r.kind, c.name, o.anchor, o.kind, {_WHO.format('o.account')}, o.link_action, o.record,"
    " o.replaced, o.before, o.after, o.template, o.state, o.reasons, o.undone_by IS NULL FROM operations o"
    " JOIN runs r ON r.id = o.run LEFT JOIN connections c ON c.id = o.connection WHERE o.state <> 'superseded'",
    "remotes": f"SELECT platform, {_WHO.format('account')}, remote_id IS NULL, wanted = done, delivered, state, attempts"
    " FROM remotes",
    "connections": "SELECT name, cursor, scope, trusted_since IS NULL, retired_at IS NULL FROM connections",
    "policies": "SELECT platform, text FROM policies",
    "open runs": "SELECT c.name, r.kind, r.state, r.objections FROM runs r LEFT JOIN connections c ON c.id = r.connection"
    " WHERE r.state IN ('planned','held')",
}
# A person may have to say the same twice.
_DECISIONS = (
    "SELECT c.name, d.anchor, d.verb, hex(d.digest), d.who, d.why, d.ended_at IS NULL FROM decisions d"
    " LEFT JOIN connections c ON c.id = d.connection"
)


def picture(site: DoomedSite) -> dict[str, Any]:
    """Return all that counts, without numbers and times: those differ when something was done twice."""
    there = check_wreck(site)
    check_end(site, there)
    same: dict[str, Any] = {
        name: Counter(map(_unnumbered, site.rows(query))) for name, query in _SAME.items()
    }
    return {**same, "decisions": set(site.rows(_DECISIONS)), **there}


def _unnumbered(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        re.sub(r"\baccount \d+", "account", value) if isinstance(value, str) else value for value in row
    )


def differences(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """Return what differs between two pictures, for a person to read."""
    lines = []
    for name, value in expected.items():
        if value != found[name]:
            ours, theirs = ([json.dumps(row, default=repr) for row in rows] for rows in (value, found[name]))
            lines += [f"{name}: - {row}" for row in ours if row not in theirs]
            lines += [f"{name}: + {row}" for row in theirs if row not in ours]
            lines += [] if lines else [f"{name}: not as often"]
    return os.linesep.join(lines)
