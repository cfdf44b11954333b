"""One installation over memory worlds, for the tests of the line: configured in TOML, its clock turned by the test."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from syncd import logs
from syncd.config import Settings, load
from syncd.connector import Source
from syncd.model import Checkpoint, Layer, fold, fold_layers
from syncd.pipeline import line as line_module
from syncd.pipeline.approving import approve
from syncd.pipeline.installation import Installation, Line, line_of
from syncd.pipeline.opening import catalog_of
from syncd.plugins import Plugins
from syncd.plugins import load as load_plugins
from syncd.store.database import Database, make_tables, open_database
from syncd.store.queue import Stored, operations
from syncd.store.runs import Run, run_of
from syncd.store.standings import precedence_of, texts
from syncd.testing.memory import MemoryDeltaSource, MemoryPlatform, MemorySource
from syncd.testing.worlds import World

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
UNLIMITED = {"remove": "off", "add": "off", "update": "off", "container": "off", "shrink": "off"}
AT_ONCE = {"reads": 1, "after": "0s"}
PLAIN = {
    "type": "memory",
    "match": ["login"],
    "detain": "never",
    "leavers": AT_ONCE,
    "limits": UNLIMITED,
    "map": {"login": "uid", "email": "mail", "extension": "ext", "last_name": "sn", "phone": "tel"},
}
"""A source that nobody waits for: no limit, no grace. A test says what it wants otherwise."""


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Log nothing: thousands of runs would have a lot to say."""
    monkeypatch.setattr(logs, "_threshold", 99)


class Person(NamedTuple):
    """An account as it stands."""

    id: int
    attributes: dict[str, Any]
    disabled_by: str | None
    deleted: bool

    @property
    def active(self) -> bool:
        return self.disabled_by is None and not self.deleted


