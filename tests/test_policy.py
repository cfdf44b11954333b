"""Law 11: a change of what platforms take is a run that names everybody it touches, and is guarded."""

import json
from dataclasses import replace

import pytest
from companies import ONE_SOURCE, PHONEBOOK, Company

from syncd.distribution import pending
from syncd.model import Objection
from syncd.pipeline import queue
from syncd.pipeline.delivering import finish
from syncd.pipeline.line import apply_run
from syncd.pipeline.policy import plan_policy, policy_texts, settle_policy, unsettled
from syncd.pipeline.undoing import plan_undo
from syncd.store import policies
from syncd.store.runs import run_of, runs

NORTH = PHONEBOOK + 'accept = {{ location = "north" }}\n'
NAMES_ONLY = PHONEBOOK + '[platform.phonebook.map]\nlogin = "login"\ndisplay_name = "last_name"\n'


@pytest.fixture
def company(tmp_path):
    """Six people in the north and four in the south, all of them in the phone book."""
    made = Company(tmp_path, ONE_SOURCE + PHONEBOOK)
    made.hire(*(f"n{number}" for number in range(6)))
    made.hire(*(f"s{number}" for number in range(4)), l="south")
    made.sync()
    yield made
    made.database.close()


def effects(company, run):
    """Return who is touched by a policy run: (login, platform, effect, state)."""
    return company.rows(
        "SELECT a.login, o.record ->> 'platform', o.record ->> 'effect', o.state FROM operations o"
        " JOIN accounts a ON a.id = o.account WHERE o.run = ? ORDER BY 1, 2",
        run.id,
    )


def test_a_platform_that_is_there_from_the_beginning_needs_no_run(company):
    assert 10 == len(company.on())
    assert [] == unsettled(company.here)
    assert [] == runs(company.database, "kind = 'policy'")


def test_a_new_platform_is_seeded_by_a_run_that_shows_who_appears(company):
    company.configure(ONE_SOURCE + PHONEBOOK + PHONEBOOK.replace("phonebook", "pbx"))
    (run,) = plan_policy(company.here)

    assert ("policy", "planned", "acme") == (run.kind, run.state, run.enterprise)
    assert {"appear:pbx": 10, "update": 10, "remove": 0} == {
        name: run.counts[name] for name in ("appear:pbx", "update", "remove")
    }
    assert ["pbx"] == unsettled(company.here)
    assert [] == company.on("pbx")
    settle_policy(company.here)
    company.deliver()
    assert company.on() == company.on("pbx")
    assert [] == unsettled(company.here)


def test_who_vanishes_is_shown_and_vanishes_when_the_run_is_applied(company):
    company.configure(ONE_SOURCE + NORTH + 'limits = {{ remove = "off" }}\n')
    (run,) = plan_policy(company.here)

    expected = [(f"s{number}", "phonebook", "vanish", "planned") for number in range(4)]
    assert expected == effects(company, run)
    settle_policy(company.here)
    company.deliver()
    assert [f"n{number}" for number in range(6)] == company.on()


def test_too_many_who_vanish_are_detained_and_the_others_go_on(company):
    """Of ten people two may vanish at once; newcomers do not wait for that."""
    company.configure(ONE_SOURCE + NORTH)
    (run,) = settle_policy(company.here)
    company.hire("n9")
    company.sync()

    assert ["too-many-removals:phonebook"] == [one.code for one in run.objections]
    assert {"detained"} == {state for *_, state in effects(company, run)}
    assert [] == unsettled(company.here)
    assert 11 == len(company.on())


def test_nobody_who_is_detained_vanishes_because_something_else_of_them_changes(company):
    company.configure(ONE_SOURCE + NORTH)
    settle_policy(company.here)
    company.world().change("s1", sn="Berg")
    company.sync()

    assert "s1" in company.on()
    (row,) = pending(company.here.database, company.here.clock())
    held = company.value(
        "SELECT MAX(id) FROM operations WHERE account = ? AND state = 'detained'", row.account
    )
    assert (company.account("s1"), "pending") == (row.account, row.state)
    assert (
        f"a guard detained that it vanishes there, as operation {held}: syncd queue show {held}"
        == row.message
    )


def test_what_was_detained_vanishes_once_a_person_releases_it(company):
    company.configure(ONE_SOURCE + NORTH)
    settle_policy(company.here)
    queue.release(company.here, [one.id for one in queue.waiting(company.here)])
    company.deliver()

    assert [f"n{number}" for number in range(6)] == company.on()
    assert [] == queue.waiting(company.here)


