"""Keys that a staged plan takes and lets go, and who may have them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from ..model import Fault, Objection
from ..planning import encode
from .licences import OF_FEATURE
from .owners import held_by, held_elsewhere, wanted_by
from .sharing import taken_elsewhere
from .staging import Staging
from .telephones import TELEPHONES, alike

ONE_MORE = "reasons = json_insert(COALESCE(reasons, '[]'), '$[#]', json(?))"
"""Sets one more reason, given as JSON, behind those that are there."""

_VANISHING = "id IN (SELECT operation FROM temp.effects WHERE effect = 'vanish' AND platform = ?)"


class Contest(NamedTuple):
    """An operation that wants a key which it cannot have. ``about`` is what makes the contest this very one."""

    operation: int
    attribute: str
    message: str
    about: str


def hold(staging: Staging, operations: Iterable[int], fault: Fault, about: str | None = None) -> None:
    """Put staged operations in the state that a fault asks for, and give up their keys.

    ``about`` is what the proposal's digest has of it, where the message may change and the proposal does not.
    """
    conn = staging.conn
    for operation in operations:
        row = conn.execute("SELECT reasons, digest FROM operations WHERE id = ?", (operation,)).fetchone()
        reasons = [*json.loads(row[0] or "[]"), list(fault)]
        digest = blake2b(row[1] + encode(about or fault).encode(), digest_size=16).digest()
        conn.execute(
            "UPDATE operations SET state = ?, reasons = ?, digest = ? WHERE id = ?",
            (fault.held, encode(reasons), digest, operation),
        )
        conn.execute("DELETE FROM temp.claims WHERE operation = ?", (operation,))


def detain(staging: Staging, objections: Iterable[Objection]) -> None:
    """Detain what objections are about, unless it is the whole run; and who was to take over a key of it."""
    conn, some = staging.conn, [one for one in objections if one.scope != "run"]
    for one in some:
        about = one.code.partition(":")[2] if one.by == "syncd" else ""
        states = "'planned','waiting'"
        whose: tuple[str, str | int]
        if one.scope == "licences":
            whose = OF_FEATURE, about
            states += ",'detained'"  # who needs two features is told of both
        elif one.scope != "removals":
            whose = "id = ?", int(one.scope.partition(":")[2])
        elif about:
            whose = _VANISHING, about
        else:
            whose = "kind IN ('disable','delete') AND ?", 1
        conn.execute(
            f"UPDATE operations SET state = 'detained', {ONE_MORE} WHERE run = ? AND state IN ({states})"
            f" AND {whose[0]}",
            (encode([one.code, None, one.message, "detained"]), staging.run, whose[1]),
        )
    if some:
        contest_keys(staging)


def contest_keys(staging: Staging) -> None:
    """Detain every operation whose key another one wants as well, or holds and does not let go.

    What is detained gives up what it would have freed, so this is repeated until nothing changes: whole
    swaps and chains pass, and a chain with one bad link stops exactly where it is broken.
    """
    conn = staging.conn
    gained = conn.execute("SELECT 1 FROM temp.claims WHERE gain = 1 LIMIT 1").fetchone()
    if gained is None and not staging.shared:
        return
    conn.execute("CREATE INDEX IF NOT EXISTS temp.claims_key ON claims (attribute, folded)")
    contests = [*_wanted_twice(staging), *_held_by_another(staging), *_held_elsewhere(staging)]
    while contests:
        hoping = _hoping(staging, {one.operation for one in contests})
        for one in contests:
            hold(
                staging,
                [one.operation],
                Fault("key_taken", one.attribute, one.message, "detained"),
                one.about,
            )
        contests = hoping


def _hoping(staging: Staging, operations: set[int]) -> list[Contest]:
    """Return those who want what these operations would have let go, and are not among them."""
    found: list[Contest] = []
    for operation in sorted(operations):
        rows = staging.conn.execute(
            "SELECT c.operation, c.attribute, c.folded, o.account, f.attribute FROM operations o"
            " JOIN temp.claims f ON f.operation = o.id AND f.gain = 0"
            f" JOIN temp.claims c ON c.attribute IN {alike('f.attribute')} AND c.folded = f.folded AND c.gain = 1"
            " WHERE o.id = ? AND o.account <> (SELECT account FROM operations WHERE id = c.operation)",
            (operation,),
        )
        found += [_belongs(staging, *row) for row in rows.fetchall() if row[0] not in operations]
    return sorted(found)


def _belongs(
    staging: Staging, operation: int, attribute: str, folded: str, account: int, held: str
) -> Contest:
    message = held_by(staging.conn, operation, held, folded, account)
    return Contest(operation, attribute, message, f"{held} {folded!r} of account {account}")


def _wanted_twice(staging: Staging) -> list[Contest]:
    rows = staging.conn.execute(
        "SELECT attribute, folded, operation FROM temp.claims WHERE gain = 1 AND (attribute, folded) IN"
        " (SELECT attribute, folded FROM temp.claims WHERE gain = 1 GROUP BY attribute, folded"
        "  HAVING COUNT(*) > 1)"
    ).fetchall()
    rows += staging.conn.execute(
        "SELECT d.attribute, d.folded, value FROM temp.claims s JOIN temp.claims d ON d.attribute = ?"
        " AND d.folded = s.folded AND d.gain = 1 AND d.operation <> s.operation,"
        " json_each(json_array(d.operation, s.operation)) WHERE s.attribute = ? AND s.gain = 1",
        TELEPHONES,
    ).fetchall()
    wanted: dict[tuple[str, str], set[int]] = {}
    for attribute, folded, operation in rows:
        wanted.setdefault((attribute, folded), set()).add(operation)
    found: list[Contest] = []
    for (attribute, folded), operations in sorted(wanted.items()):
        anchors = {one: _anchor(staging, one) for one in operations}
        rivals = sorted(anchors, key=lambda one: (anchors[one], one))
        message = wanted_by(staging.conn, rivals, attribute, folded)
        about = f"{attribute} {folded!r} for {' and '.join(anchors[one] for one in rivals)}"
        found += [Contest(operation, attribute, message, about) for operation in rivals]
    return found


def _anchor(staging: Staging, operation: int) -> str:
    row = staging.conn.execute("SELECT anchor FROM operations WHERE id = ?", (operation,)).fetchone()
    return str(row[0])


def _held_by_another(staging: Staging) -> list[Contest]:
    rows = staging.conn.execute(
        "SELECT c.operation, c.attribute, c.folded, k.account, k.attribute FROM temp.claims c"
        f" JOIN keys k ON k.attribute IN {alike('c.attribute')} AND k.folded = c.folded AND k.enterprise = ?"
        "  AND k.releasing = 0"
        " JOIN operations o ON o.id = c.operation"
        " WHERE c.gain = 1 AND k.account <> o.account AND NOT EXISTS"
        " (SELECT 1 FROM temp.claims f JOIN operations g ON g.id = f.operation WHERE f.gain = 0"
        "   AND f.attribute = k.attribute AND f.folded = c.folded AND g.account = k.account AND g.state = 'planned')"
        " ORDER BY c.operation, c.attribute, c.folded",
        (staging.enterprise,),
    ).fetchall()
    return [_belongs(staging, *row) for row in rows]


def _held_elsewhere(staging: Staging) -> list[Contest]:
    return [
        Contest(
            one.operation,
            one.attribute,
            held_elsewhere(staging.conn, one),
            f"{one.held} {one.folded!r} of account {one.account} on {one.platform}",
        )
        for one in taken_elsewhere(staging.conn, staging.run, staging.enterprise, staging.shared)
    ]