def in_memory() -> Database:
    """Return a database that is in no file, and empty."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("PRAGMA foreign_keys = ON")
    make_tables(conn)
    return Database(conn, Path(":memory:"))


class Site:
    """An installation with one enterprise, unless ``enterprises`` say otherwise.

    Every other keyword is a source: what it has besides, or other than, PLAIN. ``top`` holds further
    tables. Without a folder its database is in memory.
    """

    def __init__(self, folder: Path | None = None, **configuration: Any) -> None:
        self.now = START
        self.path = None if folder is None else folder / "syncd.db"
        self.worlds: dict[str, World] = {}
        self.spoiled: dict[str, Callable[[Source], Source]] = {}
        self.actor = "ada"
        self.configure(**configuration)
        self.open()

    def configure(
        self,
        *,
        enterprise: Mapping[str, Any] | None = None,
        enterprises: Mapping[str, Any] | None = None,
        top: Mapping[str, Any] | None = None,
        **sources: Mapping[str, Any],
    ) -> None:
        """Use another configuration from now on."""
        sources = sources or {"hq": {}}
        acme = {"sources": list(sources), **(enterprise or {})}
        tables = {
            "enterprise": enterprises or {"acme": acme},
            "source": {name: {**PLAIN, **keys} for name, keys in sources.items()},
            **(top or {}),
        }
        self.settings = settings_of("".join(f"{name} = {toml(table)}\n" for name, table in tables.items()))
        for name in sources:
            self.worlds.setdefault(name, World())

    def open(self) -> None:
        """Open the database, as a process does that starts."""
        self.use(in_memory() if self.path is None else open_database(self.path))

    def use(self, database: Database) -> None:
        self.database = database

    def restart(self) -> None:
        """Let the process end and another one begin."""
        self.database.close()
        self.open()

    def copied(self) -> Site:
        """Return the site as another process finds it: with what is committed, and nothing else of it.

        The database of this one has to be in memory, and stays as it is.
        """
        again = copy(self)
        again.open()
        self.database.conn.backup(again.database.conn)
        return again

    @property
    def here(self) -> Installation:
        return Installation(self.settings, plugins(), self.database, self.actor, str, lambda: self.now)

    def world(self, name: str = "hq") -> World:
        return self.worlds[name]

    def hire(self, *anchors: str, source: str = "hq", **attributes: Any) -> None:
        """Put people into a source; what is not said of one is made of the anchor."""
        for anchor in anchors:
            usual = {"uid": anchor, "mail": f"{anchor}@acme.example", "sn": anchor.title()}
            self.world(source).add(anchor, **{**usual, **attributes})

    def hired(self, count: int, source: str = "hq") -> list[str]:
        """Hire people who are all alike, read them, and return their anchors."""
        anchors = [f"p{number:03}" for number in range(count)]
        self.hire(*anchors, source=source)
        self.sync(source)
        return anchors

    def fire(self, *anchors: str, source: str = "hq") -> None:
        for anchor in anchors:
            self.world(source).remove(anchor)

    def line(self, name: str = "hq") -> Line:
        line = line_of(self.here, name)
        source = line.source
        assert isinstance(source, MemorySource)
        source.world = self.world(name)
        return line._replace(source=self.spoiled[name](source)) if name in self.spoiled else line

    def plan(self, name: str = "hq", *, full: bool = False) -> Run:
        return line_module.plan_run(self.here, self.line(name), full=full)

    def sync(self, name: str = "hq", *, full: bool = False) -> Run:
        """Read and apply; then an hour passes."""
        run = line_module.sync(self.here, self.line(name), full=full)
        self.wait(hours=1)
        return run

    def apply(self, run: Run) -> Run:
        return line_module.apply_run(self.here, run)

    def approve(self, run: Run) -> Run:
        """Approve a run and apply it, as ``syncd apply`` does."""
        return self.apply(approve(self.here, run.id, plan_hash=run.plan_hash))

    def run(self, number: int) -> Run:
        found = run_of(self.database, number)
        assert found is not None
        return found

    def wait(self, **times: float) -> None:
        self.now += timedelta(**times)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.database.conn.execute(query, values).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        ((found,),) = self.rows(query, *values)
        return found

    def people(self) -> dict[int, Person]:
        """Return every account by its id, deleted ones included."""
        rows = self.rows("SELECT id, attributes, disabled_by, deleted_at FROM accounts ORDER BY id")
        return {
            number: Person(number, json.loads(attributes), disabled_by, deleted_at is not None)
            for number, attributes, disabled_by, deleted_at in rows
        }

    def person(self, anchor: str, source: str = "hq") -> Person:
        """Return the account that an anchor is linked to."""
        return self.people()[self.value(f"{_LINKED} AND l.anchor = ?", source, anchor)]

    def linked(self, source: str = "hq") -> dict[str, Person]:
        """Return the accounts of a source, by anchor."""
        people = self.people()
        return {
            anchor: people[account]
            for account, anchor in self.rows(_LINKED.replace("account", "account, l.anchor", 1), source)
        }

    def operations(self, run: Run | int | None = None) -> list[Stored]:
        """Return the operations of a run, or those that are open."""
        if run is None:
            return operations(self.database, "o.state IN ('detained','failed','waiting')")
        return operations(self.database, "o.run = ?", (run if isinstance(run, int) else run.id,))

    def told(self, run: Run | int | None = None) -> list[tuple[str | None, str, str]]:
        """Return (anchor, kind, state) of operations, sorted."""
        return sorted((one.anchor or "", one.kind, one.state) for one in self.operations(run))

    def open_one(self, anchor: str) -> Stored:
        """Return the one open operation of an anchor."""
        (one,) = [one for one in self.operations() if one.anchor == anchor]
        return one

    def problems(self, run: Run | int) -> list[tuple[str | None, str]]:
        number = run if isinstance(run, int) else run.id
        return self.rows(
            "SELECT anchor, code FROM problems WHERE run = ? AND attribute IS NULL ORDER BY anchor, code",
            number,
        )

    def taken(self) -> list[tuple[str, str, str, int]]:
        return self.rows(
            "SELECT enterprise, attribute, folded, account FROM keys WHERE releasing = 0 ORDER BY 1, 2, 3"
        )

    def claimed(self) -> list[tuple[str, str, str, int]]:
        """Return what the table of keys has to hold: what the accounts that are not deleted say."""
        rows = self.rows("SELECT enterprise, id, attributes FROM accounts WHERE deleted_at IS NULL")
        return sorted(
            (enterprise, name, fold(value), number)
            for enterprise, number, attributes in rows
            for name, value in json.loads(attributes).items()
            if name in self.settings.vocabulary.keys_
        )


_LINKED = (
    "SELECT l.account FROM links l JOIN connections c ON c.id = l.connection WHERE c.name = ? AND l.id = l.id"
)


def check_books(site):
    """Hold the tables against each other."""
    assert site.claimed() == site.taken()
    assert [] == site.rows(
        "SELECT connection, anchor FROM operations WHERE state IN ('detained','failed','waiting')"
        " AND anchor IS NOT NULL GROUP BY connection, anchor HAVING COUNT(*) > 1"
    )
    assert [] == site.rows(
        "SELECT o.id FROM operations o JOIN runs r ON r.id = o.run WHERE o.state = 'planned'"
        " AND r.state NOT IN ('planned','held')"
    )
    assert [] == site.rows("SELECT account FROM links GROUP BY connection, account HAVING COUNT(*) > 1")
    assert [] == site.rows(
        "SELECT r.account FROM remotes r JOIN accounts a ON a.id = r.account WHERE r.wanted <> a.revision"
    )
    for platform in site.settings.platforms:
        assert site.rows("SELECT id FROM accounts ORDER BY id") == site.rows(
            "SELECT account FROM remotes WHERE platform = ? ORDER BY account", platform
        )
    assert 1 >= len(site.rows("SELECT id FROM runs WHERE kind = 'sync' AND state IN ('planned','held')"))
    check_layers(site)
    check_journal(site)


def check_layers(site):
    """Every account says what its layers come to: its template, its links in precedence, a person's word."""
    conn = site.database.conn
    ranks = {
        enterprise: precedence_of(conn, one.sources) for enterprise, one in site.settings.enterprises.items()
    }
    for number, enterprise, attributes, template, local in site.rows(
        "SELECT id, enterprise, attributes, template, local FROM accounts"
    ):
        links = [
            Layer(ranks[enterprise][connection], texts(record), bool(owner), gone_at, enabled=True)
            for connection, record, owner, gone_at in site.rows(
                "SELECT connection, record, owner, gone_at FROM links WHERE account = ?", number
            )
        ]
        assert fold_layers(texts(template), links, texts(local)) == texts(attributes), number


