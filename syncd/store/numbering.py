"""Numbers for new accounts, from what their templates allocate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..model import Fault, Numbers
from ..planning import encode
from .contesting import hold
from .sharing import is_taken_elsewhere
from .staging import Staging
from .telephones import TELEPHONES, alike


def allocate(staging: Staging) -> list[tuple[str, str, str]]:
    """Give numbers to new accounts, in the order of their anchors: ascending, skipping what is in use.

    What other open proposals have or were given is in use as well: each of them is applied as it was shown.
    Returns (anchor, attribute, number). A number is part of the plan, and not of the proposal's digest:
    a proposal is the same one whatever number is free.
    """
    conn = staging.conn
    rows = conn.execute(
        "SELECT n.operation, n.attribute, n.pool, o.anchor FROM temp.numbers n JOIN operations o ON o.id = n.operation"
        " WHERE o.run = ? AND o.state = 'planned' ORDER BY o.anchor, n.attribute",
        (staging.run,),
    ).fetchall()
    if rows:
        wanted = {row[1] for row in rows}
        _gather_promised(staging, wanted.union(TELEPHONES) if wanted.intersection(TELEPHONES) else wanted)
    pools = tuple(staging.pools)
    candidates: dict[tuple[str, int], Iterator[str]] = {}
    given: list[tuple[str, str, str]] = []
    for operation, attribute, pool, anchor in rows:
        left = candidates.setdefault((attribute, pool), iter(pools[pool]))
        number = _promised(staging, operation, attribute, pools[pool], anchor) or _free(
            staging, operation, attribute, left
        )
        if number is None:
            hold(staging, [operation], _used_up(attribute, pools[pool]))
            continue
        conn.execute(
            "UPDATE operations SET after = json_patch(after, :said),"
            " template = json_patch(COALESCE(template, '{}'), :said) WHERE id = :operation",
            {"said": encode({attribute: number}), "operation": operation},
        )
        conn.execute("INSERT INTO temp.claims VALUES (?,?,?,1)", (operation, attribute, number))
        given.append((anchor, attribute, number))
    return given


def _used_up(attribute: str, pool: Numbers) -> Fault:
    cure = f"extend [template.{pool.template}] allocate, or give the person a number in the source"
    return Fault("numbers_used_up", attribute, f"no number of {pool} is free for {attribute}: {cure}")


def _gather_promised(staging: Staging, attributes: Iterable[str]) -> None:
    """Note which numbers other open proposals have; the connection's own open plan is about to be superseded."""
    conn = staging.conn
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS promised (attribute TEXT, number TEXT, connection INTEGER, anchor TEXT)"
    )
    conn.execute("CREATE INDEX IF NOT EXISTS temp.promised_number ON promised (attribute, number)")
    conn.execute("CREATE INDEX IF NOT EXISTS temp.promised_anchor ON promised (anchor, attribute)")
    conn.execute("DELETE FROM temp.promised")
    number = "json_extract(o.after, '$.' || :attribute)"
    one = f"SELECT :attribute, {number}, o.connection, o.anchor FROM"
    which = f"o.run <> :run AND r.enterprise = :enterprise AND {number} IS NOT NULL"
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


def _promised(
    staging: Staging, operation: int, attribute: str, pool: Numbers, anchor: str | None
) -> str | None:
    """Return the number that an entry was shown to get before, if it is still to be had."""
    rows = staging.conn.execute(
        "SELECT number FROM temp.promised WHERE anchor = ? AND attribute = ? AND connection IS ?",
        (anchor, attribute, staging.connection),
    ).fetchall()
    return next(
        (one for (one,) in rows if one in pool and not _taken(staging, operation, attribute, one, anchor)),
        None,
    )


def _free(staging: Staging, operation: int, attribute: str, candidates: Iterator[str]) -> str | None:
    return next((one for one in candidates if not _taken(staging, operation, attribute, one, None)), None)


def _taken(staging: Staging, operation: int, attribute: str, number: str, anchor: str | None) -> bool:
    """Say whether a number is an account's, was taken in this plan, or was shown to anybody but ``anchor``.

    Of another enterprise's accounts it is, where this operation's would be on a platform with them.
    """
    names = alike(":attribute")
    found = staging.conn.execute(
        f"SELECT 1 FROM keys WHERE attribute IN {names} AND folded = :number AND enterprise = :enterprise"
        f" UNION ALL SELECT 1 FROM temp.claims WHERE attribute IN {names} AND folded = :number AND gain = 1"
        f" UNION ALL SELECT 1 FROM temp.promised WHERE attribute IN {names} AND number = :number"
        "  AND (anchor IS NULL OR anchor IS NOT :anchor OR connection IS NOT :connection) LIMIT 1",
        {
            "attribute": attribute,
            "number": number,
            "enterprise": staging.enterprise,
            "anchor": anchor,
            "connection": staging.connection,
        },
    )
    return found.fetchone() is not None or is_taken_elsewhere(
        staging.conn, staging.enterprise, staging.shared, operation, attribute, number
    )
