"""A link that is taken away: what the account keeps, what the next read does, and the way back."""

import json

import cli_world
import pytest
from line_world import PLAIN, Site, check_books, quiet  # noqa: F401

from syncd.errors import SyncdError
from syncd.model import Objection
from syncd.pipeline import people, queue, unlinking
from syncd.pipeline.explaining import explain
from syncd.pipeline.line import resume
from syncd.pipeline.undoing import plan_undo
from syncd.pipeline.unlinking import unlink

office = cli_world.office

WIDE = {**PLAIN["map"], "secondary_phones": "phones"}
LAB = {"owns": False, "operations": ["update"], "map": {"login": "uid", "title": "title"}}


@pytest.fixture
def site():
    """Two people of one source, one of them with everything that is awkward to store."""
    made = Site(hq={"map": WIDE}, top={"platform": {"phones": {"type": "memory"}}})
    made.hire("ann", sn='Straße "x"', phones=("1", "ä2"), ext="7")
    made.hire("bob")
    made.sync()
    return made


def books(site):
    """Return everything that undoing has to bring back."""
    accounts = site.rows(
        "SELECT id, attributes, template, local, disabled_by, deleted_at IS NULL FROM accounts ORDER BY id"
    )
    links = site.rows("SELECT connection, anchor, account, owner, record, enabled FROM links ORDER BY anchor")
    return [(row[0], json.loads(row[1]), *row[2:]) for row in accounts], links, site.taken()


def ignored(site):
    return site.rows("SELECT anchor, run FROM decisions WHERE verb = 'ignore' AND ended_at IS NULL")


def lasts(site, account):
    """Return who says what of an account's last name."""
    return next(one.voices for one in explain(site.here, account) if one.attribute == "last_name")


def layers(site, account):
    return {voice.layer for one in explain(site.here, account) for voice in one.voices}


def test_with_its_last_link_an_account_keeps_its_values_by_hand(site):
    ann, keys = site.person("ann"), site.taken()
    done = unlink(site.here, ann.id, "hq")

    assert ann == site.people()[ann.id]
    assert keys == site.taken()
    assert ("email", "extension", "last_name", "login", "secondary_phones") == done.kept
    assert ann.attributes == json.loads(site.value("SELECT local FROM accounts WHERE id = ?", ann.id))
    assert ["bob"] == list(site.linked())
    assert {"a person"} == layers(site, ann.id)
    check_books(site)


def test_the_next_read_finds_it_by_its_keys_and_makes_no_twin(site):
    ann = site.person("ann")
    unlink(site.here, ann.id, "hq")

    assert [("ann", "update", "applied")] == site.told(site.sync())
    assert ann == site.person("ann")
    assert [(0,)] == site.rows("SELECT owner FROM links WHERE anchor = 'ann'")
    assert [] == site.operations(site.sync())
    assert {"hq", "a person"} == layers(site, ann.id)
    check_books(site)


def test_what_is_kept_beats_the_source_until_it_is_reset(site):
    ann = site.person("ann").id
    unlink(site.here, ann, "hq")
    site.world().change("ann", sn="Berg")
    site.sync()
    kept = site.person("ann").attributes["last_name"]
    people.reset(site.here, ann, ())

    assert ('Straße "x"', "Berg") == (kept, site.person("ann").attributes["last_name"])
    check_books(site)


def test_no_source_removes_what_is_kept_by_hand(site):
    ann = site.person("ann").id
    unlink(site.here, ann, "hq")
    site.sync()
    site.fire("ann")
    site.sync()

    assert site.people()[ann].active


