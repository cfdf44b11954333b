"""Keys that a staged plan takes and lets go: who may have them, and which numbers are free."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b

from ..model import Fault, Objection
from ..planning import encode
from .staging import Staging

ONE_MORE = "reasons = json_insert(COALESCE(reasons, '[]'), '$[#]', json(?))"
"""Sets one more reason, given as JSON, behind those that are there."""

_VANISHING = "id IN (SELECT operation FROM temp.effects WHERE effect = 'vanish' AND platform = ?)"


def hold(staging: Staging, operations: Iterable[int], fault: Fault) -> None:
    """Put staged operations in the state that a fault asks for, and give up their keys."""
    conn = staging.conn
    for operation in operations:
        row = conn.execute("SELECT reasons, digest FROM operations WHERE id = ?", (operation,)).fetchone()
        reasons = [*json.loads(row[0] or "[]"), list(fault)]
        digest = blake2b(row[1] + encode(fault).encode(), digest_size=16).digest()
        conn.execute(
            "UPDATE operations SET state = ?, reasons = ?, digest = ? WHERE id = ?",
            (fault.held, encode(reasons), digest, operation),
        )
        conn.execute("DELETE FROM temp.claims WHERE operation = ?", (operation,))


def detain(staging: Staging, objections: Iterable[Objection]) -> None:
    """Detain what objections are about, unless it is the whole run; and who was to take over a key of it."""
    conn, some = staging.conn, [one for one in objections if one.scope != "run"]
    for one in some:
        platform = one.code.partition(":")[2] if one.by == "syncd" else ""
        whose: tuple[str, str | int]
        if one.scope != "removals":
            whose = "id = ?", int(one.scope.partition(":")[2])
        elif platform:
            whose = _VANISHING, platform
        else:
            whose = "kind IN ('disable','delete') AND ?", 1
        conn.execute(
            f"UPDATE operations SET state = 'detained', {ONE_MORE} WHERE run = ? AND state IN ('planned','waiting')"
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
    if not conn.execute("SELECT 1 FROM temp.claims WHERE gain = 1 LIMIT 1").fetchone():
        return
    conn.execute("CREATE INDEX IF NOT EXISTS temp.claims_key ON claims (attribute, folded)")
    faults = [*_wanted_twice(staging), *_held_elsewhere(staging)]
    while faults:
        hoping = _hoping(staging, {operation for operation, _, _ in faults})
        for operation, attribute, message in faults:
            hold(staging, [operation], Fault("key_taken", attribute, message, "detained"))
        faults = hoping


def _hoping(staging: Staging, operations: set[int]) -> list[tuple[int, str, str]]:
    """Return those who want what these operations would have let go, and are not among them."""
    found: list[tuple[int, str, str]] = []
    for operation in sorted(operations):
        rows = staging.conn.execute(
            "SELECT c.operation, c.attribute, c.folded, o.account FROM operations o"
            " JOIN temp.claims f ON f.operation = o.id AND f.gain = 0"
            " JOIN temp.claims c ON c.attribute = f.attribute AND c.folded = f.folded AND c.gain = 1"
            " WHERE o.id = ? AND o.account <> (SELECT account FROM operations WHERE id = c.operation)",
            (operation,),
        )
        found += [_belongs(*row) for row in rows if row[0] not in operations]
    return sorted(found)


def _belongs(operation: int, attribute: str, folded: str, account: int) -> tuple[int, str, str]:
    return operation, attribute, f"{attribute} {folded!r} belongs to account {account}"


def _wanted_twice(staging: Staging) -> list[tuple[int, str, str]]:
    rows = staging.conn.execute(
        "SELECT c.operation, c.attribute, c.folded, o.anchor FROM temp.claims c JOIN operations o"
        " ON o.id = c.operation WHERE c.gain = 1 AND (c.attribute, c.folded) IN"
        " (SELECT attribute, folded FROM temp.claims WHERE gain = 1 GROUP BY attribute, folded"
        "  HAVING COUNT(*) > 1) ORDER BY c.attribute, c.folded, o.anchor"
    ).fetchall()
    wanted: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for operation, attribute, folded, anchor in rows:
        wanted.setdefault((attribute, folded), []).append((operation, anchor))
    return [
        (
            operation,
            attribute,
            f"{attribute} {folded!r} is wanted by {' and '.join(str(a) for _, a in rivals)}",
        )
        for (attribute, folded), rivals in wanted.items()
        for operation, _ in rivals
    ]


def _held_elsewhere(staging: Staging) -> list[tuple[int, str, str]]:
    rows = staging.conn.execute(
        "SELECT c.operation, c.attribute, c.folded, k.account FROM temp.claims c"
        " JOIN keys k ON k.attribute = c.attribute AND k.folded = c.folded AND k.enterprise = ? AND k.releasing = 0"
        " JOIN operations o ON o.id = c.operation"
        " WHERE c.gain = 1 AND k.account <> o.account AND NOT EXISTS"
        " (SELECT 1 FROM temp.claims f JOIN operations g ON g.id = f.operation WHERE f.gain = 0"
        "   AND f.attribute = c.attribute AND f.folded = c.folded AND g.account = k.account AND g.state = 'planned')"
        " ORDER BY c.operation, c.attribute, c.folded",
        (staging.enterprise,),
    ).fetchall()
    return [_belongs(*row) for row in rows]


def allocate(staging: Staging) -> list[tuple[str, str, str]]:
    """Give numbers to new accounts, in the order of their anchors: ascending, skipping what is in use.

    What other open proposals were given is in use as well: each of them is applied as it was shown. Returns (anchor, attribute, number). A number is part of the plan, and not of the proposal's digest:
    a proposal is the same one whatever number is free.
    """
    conn = staging.conn
    rows = conn.execute(
        "SELECT n.operation, n.attribute, n.first, n.last, n.width, o.anchor"
        " FROM temp.numbers n JOIN operations o ON o.id = n.operation"
        " WHERE o.run = ? AND o.state = 'planned' ORDER BY o.anchor, n.attribute",
        (staging.run,),
    ).fetchall()
    if rows:
        _gather_promised(staging, {row[1] for row in rows})
    following: dict[tuple[str, int, int], int] = {}
    given: list[tuple[str, str, str]] = []
    for operation, attribute, first, last, width, anchor in rows:
        span = (attribute, first, last)
        number = _free_number(staging, anchor, attribute, following.get(span, first), last, width)
        if number is None:
            message = f"no number from {first} to {last} is free for {attribute}"
            hold(staging, [operation], Fault("numbers_used_up", attribute, message))
            continue
        following[span] = int(number) + 1
        conn.execute(
            "UPDATE operations SET after = json_patch(after, :said),"
            " template = json_patch(COALESCE(template, '{}'), :said) WHERE id = :operation",
            {"said": encode({attribute: number}), "operation": operation},
        )
        conn.execute("INSERT INTO temp.claims VALUES (?,?,?,1)", (operation, attribute, number))
        given.append((anchor, attribute, number))
    return given


def _gather_promised(staging: Staging, attributes: Iterable[str]) -> None:
    """Note which numbers other open proposals have; the connection's own open plan is about to be superseded."""
    conn = staging.conn
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS promised (attribute TEXT, number TEXT, connection INTEGER, anchor TEXT)"
    )
    conn.execute("CREATE INDEX IF NOT EXISTS temp.promised_number ON promised (attribute, number)")
    conn.execute("DELETE FROM temp.promised")
    number = "json_extract(o.after, '$.' || :attribute)"
    one = f"SELECT :attribute, {number}, o.connection, o.anchor FROM"
    which = f"o.kind = 'add' AND o.run <> :run AND r.enterprise = :enterprise AND {number} IS NOT NULL"
    other = "(o.connection IS NOT :connection OR r.state NOT IN ('planned','held','applying'))"
    conn.executemany(
        f"INSERT INTO temp.promised {one} operations o INDEXED BY operations_open JOIN runs r ON r.id = o.run"
        f" WHERE o.state IN ('detained','failed','waiting') AND {which} AND {other} UNION ALL"
        f" {one} runs r CROSS JOIN operations o INDEXED BY operations_run ON o.run = r.id"
        f" WHERE r.state IN ('planned','held','applying') AND o.state = 'planned' AND {which} AND {other}",
        [
            {
                "attribute": attribute,
                "run": staging.run,
                "enterprise": staging.enterprise,
                "connection": staging.connection,
            }
            for attribute in sorted(attributes)
        ],
    )


def _free_number(
    staging: Staging, anchor: str | None, attribute: str, start: int, last: int, width: int
) -> str | None:
    for candidate in range(start, last + 1):
        number = str(candidate).zfill(width)
        taken = staging.conn.execute(
            "SELECT 1 FROM keys WHERE attribute = :attribute AND folded = :number AND enterprise = :enterprise"
            " UNION ALL SELECT 1 FROM temp.claims WHERE attribute = :attribute AND folded = :number AND gain = 1"
            " UNION ALL SELECT 1 FROM temp.promised WHERE attribute = :attribute AND number = :number"
            "  AND (anchor IS NULL OR anchor IS NOT :anchor OR connection IS NOT :connection) LIMIT 1",
            {
                "attribute": attribute,
                "number": number,
                "enterprise": staging.enterprise,
                "anchor": anchor,
                "connection": staging.connection,
            },
        ).fetchone()
        if taken is None:
            return number
    return None
