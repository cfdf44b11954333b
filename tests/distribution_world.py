"""Accounts written straight into the tables, and platforms to deliver them to."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

from syncd.connector import Context, Field, Platform
from syncd.distribution import Breaker, Lane, LaneReport, distribute
from syncd.errors import ConfigError, Gone, Rejected
from syncd.model import VOCABULARY, Account, Value
from syncd.services import Service
from syncd.store.database import Database, open_database

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
KEYS = ("email", "extension")


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Log:
    """Keeps every line as (level, event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.lines.append((level, event, fields))

    def events(self, *wanted: str) -> list[str]:
        return [event for _, event, _ in self.lines if not wanted or event in wanted]


class Company:
    """The accounts of one enterprise, changed by applied operations, as ``apply`` does it."""

    def __init__(self, path: Path, *platforms: str) -> None:
        self.database: Database = open_database(path)
        self.platforms = platforms
        self.conn = self.database.conn
        with self.database.transaction() as conn:
            conn.execute(
                "INSERT OR IGNORE INTO runs (id, enterprise, kind, mode, state, actor, started_at)"
                " VALUES (1, 'acme', 'sync', 'full', 'ended', 'test', '2026-03-02T07:00:00Z')"
            )

    def add(self, kind: str = "user", disabled_by: str | None = None, **attributes: Value) -> int:
        """Add an account; its number is that of the operation that adds it."""
        with self.database.transaction() as conn:
            number = self._operation("add", None)
            conn.execute(
                "INSERT INTO accounts (id, enterprise, kind, attributes, disabled_by, created_at, changed_at,"
                " revision) VALUES (?, 'acme', ?, ?, ?, 'now', 'now', ?)",
                (number, kind, json.dumps(attributes), disabled_by, number),
            )
            for claim in VOCABULARY.claims(attributes):
                self._gain(number, claim)
            self._want(number, number)
        return number

    def change(self, account: int, **attributes: Value | None) -> int:
        """Change attributes (None: no value any more); return the revision."""
        return self.change_all({account: attributes})[account]

    def change_all(self, changes: dict[int, dict[str, Any]]) -> dict[int, int]:
        """Change several accounts at once, so that keys can be handed on in any direction."""
        revisions, gains = {}, []
        with self.database.transaction() as conn:
            for account, attributes in changes.items():
                old = json.loads(
                    conn.execute("SELECT attributes FROM accounts WHERE id = ?", (account,)).fetchone()[0]
                )
                new = {name: value for name, value in {**old, **attributes}.items() if value is not None}
                before, after = set(VOCABULARY.claims(old)), set(VOCABULARY.claims(new))
                for claim in before - after:
                    self._free(account, claim)
                gains += [(account, claim) for claim in after - before]
                conn.execute("UPDATE accounts SET attributes = ? WHERE id = ?", (json.dumps(new), account))
                before_of = {name: old.get(name) for name in attributes}
                revisions[account] = self._operation("update", account, before_of)
            for account, claim in gains:
                self._gain(account, claim)
            for account, revision in revisions.items():
                self._want(account, revision)
        return revisions

    def disable(self, account: int, by: str | None = "source") -> int:
        """Disable an account, or enable it (by None)."""
        return self._state(account, "disabled_by", by)

    def delete(self, account: int) -> int:
        """Delete an account; its keys are free once every platform has confirmed it."""
        with self.database.transaction() as conn:
            text = conn.execute("SELECT attributes FROM accounts WHERE id = ?", (account,)).fetchone()[0]
            for claim in VOCABULARY.claims(json.loads(text)):
                self._free(account, claim)
        return self._state(account, "deleted_at", "2026-03-02T08:00:00Z")

    def _state(self, account: int, column: str, value: str | None) -> int:
        with self.database.transaction() as conn:
            conn.execute(f"UPDATE accounts SET {column} = ? WHERE id = ?", (value, account))
            revision = self._operation("update", account)
            self._want(account, revision)
        return revision

    def _operation(self, kind: str, account: int | None, before: dict[str, Any] | None = None) -> int:
        number = self.conn.execute(
            "INSERT INTO operations (run, kind, account, link_action, before, after, state, digest, changed_at)"
            " VALUES (1, ?, COALESCE(?, (SELECT COALESCE(MAX(id), 0) + 1 FROM operations)), 'none', ?, '{}',"
            " 'applied', x'', '2026-03-02T07:59:00Z')",
            (kind, account, json.dumps(before or {})),
        ).lastrowid
        assert number is not None
        return number

    def _gain(self, account: int, claim: tuple[str, str]) -> None:
        self.conn.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, 'acme', 0, ?)", (*claim, account))

    def _free(self, account: int, claim: tuple[str, str]) -> None:
        if self.conn.execute("SELECT 1 FROM remotes WHERE account = ?", (account,)).fetchone():
            self.conn.execute(
                "INSERT OR REPLACE INTO keys VALUES (?, ?, 'acme', ?, ?)", (*claim, account, account)
            )
        self.conn.execute(
            "DELETE FROM keys WHERE releasing = 0 AND attribute = ? AND folded = ? AND account = ?",
            (*claim, account),
        )

    def _want(self, account: int, revision: int) -> None:
        self.conn.execute("UPDATE accounts SET revision = ? WHERE id = ?", (revision, account))
        for platform in self.platforms:
            self.conn.execute(
                "INSERT INTO remotes (platform, account, wanted) VALUES (?, ?, ?)"
                " ON CONFLICT (platform, account) DO UPDATE SET wanted = excluded.wanted,"
                " state = 'pending', attempts = 0, next_try = NULL, message = NULL",
                (platform, account, revision),
            )

    # Looking

    def remote(self, account: int, platform: str = "desk") -> dict[str, Any]:
        cursor = self.conn.execute(
            "SELECT * FROM remotes WHERE platform = ? AND account = ?", (platform, account)
        )
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))

    def states(self, platform: str = "desk") -> dict[str, int]:
        return dict(
            self.conn.execute(
                "SELECT state, COUNT(*) FROM remotes WHERE platform = ? GROUP BY state", (platform,)
            ).fetchall()
        )

    def deliveries(self, account: int | None = None) -> list[tuple[str, str | None]]:
        """Return (action, result) in the order in which they were written; an intent has no result."""
        return self.conn.execute(
            "SELECT action, result FROM deliveries WHERE ? IS NULL OR account = ? ORDER BY id",
            (account, account),
        ).fetchall()

    def wanted(self, fields: tuple[str, ...]) -> dict[str, tuple[bool, dict[str, Value]]]:
        """Return what a platform that serves everybody should have, by the accounts' keys."""
        rows = self.conn.execute(
            "SELECT id, attributes, disabled_by FROM accounts WHERE deleted_at IS NULL"
        ).fetchall()
        return {
            str(number): (disabled is None, {n: v for n, v in json.loads(text).items() if n in fields})
            for number, text, disabled in rows
        }