def test_undoing_brings_everything_back_and_undoing_that_does_it_again(site):
    people.edit(site.here, site.person("ann").id, {"title": "Dr", "phone": ""})
    before = books(site)
    run = unlink(site.here, site.person("ann").id, "hq", ignore=True).run
    after, entry = books(site), ignored(site)
    assert [("ann", run.id)] == entry

    for _ in range(2):
        run = site.apply(plan_undo(site.here, run.id))
        assert (before, []) == (books(site), ignored(site))
        check_books(site)
        run = site.apply(plan_undo(site.here, run.id))
        assert (after, [("ann", run.id)]) == (books(site), ignored(site))
        check_books(site)
    site.apply(plan_undo(site.here, run.id))
    assert [] == site.operations(site.sync())


def test_what_was_edited_since_is_not_overwritten_when_it_is_undone(site):
    ann = site.person("ann").id
    run = unlink(site.here, ann, "hq").run
    people.edit(site.here, ann, {"title": "Dr"})
    edited = people.edit(site.here, ann, {"last_name": "Berg"})
    before = books(site)
    undo = site.apply(plan_undo(site.here, run.id))

    assert [("ann", "update", "detained")] == site.told(undo)
    assert f"account {ann} has another last_name by now" == site.open_one("ann").faults[-1][2]
    assert before == books(site)
    site.apply(plan_undo(site.here, edited.id))
    queue.release(site.here, [site.open_one("ann").id])
    assert "ann" in site.linked()
    assert {"title": "Dr"} == json.loads(site.value("SELECT local FROM accounts WHERE id = ?", ann))
    check_books(site)


def test_what_the_source_did_before_cannot_be_undone_without_its_link(site):
    site.world().change("ann", sn="Berg")
    changed = site.sync()
    unlink(site.here, site.person("ann").id, "hq")
    before = books(site)
    undo = site.apply(plan_undo(site.here, changed.id))

    assert before == books(site)
    assert ["its link is another by now"] == [one.faults[-1][2] for one in site.operations(undo)]


def test_what_the_source_did_before_is_undone_below_what_is_kept_by_hand(site):
    """The link says again what it said; the account goes on saying what a person says."""
    site.world().change("ann", sn="Berg")
    changed = site.sync()
    ann = site.person("ann").id
    unlink(site.here, ann, "hq")
    site.sync()
    undone = site.apply(plan_undo(site.here, changed.id))

    said = [(one.layer, one.value) for one in lasts(site, ann)]
    assert ([("ann", "update", "applied")], "Berg") == (
        site.told(undone),
        site.person("ann").attributes["last_name"],
    )
    assert [("hq", 'Straße "x"'), ("a person", "Berg")] == said
    people.reset(site.here, ann, ())
    assert 'Straße "x"' == site.person("ann").attributes["last_name"]
    check_books(site)


def test_undone_after_the_entry_was_linked_again_it_changes_nothing(site):
    run = unlink(site.here, site.person("ann").id, "hq").run
    site.sync()
    before = books(site)
    site.apply(plan_undo(site.here, run.id))

    assert before == books(site)
    with pytest.raises(SyncdError, match="nothing to edit in it"):
        queue.edit(site.here, site.open_one("ann").id, {"last_name": "Berg"})


def test_while_another_link_speaks_nothing_is_copied():
    site = Site(hq={}, lab=LAB)
    site.hired(1)
    site.hire("x", source="lab", uid="p000", title="Dr")
    site.sync("lab")
    account = site.person("p000").id
    done = unlink(site.here, account, "hq")

    assert ((), {"login": "p000", "title": "Dr"}) == (done.kept, site.people()[account].attributes)
    assert None is site.value("SELECT local FROM accounts")
    assert ("login", "title") == unlink(site.here, account, "lab").kept
    assert {"login": "p000", "title": "Dr"} == site.people()[account].attributes
    check_books(site)


def test_a_link_whose_entry_is_gone_carries_nobody():
    site = Site(hq={}, lab=LAB)
    site.hired(1)
    site.hire("x", source="lab", uid="p000", title="Dr")
    site.sync("lab")
    site.fire("x", source="lab")
    site.hire("y", source="lab", uid="nobody")
    site.configure(hq={}, lab={**LAB, "operations": ["update", "remove"]})
    site.sync("lab")
    ann = site.person("p000")
    unlink(site.here, ann.id, "hq")

    assert ann == site.people()[ann.id]
    check_books(site)


