"""What every run asks of the journal goes by an index: a year of history does not make the next run slower."""

from __future__ import annotations

import re

import pytest
from line_world import Site, quiet  # noqa: F401

GROWING = ("runs", "operations", "deliveries", "problems", "decisions")
"""Tables that only ever grow."""

LARGE = (*GROWING, "links", "accounts", "keys", "remotes")
"""Those, and what has a row for each person: an increment reads none of them whole."""


def aliases(statement: str, tables: tuple[str, ...]) -> dict[str, str]:
    """Return the names by which a statement calls these tables."""
    found = re.findall(rf"\b({'|'.join(tables)})\b(?:\s+(?:AS\s+)?(\w+))?", statement, re.IGNORECASE)
    words = {"WHERE", "SET", "ON", "INDEXED", "GROUP", "ORDER", "LEFT", "JOIN", "CROSS", "VALUES", "STATE"}
    return {alias if alias and alias.upper() not in words else table: table for table, alias in found}


def scans(site: Site, statements: set[str], tables: tuple[str, ...] = GROWING) -> set[str]:
    """Return the statements that read one of these tables from end to end; a partial index is no whole table."""
    partial = {
        name
        for (name,) in site.database.conn.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"
        )
    }
    bad = set()
    for statement in statements:
        names = aliases(statement, tables)
        if not names or not re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT|WITH)", statement):
            continue
        plan = site.database.conn.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        found = (
            re.fullmatch(rf"SCAN ({'|'.join(names)})(?: USING .*INDEX (\w+))?", text) for *_, text in plan
        )
        if any(one is not None and one[2] not in partial for one in found):
            bad.add(re.sub(r"\s+", " ", statement))
    return bad


PLATFORM = {"platform": {"pbx": {"type": "memory"}}}


@pytest.mark.parametrize("top", [{}, PLATFORM], ids=["alone", "platform"])
@pytest.mark.parametrize(("kind", "tables"), [("memory", GROWING), ("memory-delta", LARGE)])
def test_a_run_reads_no_large_table_from_end_to_end(kind, tables, top):
    """Whether nothing has changed, or something has."""
    site = Site(hq={"type": kind}, top=top)
    site.hired(30)
    statements: set[str] = set()
    site.database.conn.set_trace_callback(statements.add)
    site.sync()
    site.hire("new")
    site.world().change("p001", sn="Changed")
    site.fire("p002")
    site.sync()
    site.database.conn.set_trace_callback(None)

    assert len(statements) > 50
    assert set() == scans(site, statements, tables)


def test_the_check_itself_finds_a_scan():
    site = Site()
    site.hired(3)

    assert 1 == len(scans(site, {"SELECT COUNT(*) FROM operations WHERE state IN ('detained','failed')"}))