class Desk(Platform):
    """A platform that keeps every rule of the contract but one: its ``add`` never looks before it makes.

    So whoever adds twice gets two accounts. Keys are unique, as on real systems. ``before`` is called
    with every call's (method, subject) before it is done, ``after`` when it is done.
    """

    def __init__(self, *, required: tuple[str, ...] = (), unique: bool = True) -> None:
        super().__init__(None, _context())
        self.fields = {
            name: Field(name, name, required=name in required, key=name in KEYS, secret=name == "pin")
            for name in ("email", "extension", "display_name", "location", "pin")
        }
        self.accounts: dict[str, Account] = {}
        self.calls: list[tuple[str, str]] = []
        self.before: Any = lambda method, subject: None
        self.after: Any = lambda method, subject: None
        self.unique = unique
        self.opened = self.closed = 0

    def open(self) -> None:
        self._call("open", "")
        self.opened += 1

    def close(self) -> None:
        self.closed += 1

    def add(self, account: Account) -> str:
        self._call("add", account.key)
        self._check(account, None)
        remote_id = f"r{len(self.calls)}"
        self.accounts[remote_id] = replace(account, enabled=True)
        self.after("add", account.key)
        return remote_id

    def update(self, remote_id: str, account: Account, changed: frozenset[str]) -> None:
        self._call("update", account.key)
        stored = self._named(remote_id)
        fields = {name: value for name, value in stored.fields.items() if name not in changed}
        fields |= {name: value for name, value in account.fields.items() if name in changed}
        self._check(replace(stored, fields=fields), remote_id)
        self.accounts[remote_id] = replace(stored, fields=fields)
        self.after("update", account.key)

    def disable(self, remote_id: str, account: Account) -> None:
        self._call("disable", account.key)
        self.accounts[remote_id] = replace(self._named(remote_id), enabled=False)
        self.after("disable", account.key)

    def enable(self, remote_id: str, account: Account) -> None:
        self._call("enable", account.key)
        self.accounts[remote_id] = replace(self._named(remote_id), enabled=True)
        self.after("enable", account.key)

    def delete(self, remote_id: str) -> None:
        self._call("delete", remote_id)
        self.accounts.pop(remote_id, None)
        self.after("delete", remote_id)

    def find(self, account: Account) -> str | None:
        self._call("find", account.key)
        for remote_id, stored in self.accounts.items():
            if stored.key == account.key:
                return remote_id
        return None

    def list(self) -> Iterator[tuple[str, str]]:
        for remote_id, account in self.accounts.items():
            yield remote_id, self.fingerprint(account)

    def fingerprint(self, account: Account) -> str:
        return repr((account.key, account.enabled, sorted(account.fields.items())))

    def _call(self, method: str, subject: str) -> None:
        if method != "open":
            self.calls.append((method, subject))
        self.before(method, subject)

    def _named(self, remote_id: str) -> Account:
        if remote_id not in self.accounts:
            raise Gone(f"there is no account {remote_id}")
        return self.accounts[remote_id]

    def _check(self, account: Account, own: str | None) -> None:
        for name, field in self.fields.items():
            if field.required and not account.fields.get(name):
                raise Rejected(f"{name} is required")
        for remote_id, stored in self.accounts.items():
            for name in KEYS if self.unique and remote_id != own else ():
                if account.fields.get(name) and stored.fields.get(name) == account.fields[name]:
                    raise Rejected(f"{name} {account.fields[name]} is taken by {stored.key}")

    def there(self) -> dict[str, tuple[bool, dict[str, Value]]]:
        """Return what is there, by the accounts' keys; an account that is there twice is a failure."""
        there = {account.key: (account.enabled, dict(account.fields)) for account in self.accounts.values()}
        assert len(there) == len(self.accounts), "an account is there twice"
        return there


def _context() -> Context:
    def secret(reference: str) -> str:
        raise ConfigError(reference)

    return Context("desk", None, secret)


def lane(platform: Platform, name: str = "desk", **more: Any) -> Lane:
    """Return a lane for everybody, with fields of the same names as the attributes."""
    service = more.pop("service", Service(name=name))
    fields = frozenset(platform.fields)
    return Lane(
        name=name,
        platform=platform,
        service=service,
        fields_of=lambda values: {name: value for name, value in values.items() if name in fields},
        **{
            "plugin": "acme_desk",
            "breaker": Breaker(failures=1000, least=1000),
            "keys": {name: frozenset({name}) for name, field in platform.fields.items() if field.key},
            **more,
        },
    )


def deliver(
    company: Company, *lanes: Lane, clock: Any = None, log: Any = None, **more: Any
) -> dict[str, LaneReport]:
    """Call ``distribute`` with what a test does not care for."""
    return distribute(
        company.database,
        lanes,
        clock=clock or Clock(),
        log=log or Log(),
        stopping=more.pop("stopping", Event()).is_set,
        **more,
    )