def test_what_its_template_says_is_not_copied_and_numbers_stay():
    desk = {"desk": {"defaults": {"title": "Clerk"}, "allocate": {"extension": "100-199"}}}
    site = Site(hq={"role": "sales"}, top={"template": desk, "role": {"sales": {"template": "desk"}}})
    site.hired(1)
    ann = site.person("p000")
    done = unlink(site.here, ann.id, "hq")

    assert ("email", "last_name", "login") == done.kept
    assert ann == site.people()[ann.id]
    site.sync()
    assert ann == site.person("p000")


def test_whom_a_source_has_disabled_a_person_has_now_and_can_enable(site):
    site.world().disable("ann")
    site.fire("bob")
    site.sync()
    before = books(site)
    done = [unlink(site.here, site.person(one).id, "hq") for one in ("ann", "bob")]

    assert ["links", "gone"] == [one.forecast for one in done]
    assert ["local", "local"] == [one.disabled_by for one in site.people().values()]
    for one in reversed(done):
        site.apply(plan_undo(site.here, one.run.id))
    assert before == books(site)
    ann = site.person("ann").id
    unlink(site.here, ann, "hq")
    people.set_enabled(site.here, ann, enabled=True)
    assert site.people()[ann].active
    check_books(site)


def test_a_deleted_account_stays_deleted_and_its_entry_comes_as_somebody_new(site):
    ann = site.person("ann").id
    people.delete(site.here, ann)
    done = unlink(site.here, ann, "hq")

    assert "adds" == done.forecast
    site.sync()
    assert site.people()[ann].deleted
    assert ann != site.person("ann").id
    check_books(site)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ("links", "login", [("ann", "update", "applied")])),
        ({"adopt": True}, ("owns", "login", [("ann", "update", "applied")])),
        ({"match": ["email", "login"]}, ("links", "email", [("ann", "update", "applied")])),
        ({"match": []}, ("waits", "login", [("ann", "add", "detained")])),
        ({"operations": ["add"]}, ("nothing", "login", [])),
        ({"operations": ["update"], "match": []}, ("nothing", None, [])),
        ({"protected": ["login:ann"]}, ("asks", "login", [("ann", "update", "detained")])),
    ],
    ids=str,
)
def test_the_forecast_is_what_the_next_read_does(site, more, expected):
    more = dict(more)
    enterprise = {"protected": more.pop("protected", [])}
    site.configure(
        hq={"map": WIDE, **more}, enterprise=enterprise, top={"platform": {"phones": {"type": "memory"}}}
    )
    site.sync()
    done = unlink(site.here, site.person("ann").id, "hq")

    assert expected == (done.forecast, done.key, site.told(site.sync(full=True)))
    assert 2 == len(site.people())


def test_what_nobody_reads_and_what_was_never_read_is_said():
    site = Site(hq={}, lab={})
    site.hired(1)
    people.add(site.here, "acme", {"login": "manual"})
    manual = max(site.people())
    people.link(site.here, manual, "hq", "never")

    site.hired(1, source="lab")
    queue.ignore(site.here, "lab", "p000")
    assert unlink(site.here, site.person("p000", "lab").id, "lab").ignored
    done = unlink(site.here, manual, "hq")
    assert ("unknown", (), False) == (done.forecast, done.kept, done.ignored)
    site.configure(lab={})
    assert "unread" == unlink(site.here, site.person("p000").id, "hq").forecast


