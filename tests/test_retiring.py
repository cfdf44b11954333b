"""A source is retired, and a person is forgotten."""

import pytest
from companies import NO_LONGER, ONE_SOURCE, PHONEBOOK, TWO_SOURCES, Company

from syncd import SyncdError
from syncd.pipeline import people, queue
from syncd.pipeline.approving import approve
from syncd.pipeline.line import apply_run
from syncd.pipeline.retiring import erase, frozen, retire
from syncd.pipeline.undoing import plan_undo
from syncd.store.database import faults_of
from syncd.store.runs import find_connection, run_of

WITHOUT = {"hq": NO_LONGER, "branch": ONE_SOURCE}
"""The configuration that a source is not in."""

BRANCH_LEFT = NO_LONGER.replace("[]", '["branch"]') + TWO_SOURCES.removeprefix(
    ONE_SOURCE.replace('["hq"]', '["hq", "branch"]', 1)
)
"""The configuration of two sources without the first."""


@pytest.fixture
def company(tmp_path):
    made = Company(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def merged(tmp_path):
    """Two sources: anna and ben are in hq, ben and carl in branch; ben is owned by both."""
    made = Company(tmp_path, TWO_SOURCES)
    made.hire("anna", "ben")
    made.hire("ben", "carl", source="branch", note="of the branch")
    made.sync("hq")
    made.sync("branch")
    yield made
    made.database.close()


def retired(company, name="hq"):
    """Take a source out of the configuration, and retire it."""
    company.configure(WITHOUT[name])
    return apply_run(company.here, retire(company.here, name))


def states(company):
    return dict(company.rows("SELECT login, disabled_by FROM accounts ORDER BY login"))


def test_the_accounts_of_a_retired_source_are_disabled(company):
    company.hire("anna", "ben")
    company.sync()
    run = retired(company)

    assert ("retire", "ended") == (run.kind, run.state)
    assert {"anna": "missing", "ben": "missing"} == states(company)
    assert 2 == company.value("SELECT COUNT(*) FROM links WHERE gone_at IS NOT NULL")
    assert find_connection(company.database, "hq").retired_at is not None


def test_accounts_can_be_kept_and_are_nobodys_then(merged):
    """As if made by hand: what was said of anna stays; ben is branch's alone, and goes with it."""
    merged.configure(BRANCH_LEFT)
    run = apply_run(merged.here, retire(merged.here, "hq", keep=True))

    assert "ended" == run.state
    assert {"anna": None, "ben": None, "carl": None} == states(merged)
    assert "Anna" == merged.value("SELECT attributes ->> 'last_name' FROM accounts WHERE login = 'anna'")
    merged.sync("branch")
    assert "ended" == retired(merged, "branch").state
    assert {"anna": None, "ben": "missing", "carl": "missing"} == states(merged)


def test_a_frozen_source_is_told_with_the_accounts_that_no_configured_source_owns(merged):
    assert [] == frozen(merged.here)
    merged.configure(BRANCH_LEFT)
    assert [("hq", "acme", 2, 1)] == frozen(merged.here)
    merged.configure(NO_LONGER)
    assert [("branch", "acme", 2, 2), ("hq", "acme", 2, 2)] == frozen(merged.here)
    apply_run(merged.here, retire(merged.here, "hq"))
    assert [("branch", "acme", 2, 2)] == frozen(merged.here)
    merged.configure(ONE_SOURCE.replace('match = ["login"]', 'match = ["login"]\nformerly = "branch"'))
    assert [] == frozen(merged.here)


def test_planning_a_retirement_changes_nothing(company):
    company.hire("anna")
    company.sync()
    company.configure(NO_LONGER)
    run = retire(company.here, "hq")

    assert "planned" == run.state
    assert {"anna": None} == states(company)
    assert find_connection(company.database, "hq").retired_at is None


def test_a_source_that_is_no_longer_configured_can_be_retired(company):
    """Absent means frozen: only the retirement touches its accounts."""
    company.hire("anna")
    company.sync()
    company.configure(NO_LONGER)

    assert {"anna": None} == states(company)
    assert "ended" == retired(company).state
    assert {"anna": "missing"} == states(company)


def test_what_its_table_said_of_leavers_is_gone_with_it(company):
    """So a source that may only add, or that keeps or deletes its leavers, is retired like any other."""
    only_adds = ONE_SOURCE.replace('type = "memory"', 'type = "memory"\noperations = ["add"]')
    company.configure(only_adds.replace("reads = 1", 'removed = "delete", reads = 1'))
    company.hire("anna")
    company.sync()
    retired(company)

    assert {"anna": "missing"} == states(company)
    assert 0 == company.value("SELECT COUNT(*) FROM accounts WHERE deleted_at IS NOT NULL")


def test_a_protected_account_stays_without_an_owner_that_is_alive(company):
    company.hire("anna", "svc-door")
    company.sync()
    run = retired(company)

    assert {"anna": "missing", "svc-door": None} == states(company)
    assert 1 == run.counts["remove"]
    assert 2 == company.value("SELECT COUNT(*) FROM links WHERE gone_at IS NOT NULL")
    assert "Svc-Door" == company.value(
        "SELECT attributes ->> 'last_name' FROM accounts WHERE login = 'svc-door'"
    )


def test_a_source_that_is_configured_is_not_retired_and_nothing_changes(company):
    """Its next read would be a first one, and want everybody back."""
    company.hire("anna")
    company.sync()
    runs = company.value("SELECT COUNT(*) FROM runs")
    with pytest.raises(
        SyncdError, match=r"source hq is still configured \(.*syncd.toml:\d+\).*enterprise.acme"
    ):
        retire(company.here, "hq")

    assert ({"anna": None}, runs) == (states(company), company.value("SELECT COUNT(*) FROM runs"))
    renamed = ONE_SOURCE.replace('"hq"', '"main"').replace("source.hq", "source.main")
    company.configure(renamed.replace('type = "memory"', 'type = "memory"\nformerly = "hq"'))
    with pytest.raises(SyncdError, match=r"configured as main .* take \[source.main\]"):
        retire(company.here, "hq")


def test_a_retirement_that_was_only_planned_is_not_applied_once_its_source_is_configured_again(company):
    company.hire("anna")
    company.sync()
    company.configure(NO_LONGER)
    run = retire(company.here, "hq")
    company.configure(ONE_SOURCE)
    with pytest.raises(SyncdError, match="still configured"):
        approve(company.here, run.id)

    assert {"anna": None} == states(company)


def test_a_source_that_moved_to_another_enterprise_is_retired_where_it_was(company):
    company.hire("anna")
    company.sync()
    company.configure(ONE_SOURCE.replace("enterprise.acme", "enterprise.beta"))
    with pytest.raises(SyncdError, match="syncd retire hq"):
        company.sync()
    apply_run(company.here, retire(company.here, "hq"))
    company.sync()

    assert [("acme", "missing"), ("beta", None)] == company.rows(
        "SELECT enterprise, disabled_by FROM accounts ORDER BY id"
    )


def test_an_account_with_another_living_owner_only_loses_what_the_source_said(merged):
    ben = merged.account("ben")
    before = merged.value("SELECT attributes ->> 'description' FROM accounts WHERE id = ?", ben)
    retired(merged, "branch")

    assert "of the branch" == before
    assert {"anna": None, "ben": None, "carl": "missing"} == states(merged)
    assert merged.value("SELECT attributes ->> 'description' FROM accounts WHERE id = ?", ben) is None


def test_the_guards_detain_the_removals_of_a_large_source(company):
    """It needs a person's word for each: the retirement itself goes on, and the queue has the rest."""
    company.hire(*(f"u{number}" for number in range(30)), "svc-door")
    company.sync()
    run = retired(company)

    assert ["too-many-removals"] == [one.code for one in run.objections]
    assert {None} == set(states(company).values())
    waiting = queue.waiting(company.here)
    assert 30 == len(waiting)
    queue.release(company.here, [one.id for one in waiting])
    assert {"missing", None} == set(states(company).values())


def test_open_plans_and_operations_of_the_source_are_superseded(company):
    company.configure(ONE_SOURCE + "[source.hq.rules]\nemail = {{ required = true }}\n")
    company.hire("anna", mail="anna@acme.example")
    company.sync()
    company.hire("ben")
    company.sync()
    company.world().change("anna", sn="Berg")
    planned = company.plan()
    run = retired(company)

    assert "superseded" == run_of(company.database, planned.id).state
    assert [] == queue.waiting(company.here)
    assert 0 == company.value("SELECT COUNT(*) FROM operations WHERE run <> ? AND state = 'planned'", run.id)


def test_a_plan_to_retire_a_source_that_is_read_again_is_given_up(company):
    company.hire("anna")
    company.sync()
    company.configure(WITHOUT["hq"])
    run = retire(company.here, "hq")
    company.configure(ONE_SOURCE)
    company.hire("ben")
    company.sync()

    assert "superseded" == run_of(company.database, run.id).state
    assert find_connection(company.database, "hq").retired_at is None


def test_a_retired_source_that_is_configured_again_starts_anew(company):
    """Its first plan is a first plan, and its people come back to their accounts."""
    company.hire("anna")
    company.sync()
    anna = company.account("anna")
    retired(company)
    company.configure(ONE_SOURCE.replace('detain = "never"', 'detain = "first-run"'))
    run = company.sync()

    assert ("held", ["first-run"]) == (run.state, [one.code for one in run.objections])
    apply_run(company.here, approve(company.here, run.id))
    assert {"anna": None} == states(company)
    assert anna == company.account("anna")
    assert 1 == company.value("SELECT COUNT(*) FROM accounts")


def test_a_retired_name_may_be_used_in_another_enterprise(company):
    company.hire("anna")
    company.sync()
    retired(company)
    company.configure(ONE_SOURCE.replace("enterprise.acme", "enterprise.beta"))
    company.sync()

    assert [("acme", "missing"), ("beta", None)] == company.rows(
        "SELECT enterprise, disabled_by FROM accounts ORDER BY id"
    )


def test_what_cannot_be_retired_is_refused_with_a_reason(company):
    with pytest.raises(SyncdError, match="no connection 'nowhere'"):
        retire(company.here, "nowhere")
    company.hire("anna")
    company.sync()
    retired(company)
    with pytest.raises(SyncdError, match="was retired at 2026"):
        retire(company.here, "hq")


def test_a_retirement_can_be_undone(merged):
    run = retired(merged, "branch")
    undone = apply_run(merged.here, plan_undo(merged.here, run.id))

    assert 2 == undone.counts["applied_operations"]
    assert {"anna": None, "ben": None, "carl": None} == states(merged)


def everywhere(company, text):
    """Return the tables in which a text can be found."""
    tables = [row[0] for row in company.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        table
        for table in tables
        for row in company.rows(f"SELECT * FROM {table}")
        if any(text in str(value if not isinstance(value, bytes) else "") for value in row)
    ]


@pytest.fixture
def forgotten(tmp_path):
    """Anna has left her traces everywhere and is deleted; Ben is as he was."""
    made = Company(tmp_path, ONE_SOURCE + PHONEBOOK)
    made.hire("entry-of-anna", uid="anna.mueller", sn="Müller", mail="anna@acme.example")
    made.hire("ben")
    made.sync()
    made.world().change("entry-of-anna", sn="Berg", mail="")
    made.sync()
    made.world().change("entry-of-anna", l="x" * 300)  # a proposal that fails, and is discarded
    made.sync()
    queue.discard(made.here, [one.id for one in queue.waiting(made.here)], why="Anna Berg is right")
    anna = made.account("anna.mueller")
    people.edit(made.here, anna, {"title": "Annas Titel"})
    made.database.conn.execute(
        "INSERT INTO problems (run, connection, anchor, code, message) VALUES (1, 1, 'entry-of-anna', 'x', 'Berg')"
    )
    made.world().remove("entry-of-anna")
    people.delete(made.here, anna)
    yield made
    made.database.close()


def test_a_person_who_is_erased_is_found_nowhere_any_more(forgotten):
    forgotten.deliver()
    anna = forgotten.account("anna.mueller")
    counts = erase(forgotten.here, anna)

    for trace in ("anna.mueller", "Müller", "Berg", "anna@acme.example", "Annas Titel", "entry-of-anna"):
        assert [] == everywhere(forgotten, trace)
    assert {"operations": 5, "links": 1, "decisions": 1, "problems": 1} == {
        name: counts[name] for name in ("operations", "links", "decisions", "problems")
    }
    assert [] == faults_of(forgotten.database)


def test_the_file_itself_does_not_hold_an_erased_person(forgotten):
    forgotten.deliver()
    erase(forgotten.here, forgotten.account("anna.mueller"))
    files = [path for path in forgotten.folder.iterdir() if path.name.startswith("syncd.db")]

    for trace in ("anna.mueller", "Müller", "Annas Titel", "anna@acme.example", "entry-of-anna"):
        assert [] == [path.name for path in files if trace.encode() in path.read_bytes()], trace


def test_an_erasure_stands_in_the_journal_without_a_value(forgotten):
    forgotten.deliver()
    anna = forgotten.account("anna.mueller")
    run = run_of(forgotten.database, erase(forgotten.here, anna)["run"])

    assert ("manual", "ended", "ada", "erased") == (run.kind, run.state, run.actor, run.why)
    assert [("update", anna, "{}", "{}", "applied")] == forgotten.rows(
        "SELECT kind, account, before, after, state FROM operations WHERE run = ?", run.id
    )
    with pytest.raises(SyncdError, match="no longer kept"):
        plan_undo(forgotten.here, run.id)


def test_others_keep_everything_when_a_person_is_erased(forgotten):
    forgotten.deliver()
    ben = forgotten.account("ben")
    before = forgotten.rows("SELECT * FROM operations WHERE account = ?", ben)
    erase(forgotten.here, forgotten.account("anna.mueller"))

    assert before == forgotten.rows("SELECT * FROM operations WHERE account = ?", ben)
    assert ["ben"] == forgotten.on()
    assert [("ben",)] == forgotten.rows("SELECT folded FROM keys")


def test_an_erased_person_who_is_still_in_the_source_comes_back_as_somebody_new(company):
    company.hire("anna")
    company.sync()
    anna = company.account("anna")
    people.delete(company.here, anna)
    erase(company.here, anna)
    company.sync()

    assert anna != company.account("anna")


def test_an_ignored_entry_stays_ignored_when_its_account_is_erased(company):
    company.hire("anna")
    company.sync()
    anna = company.account("anna")
    queue.ignore(company.here, "hq", "anna")
    people.delete(company.here, anna)
    erase(company.here, anna)
    company.sync()

    assert [(None,)] == company.rows("SELECT login FROM accounts")


def test_an_account_that_is_not_deleted_is_not_erased(forgotten):
    ben = forgotten.account("ben")
    with pytest.raises(SyncdError, match=f"syncd accounts delete {ben}"):
        erase(forgotten.here, ben)
    with pytest.raises(SyncdError, match="no account 4711"):
        erase(forgotten.here, 4711)


def test_an_account_that_a_platform_still_knows_is_not_erased(forgotten):
    with pytest.raises(SyncdError, match=r"phonebook has not confirmed .* syncd sync"):
        erase(forgotten.here, forgotten.account("anna.mueller"))


def test_an_account_with_something_to_be_done_is_not_erased(company):
    company.configure(ONE_SOURCE + "[source.hq.rules]\nlocation = {{ one_of = ['north'] }}\n")
    company.hire("anna")
    company.sync()
    company.world().change("anna", l="south")
    company.sync()
    anna = company.account("anna")
    people.delete(company.here, anna)
    (waiting,) = queue.waiting(company.here)

    with pytest.raises(SyncdError, match=f"syncd queue discard {waiting.id}"):
        erase(company.here, anna)