def test_a_changed_map_names_the_fields_that_change(company):
    company.configure(
        ONE_SOURCE
        + PHONEBOOK
        + 'limits = {{ update = "off" }}\n'
        + '[platform.phonebook.map]\nlast_name = {{ from = "last_name", via = ["lower"] }}\n'
    )
    (run,) = plan_policy(company.here)
    records = company.rows("SELECT DISTINCT record FROM operations WHERE run = ?", run.id)

    assert [{"platform": "phonebook", "effect": "change", "changed": ["last_name"]}] == [
        json.loads(record) for (record,) in records
    ]
    settle_policy(company.here)
    company.deliver()
    assert {"n0", "s0"} <= {account.fields["last_name"] for account in company.system().accounts.values()}


def test_a_new_map_that_changes_nothing_of_anybody_is_in_force_at_once(company):
    company.configure(
        ONE_SOURCE + PHONEBOOK + '[platform.phonebook.map]\nlogin = {{ from = "login", via = ["trim"] }}\n'
    )

    assert ["phonebook"] == unsettled(company.here)
    assert [] == plan_policy(company.here)
    assert [] == unsettled(company.here)


def test_services_of_a_template_are_policy_as_well(company):
    role = '[template.desk]\nservices = ["{services}"]\n[role.desk]\ntemplate = "desk"\n'
    settings = ONE_SOURCE.replace('detain = "never"', 'detain = "never"\nrole = "desk"')
    company.configure(settings + PHONEBOOK + role.replace("{services}", "phonebook"))
    company.hire("desk")
    company.sync()
    known = company.on()
    company.configure(settings + PHONEBOOK + role.replace('["{services}"]', "[]"))
    (run,) = settle_policy(company.here)
    company.deliver()

    assert [("desk", "phonebook", "vanish", "applied")] == effects(company, run)
    assert sorted({*known} - {"desk"}) == company.on()


def test_nothing_is_planned_twice_and_the_open_run_stays_with_its_approval(company):
    company.configure(ONE_SOURCE + PHONEBOOK + PHONEBOOK.replace("phonebook", "pbx"))
    (first,) = plan_policy(company.here)
    (second,) = plan_policy(company.here)

    assert first == second
    assert [] == settle_policy(company.here)[1:]
    assert [] == plan_policy(company.here)
    assert 1 == company.value("SELECT COUNT(*) FROM runs WHERE kind = 'policy' AND same_as IS NULL")


def test_a_configuration_that_is_put_back_supersedes_the_run(company):
    company.configure(ONE_SOURCE + NORTH)
    (run,) = plan_policy(company.here)
    company.configure(ONE_SOURCE + PHONEBOOK)

    assert [] == plan_policy(company.here)
    assert "superseded" == run_of(company.database, run.id).state
    assert [] == queue.waiting(company.here)
    company.deliver()
    assert 10 == len(company.on())


def test_what_was_detained_is_asked_anew_when_the_policy_changes_again(company):
    company.configure(ONE_SOURCE + NORTH)
    settle_policy(company.here)
    company.configure(ONE_SOURCE + PHONEBOOK)
    settle_policy(company.here)

    assert [] == queue.waiting(company.here)
    company.world().change("s1", sn="Berg")
    company.sync()
    assert 10 == len(company.on())


def test_an_unsettled_platform_is_not_delivered_to(company):
    company.configure(ONE_SOURCE + NORTH)
    company.here.plugins.hooks.review_plan = lambda plan, limits: [
        Objection("no", "run", "not today", "acme")
    ]
    (run,) = settle_policy(company.here)
    company.world().change("s1", l="far")
    company.deliver()

    assert "held" == run.state
    assert ["phonebook"] == unsettled(company.here)
    assert 10 == len(company.on())


def test_an_objection_of_a_plugin_to_removals_detains_whoever_vanishes(company):
    company.configure(ONE_SOURCE + NORTH + 'limits = {{ remove = "off" }}\n')
    company.here.plugins.hooks.review_plan = lambda plan, limits: [
        Objection("no", "removals", f"{plan.summary.effects[0].vanish} are too many", "acme")
    ]
    (run,) = settle_policy(company.here)

    assert {"detained"} == {state for *_, state in effects(company, run)}


def test_an_enterprise_that_a_platform_no_longer_serves_vanishes_from_it(tmp_path):
    text = ONE_SOURCE + ONE_SOURCE.replace("acme", "beta").replace("source.hq", "source.b").replace(
        '["hq"]', '["b"]'
    ).replace("{folder}/hq", "{folder}/b")
    company = Company(tmp_path, text + PHONEBOOK)
    company.hire("anna")
    company.hire("bela", source="b")
    company.sync()
    company.sync("b")
    company.configure(text + PHONEBOOK + 'enterprises = ["acme"]\n')
    (run,) = settle_policy(company.here)
    company.deliver()

    assert ("beta", [("bela", "phonebook", "vanish", "applied")]) == (run.enterprise, effects(company, run))
    assert ["anna"] == company.on()
    company.database.close()


