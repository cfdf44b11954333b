"""Comparing a platform with what is wanted of it; nothing is changed by that."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from ..errors import Gone, SyncdError
from ..logs import forms_of
from ..model import Account
from ..store import placements
from ..store.database import Database
from .lanes import Lane
from .steps import account_of, opened, secrets_of
from .verdicts import blame

T = TypeVar("T")


class Difference(NamedTuple):
    """One thing that a platform has otherwise than it should.

    ``kind`` is ``missing`` (the account is not there), ``different``, ``unwanted`` (it is there and does
    not belong there) or ``unknown`` (something is there of which nothing is known); and of the platform as
    a whole, without an account, ``lost`` (nothing is left of what was there; each is missing as well) or
    ``unverifiable`` (the platform cannot say what it has).
    """

    kind: str
    account: int | None
    remote_id: str | None
    message: str


def verify(database: Database, lane: Lane) -> Iterator[Difference]:
    """Yield every difference between a platform and what is wanted of it, as far as that was delivered.

    Accounts for which something is still to be delivered are passed over. What the platform lists is kept
    in a temporary file, so that memory does not grow with it. Raises ConnectorError when the platform
    cannot be asked, PluginError when it breaks the contract.
    """
    listed = sqlite3.connect("", isolation_level=None)
    listed.execute("CREATE TABLE listed (remote_id TEXT PRIMARY KEY, fingerprint TEXT, known INTEGER) STRICT")
    listed.execute("BEGIN")
    try:
        lane.begin(database)
        _asked(lane, "open()", lane.platform.open)
        try:
            _asked(lane, "list()", lambda: _read(lane, listed))
        except Gone as error:
            yield Difference("lost", None, None, str(error))
        yield from _compared(database, lane, listed)
        for (remote_id,) in listed.execute(
            "SELECT remote_id FROM listed WHERE known IS NULL ORDER BY remote_id"
        ):
            yield Difference("unknown", None, remote_id, "nothing is known of this account")
    except NotImplementedError:
        message = f"platform {lane.name} cannot be verified: it does not tell which accounts it has"
        yield Difference("unverifiable", None, None, message)
    finally:
        lane.platform.close()
        listed.close()


def _read(lane: Lane, listed: sqlite3.Connection) -> None:
    listed.executemany("INSERT OR REPLACE INTO listed VALUES (?,?,NULL)", lane.platform.list())


def _compared(database: Database, lane: Lane, listed: sqlite3.Connection) -> Iterator[Difference]:
    for rows in placements.placements(database, lane.name):
        for row in rows:
            if row.remote_id is None:
                continue
            found = listed.execute(
                "UPDATE listed SET known = 1 WHERE remote_id = ? RETURNING fingerprint", (row.remote_id,)
            ).fetchone()
            if row.state != "done":
                continue
            account, present = account_of(lane, row)
            if found is None:
                yield Difference("missing", row.account, row.remote_id, "it is not there any more")
            elif not present:
                message = "it is there and does not belong there"
                yield Difference("unwanted", row.account, row.remote_id, message)
            elif _fingerprint(lane, row, account) != found[0]:
                yield Difference(
                    "different", row.account, row.remote_id, "it differs from what was delivered"
                )


def _fingerprint(lane: Lane, row: placements.Placement, account: Account) -> str:
    account = opened(lane, row, account)
    told = tuple(secrets_of(lane, account))
    return _asked(lane, "fingerprint()", partial(lane.platform.fingerprint, account), told)


def _asked(lane: Lane, doing: str, ask: Callable[[], T], secrets: Iterable[str] = ()) -> T:
    """Ask the platform, and blame its plugin for every error that the contract does not know."""
    try:
        return ask()
    except (SyncdError, NotImplementedError):
        raise
    except Exception as error:
        if forms := forms_of(secrets):
            raise blame(lane, doing, error, forms) from None
        raise blame(lane, doing, error) from error