def check_journal(site):
    """Every account is what its applied operations made of it, each of which found what it says it found."""
    told = {}
    for account, kind, before, after in site.rows(
        "SELECT o.account, o.kind, o.before, o.after FROM operations o JOIN runs r ON r.id = o.run"
        " WHERE o.state = 'applied' ORDER BY r.ended_at, o.id"
    ):
        assert (kind == "add") == (account not in told)
        values = told.setdefault(account, {})
        found = {name: values.get(name) for name in json.loads(before)}
        assert json.loads(before) == found
        values.update(json.loads(after))
    assert {
        account: {k: v for k, v in values.items() if v is not None} for account, values in told.items()
    } == {
        person.id: {
            **person.attributes,
            **({"disabled_by": person.disabled_by} if person.disabled_by else {}),
            **({"deleted": True} if person.deleted else {}),
        }
        for person in site.people().values()
    }


class Reader(Source):
    """A source that yields what it is given; an exception among it is raised."""

    Options = MemorySource.Options

    def __init__(self, wrapped: Source, *items: object) -> None:
        super().__init__(wrapped.options, wrapped.context)
        self.wrapped = wrapped
        self.items = items

    @property
    def incremental(self) -> bool:  # type: ignore[override]
        return self.wrapped.incremental

    def scope(self) -> str:
        return self.wrapped.scope()

    def read(self, cursor: str | None) -> Iterator[Any]:
        for item in self.items:
            if isinstance(item, BaseException):
                raise item
            yield item


def reads(*items: object) -> Callable[[Source], Source]:
    """Return what spoils a source so that it yields these, whatever its world."""
    return lambda wrapped: Reader(wrapped, *items)


END = Checkpoint(None, full=True)


def toml(value: Any) -> str:
    """Write a value as TOML has it, within a line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=256)
def settings_of(text: str) -> Settings:
    """Return a configuration, read from a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "syncd.toml"
        file.write_text(text, "utf-8")
        return load([file], catalog_of(plugins()), {})


@lru_cache(maxsize=1)
def plugins() -> Plugins:
    loaded = load_plugins([], [])
    loaded.sources.update({"memory": MemorySource, "memory-delta": MemoryDeltaSource})
    loaded.platforms["memory"] = MemoryPlatform
    return loaded