def test_a_platform_waits_for_the_runs_of_all_its_enterprises(tmp_path):
    text = ONE_SOURCE + ONE_SOURCE.replace("acme", "beta").replace("source.hq", "source.b").replace(
        '["hq"]', '["b"]'
    ).replace("{folder}/hq", "{folder}/b")
    company = Company(tmp_path, text)
    company.hire("anna")
    company.hire("bela", source="b")
    company.sync()
    company.sync("b")
    company.configure(text + PHONEBOOK)
    first, second = plan_policy(company.here)
    finish(company.here, apply_run(company.here, first))

    assert ["phonebook"] == unsettled(company.here)
    assert [second] == plan_policy(company.here)
    finish(company.here, apply_run(company.here, second))
    assert [] == unsettled(company.here)
    company.deliver()
    assert ["anna", "bela"] == company.on()
    company.database.close()


def test_a_process_killed_before_the_policy_was_in_force_leaves_nothing_to_be_done_again(company):
    company.configure(ONE_SOURCE + PHONEBOOK + PHONEBOOK.replace("phonebook", "pbx"))
    (run,) = plan_policy(company.here)
    company.wait(hours=1)
    apply_run(company.here, run)

    assert ["pbx"] == unsettled(company.here)
    assert [] == settle_policy(company.here)
    assert [] == unsettled(company.here)


def test_a_platform_with_another_name_keeps_its_accounts(company):
    renamed = PHONEBOOK.replace("platform.phonebook", "platform.contacts") + 'formerly = "phonebook"\n'
    company.configure(ONE_SOURCE + renamed)

    assert [] == plan_policy(company.here)
    assert [("contacts", 10)] == company.rows("SELECT platform, COUNT(*) FROM remotes GROUP BY 1")
    assert {"contacts"} == set(policies.in_force(company.database))


def test_a_platform_that_leaves_the_configuration_is_frozen(company):
    company.configure(ONE_SOURCE)

    assert [] == settle_policy(company.here)
    assert 10 == len(company.on())


def test_deleted_accounts_are_not_named(company):
    company.configure(ONE_SOURCE.replace("reads = 1", 'missing = "delete", reads = 1') + PHONEBOOK)
    company.world().remove("s0")
    company.sync()
    company.configure(ONE_SOURCE + PHONEBOOK + PHONEBOOK.replace("phonebook", "pbx"))
    (run,) = plan_policy(company.here)

    assert 9 == run.counts["appear:pbx"]


def test_a_policy_that_comes_back_is_planned_again(company):
    """What was applied before says nothing about who would be touched now."""
    north = ONE_SOURCE + NORTH + 'limits = {{ remove = "off", add = "off" }}\n'
    company.configure(north)
    settle_policy(company.here)
    company.deliver()
    for name in ("s0", "s1", "s2", "s3"):
        company.world().change(name, l="north")
    company.sync()
    company.wait(days=1)
    company.configure(ONE_SOURCE + PHONEBOOK)
    assert [] == settle_policy(company.here)
    company.world().change("s0", l="south")
    company.sync()
    company.configure(north)
    (run,) = plan_policy(company.here)

    assert [("s0", "phonebook", "vanish", "planned")] == effects(company, run)


def test_a_killed_process_goes_on_where_it_was(company):
    """Half of the run was applied: settling applies the rest before anything else."""
    company.configure(ONE_SOURCE + PHONEBOOK + PHONEBOOK.replace("phonebook", "pbx"))
    (run,) = plan_policy(company.here)
    company.database.conn.execute("UPDATE runs SET state = 'applying' WHERE id = ?", (run.id,))

    assert [run_of(company.database, run.id)] == plan_policy(company.here)
    settle_policy(company.here)
    assert "ended" == run_of(company.database, run.id).state
    assert [] == unsettled(company.here)


def test_a_policy_run_is_undone_by_changing_the_configuration_back(company):
    company.configure(ONE_SOURCE + PHONEBOOK + PHONEBOOK.replace("phonebook", "pbx"))
    (run,) = settle_policy(company.here)

    with pytest.raises(Exception, match="change that back"):
        plan_undo(company.here, run.id)


def test_the_text_of_a_policy_does_not_depend_on_the_order_of_the_configuration(company):
    before = policy_texts(company.here)
    settings = company.here.settings
    backwards = settings._replace(platforms=dict(reversed(settings.platforms.items())), roles={})
    company.here = replace(company.here, settings=backwards)

    assert before == policy_texts(company.here)