def test_an_ignored_entry_is_left_alone_and_its_open_proposals_are_discarded(site):
    site.configure(hq={"map": {**WIDE, "last_name": {"from": "sn", "policy": "detain"}}})
    site.world().change("ann", sn="Berg")
    site.sync()
    waits, ann = site.open_one("ann"), site.person("ann")
    run = unlink(site.here, ann.id, "hq", ignore=True).run

    assert "discarded" == site.value("SELECT state FROM operations WHERE id = ?", waits.id)
    assert [("ann", run.id)] == ignored(site)
    assert ([], 1) == (site.operations(site.sync()), site.sync().counts["ignored"])
    assert ann == site.people()[ann.id]
    queue.unignore(site.here, "hq", "ann")
    assert [("ann", "update", "applied")] == site.told(site.sync())


def test_the_decision_stands_as_soon_as_the_plan_does(site, monkeypatch):
    """A process that is killed in between leaves a plan that is applied, and an entry that is ignored."""

    def killed(*_):
        raise KeyboardInterrupt

    ann = site.person("ann").id
    monkeypatch.setattr(unlinking, "apply_run", killed)
    with pytest.raises(KeyboardInterrupt):
        unlink(site.here, ann, "hq", ignore=True)
    assert ["ann", "bob"] == sorted(site.linked())

    resume(site.here)
    assert ["bob"] == list(site.linked())
    assert ["ann"] == [anchor for anchor, _ in ignored(site)]


@pytest.mark.parametrize("scope", ["run", "operation"])
def test_what_a_reviewer_objects_to_is_neither_unlinked_nor_ignored(site, monkeypatch, scope):
    number = site.value("SELECT MAX(id) FROM operations") + 1
    objection = Objection("no", scope if scope == "run" else f"operation:{number}", "not this one")
    monkeypatch.setattr("syncd.pipeline.asking._judged", lambda *_: [objection])
    done = unlink(site.here, site.person("ann").id, "hq", ignore=True)

    assert not done.ignored
    assert (["ann", "bob"], []) == (sorted(site.linked()), ignored(site))


@pytest.fixture
def staffed(office):
    office.begin()
    return office


def test_the_verb_says_what_is_kept_and_what_comes_next(staffed):
    shown = staffed.out("accounts", "unlink", "grace", "hr")

    assert (
        "     5  update   Grace Hopper (grace)  account 2  [2]\n"
        "          the link is taken away; nothing of the account changes\n" in shown
    )
    assert shown.endswith("""\
kept by hand from now on: email, first_name, last_name, login
entry 2 of hr: the next full read finds this account by its login, and links it again, not as its owner
what is kept by hand beats it there, until: syncd accounts reset 2
to leave it alone: syncd queue ignore hr 2
""")
    assert "    * a person: Hopper\n" in staffed.out("explain", "grace", "last_name")
    assert "linked to" not in staffed.out("explain", "grace")
    staffed.out("sync")
    assert 3 == len(staffed.json("accounts")["accounts"])


def test_with_an_ignored_entry_it_says_how_to_end_that(staffed):
    shown = staffed.out("accounts", "unlink", "grace", "hr", "--ignore")

    assert shown.endswith("entry 2 of hr is ignored; to end that: syncd queue unignore hr 2\n")
    assert [("hr", "2", 4)] == [
        (one["connection"], one["anchor"], one["run"])
        for one in staffed.json("queue", "--ignored")["ignored"]
    ]
    staffed.out("undo", "4", "--yes")
    assert [] == staffed.json("queue", "--ignored")["ignored"]
    assert ["hr"] == [one["connection"] for one in staffed.json("accounts", "show", "grace")["links"]]


def test_the_document_says_the_same(staffed):
    assert {
        "account": 1, "connection": "directory", "anchor": "u-1", "kept": [], "ignored": True,
        "forecast": "links", "key": "login",
    } == staffed.json("accounts", "unlink", "ada", "directory", "--ignore")["unlinked"]  # fmt: skip


def test_what_is_not_linked_is_refused(staffed):
    result = staffed.run("accounts", "unlink", "grace", "directory", "--ignore")

    assert (64, "account 2 has no link of directory" in result.stderr) == (result.exit_code, True)
    assert [] == staffed.json("queue", "--ignored")["ignored"]
