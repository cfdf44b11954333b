"""How long the database remembers, and what it never forgets too early."""

from datetime import timedelta

import pytest
from companies import ONE_SOURCE, PHONEBOOK, Company

from syncd import SyncdError, Unavailable
from syncd.pipeline import people, queue
from syncd.pipeline.undoing import plan_undo
from syncd.store import keeping
from syncd.store.database import faults_of
from syncd.store.keeping import BLANKED, prune

YEAR = timedelta(days=365)
MONTH = timedelta(days=30)
NOTHING = {"operations": 0, "messages": 0, "problems": 0, "secrets": 0, "accounts": 0}

LEAVERS_GO = ONE_SOURCE.replace("reads = 1", 'missing = "delete", reads = 1') + PHONEBOOK


@pytest.fixture
def company(tmp_path):
    """Anna and Ben, both in the phone book; Anna was renamed."""
    made = Company(tmp_path, LEAVERS_GO)
    made.hire("anna", "ben", mail="")
    made.sync()
    made.world().change("anna", sn="Berg")
    made.sync()
    yield made
    made.database.close()


def pruned(company, *, keep=YEAR, purge=None):
    return prune(company.database, keep, purge, company.now)


def values(company):
    """Return the operations that still have values."""
    return [
        number
        for (number,) in company.rows(
            "SELECT id FROM operations WHERE before <> '{}' OR after <> '{}' OR record IS NOT NULL"
            " OR replaced IS NOT NULL OR template IS NOT NULL ORDER BY id"
        )
    ]


def test_old_values_are_blanked_and_the_operations_stay(company):
    before = company.rows("SELECT id, run, kind, account, anchor, state, digest FROM operations")
    company.wait(days=400)

    assert 3 == pruned(company)["operations"]
    assert [] == values(company)
    assert before == company.rows("SELECT id, run, kind, account, anchor, state, digest FROM operations")
    assert [(BLANKED,)] == company.rows("SELECT DISTINCT reasons FROM operations")


def test_pruning_twice_finds_nothing_more(company):
    company.wait(days=400)
    pruned(company)

    assert NOTHING == pruned(company)


def test_recent_values_stay(company):
    company.wait(days=364)

    assert NOTHING == pruned(company)
    assert 3 == len(values(company))


def test_values_are_kept_for_ever_if_that_is_configured(company):
    company.wait(days=4000)

    assert NOTHING == pruned(company, keep=None)


def test_values_stay_until_every_platform_has_confirmed(company):
    company.system().down = Unavailable("it is being moved")
    company.world().change("ben", sn="Lund")
    company.sync()
    company.wait(days=400)

    assert 2 == pruned(company)["operations"]
    assert 2 == len(values(company))
    company.system().down = None
    company.deliver()
    assert 2 == pruned(company)["operations"]


def test_what_is_open_is_never_touched(company):
    company.world().change("anna", sn="x" * 300)
    company.sync()
    company.wait(days=400)
    (waiting,) = queue.waiting(company.here)
    pruned(company)

    assert [waiting.id] == values(company)
    assert [waiting] == queue.waiting(company.here)


def test_a_run_without_values_cannot_be_undone(company):
    company.wait(days=400)
    pruned(company)

    with pytest.raises(SyncdError, match="no longer kept"):
        plan_undo(company.here, 2)


def test_messages_and_problems_grow_old_as_well(company):
    conn = company.database.conn
    conn.execute("INSERT INTO problems (run, connection, code, message) VALUES (1, 1, 'x', 'Anna Berg')")
    conn.execute(
        "INSERT INTO deliveries (platform, account, revision, action, at, result, message)"
        " VALUES ('phonebook', 1, 1, 'update', '2026-01-05T08:00:00Z', 'failed', 'Anna Berg')"
    )
    company.wait(days=100)
    company.hire("carl")
    company.sync()
    conn.execute("INSERT INTO problems (run, connection, code, message) VALUES (3, 1, 'x', 'Carl')")
    company.wait(days=300)
    counts = pruned(company)

    assert (1, 1) == (counts["messages"], counts["problems"])
    assert [("Carl",)] == company.rows("SELECT message FROM problems")


def test_accounts_deleted_long_ago_are_purged(company):
    """Their rows go; their operations stay without values."""
    company.world().remove("anna")
    company.sync()
    anna = company.account("anna")
    company.wait(days=31)
    counts = pruned(company, purge=MONTH)

    assert {**NOTHING, "accounts": 1} == counts
    assert [("ben",)] == company.rows("SELECT login FROM accounts")
    for table in ("links", "remotes", "keys"):
        assert 0 == company.value(f"SELECT COUNT(*) FROM {table} WHERE account = ?", anna)
    assert [("{}", None)] == company.rows(
        "SELECT DISTINCT after, record FROM operations WHERE account = ?", anna
    )
    assert [] == faults_of(company.database)


def test_accounts_deleted_lately_stay(company):
    company.world().remove("anna")
    company.sync()
    company.wait(days=29)

    assert NOTHING == pruned(company, purge=MONTH)
    company.wait(days=400)
    assert 0 == pruned(company, keep=None)["accounts"]


def test_a_deleted_account_that_a_platform_still_has_stays(company):
    company.system().down = Unavailable("it is being moved")
    company.world().remove("anna")
    company.sync()
    company.wait(days=40)

    assert 0 == pruned(company, purge=MONTH)["accounts"]
    company.system().down = None
    company.deliver()
    assert 1 == pruned(company, purge=MONTH)["accounts"]


def test_an_account_deleted_by_hand_whose_entry_is_still_there_stays_deleted(company):
    """Purged, it would come back as a new account at the next read."""
    people.delete(company.here, company.account("anna"))
    company.deliver()
    company.wait(days=40)

    assert 0 == pruned(company, purge=MONTH)["accounts"]
    company.sync()
    assert ["ben"] == company.on()


def test_an_account_with_an_open_operation_is_not_purged(company):
    company.world().remove("anna")
    company.sync()
    anna = company.account("anna")
    company.database.conn.execute(
        "INSERT INTO operations (run, connection, anchor, kind, account, link_action, before, after, state, digest)"
        " VALUES (1, 1, 'anna', 'update', ?, 'none', '{}', '{}', 'detained', x'00')",
        (anna,),
    )
    company.wait(days=40)

    assert 0 == pruned(company, purge=MONTH)["accounts"]


def test_it_goes_on_in_pieces(company, monkeypatch):
    monkeypatch.setattr(keeping, "CHUNK", 7)
    company.configure(LEAVERS_GO + 'limits = {{ add = "off" }}\n')
    company.hire(*(f"u{number}" for number in range(40)))
    company.sync()
    company.wait(days=400)

    assert 43 == pruned(company)["operations"]
    assert [] == values(company)
