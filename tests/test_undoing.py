"""What is undone is one layer's words: the account says then what its other layers come to."""

import pytest
from line_world import Site, check_books, quiet  # noqa: F401

from syncd.pipeline import people, queue
from syncd.pipeline.undoing import plan_undo
from syncd.pipeline.unlinking import unlink
from syncd.store import queue as stored

LAB = {"owns": False, "map": {"login": "uid", "phone": "tel", "title": "title"}}


@pytest.fixture
def site():
    """Ann is known to both sources, and hq comes first."""
    made = Site(hq={}, lab=LAB)
    made.hire("ann", tel="1")
    made.hire("rock")
    made.hire("x", source="lab", uid="ann", tel="3", title="Dr")
    made.sync()
    made.sync("lab")
    return made


def ann(site):
    return site.value("SELECT MIN(id) FROM accounts")


def says(site, *names):
    attributes = site.people()[ann(site)].attributes
    return tuple(attributes.get(name) for name in names)


def undo(site, run):
    site.wait(seconds=1)
    return site.apply(plan_undo(site.here, run.id))


def why(site, run):
    """Return why the operations of a run are held."""
    return [one.faults[-1].message for one in site.operations(run) if one.faults]


def test_undoing_a_hand_edit_says_what_the_source_says_by_now(site):
    edited = people.edit(site.here, ann(site), {"phone": "7"})
    site.world().change("ann", tel="2")
    site.sync()
    undone = undo(site, edited)

    assert ("2",) == says(site, "phone")
    undo(site, undone)
    assert ("7",) == says(site, "phone")
    check_books(site)


def test_undoing_a_hand_edit_that_changed_no_value_follows_its_source_again(site):
    edited = people.edit(site.here, ann(site), {"phone": "1"})
    site.world().change("ann", tel="2")
    site.sync()
    before = says(site, "phone")
    undo(site, edited)

    assert (("1",), ("2",)) == (before, says(site, "phone"))
    check_books(site)


def test_a_hand_edit_that_changed_no_value_is_not_undone_over_a_later_one(site):
    first = people.edit(site.here, ann(site), {"phone": "1"})
    second = people.edit(site.here, ann(site), {"phone": "8", "title": "Prof"})
    undone = undo(site, first)

    assert (["a person says another phone by now"], ("8", "Prof")) == (
        why(site, undone),
        says(site, "phone", "title"),
    )
    undo(site, second)
    undo(site, first)
    assert ("1", "Dr", None) == (*says(site, "phone", "title"), site.value("SELECT MAX(local) FROM accounts"))
    check_books(site)


def test_undoing_an_edit_leaves_what_was_edited_beside_it(site):
    first = people.edit(site.here, ann(site), {"phone": "7"})
    people.edit(site.here, ann(site), {"title": "Prof"})
    undo(site, first)

    assert ("1", "Prof") == says(site, "phone", "title")
    check_books(site)


def test_undoing_an_adoption_takes_all_that_its_link_said(site):
    """Not what it said first: but then only while it says no more than that."""
    adopted = site.run(2)
    site.world("lab").change("x", title="Prof")
    later = site.sync("lab")
    undone = undo(site, adopted)

    assert (["account 1 has another title by now"], "Prof") == (why(site, undone), *says(site, "title"))
    undo(site, later)
    undo(site, adopted)
    assert ("1", None) == says(site, "phone", "title")
    assert {} == site.linked("lab")
    check_books(site)


def test_what_a_link_says_below_others_is_not_undone_over_what_it_said_later(site):
    site.world("lab").change("x", tel="4")
    first = site.sync("lab")
    site.world("lab").change("x", tel="5")
    site.sync("lab")
    undone = undo(site, first)

    assert ["its link says another phone by now"] == why(site, undone)
    site.world().change("ann", tel="")
    site.sync()
    assert ("5",) == says(site, "phone")
    check_books(site)


def test_undoing_the_redo_of_an_unlinking_says_what_is_missing_by_now(site):
    redone = undo(site, undo(site, unlink(site.here, ann(site), "lab").run))
    site.world().change("ann", tel="")
    site.sync()
    undo(site, redone)

    assert (["x"], ("3", "Dr")) == (list(site.linked("lab")), says(site, "phone", "title"))
    check_books(site)


def test_an_unlinking_that_is_done_again_takes_nothing_from_a_person():
    """They said the same by hand in between, so undoing it once more leaves that alone."""
    site = Site()
    site.hired(1)
    run = undo(site, unlink(site.here, 1, "hq").run)
    people.edit(site.here, 1, {"last_name": "P000"})
    undo(site, undo(site, run))

    assert '{"last_name":"P000"}' == site.value("SELECT local FROM accounts")
    check_books(site)


def test_a_leaver_who_came_back_is_gone_again_when_that_is_undone(site):
    site.fire("ann")
    site.sync()
    gone = site.rows("SELECT gone_at FROM links WHERE connection = 1 ORDER BY id")
    site.hire("ann", tel="2")
    back = site.sync()
    undone = undo(site, back)

    assert (gone, "missing", ("1", "Dr")) == (
        site.rows("SELECT gone_at FROM links WHERE connection = 1 ORDER BY id"),
        site.people()[1].disabled_by,
        says(site, "phone", "title"),
    )
    undo(site, undone)
    assert ("2", True) == (*says(site, "phone"), site.people()[1].active)
    check_books(site)


def test_the_link_of_a_leaver_is_that_of_a_leaver_when_its_unlinking_is_undone():
    site = Site(hq={}, lab={**LAB, "owns": True, "adopt": True})
    site.hire("ann", "rock", tel="1")
    site.hire("x", source="lab", uid="ann", tel="3")
    site.hire("y", source="lab")
    site.sync()
    site.sync("lab")
    site.fire("ann")
    site.sync()
    undo(site, unlink(site.here, 1, "hq").run)

    assert ("3",) == says(site, "phone")
    check_books(site)


def test_two_links_that_end_in_the_same_second_are_told_apart():
    """The values of who was there last are kept, whatever the clock says."""
    site = Site(hq={}, lab={**LAB, "owns": True, "adopt": True})
    site.hire("ann", "rock", tel="1")
    site.hire("x", source="lab", uid="ann", tel="3")
    site.hire("y", source="lab")
    site.sync()
    site.sync("lab")
    site.fire("ann")
    site.fire("x", source="lab")
    for source in ("hq", "lab"):
        site.apply(site.plan(source))

    assert ("3",) == says(site, "phone")
    check_books(site)


@pytest.mark.parametrize("released", [True, False])
def test_what_was_planned_before_others_changed_is_not_applied_as_it_was_planned(released):
    """A first plan of lab is held; meanwhile hq says nothing of the phone any more."""
    site = Site(hq={}, lab={**LAB, "detain": "first-run"})
    site.hire("ann", "rock", tel="1")
    site.hire("x", source="lab", uid="ann", tel="3")
    site.sync()
    held = site.plan("lab")
    site.world().change("ann", tel="")
    site.sync()
    if released:
        (held,) = queue.release(site.here, [one.id for one in site.operations(held)])
    else:
        held = site.approve(held)

    assert ["of phone others say something else by now"] == why(site, held)
    check_books(site)
    site.sync("lab")
    assert ("3",) == says(site, "phone")
    check_books(site)


def test_a_correction_keeps_what_was_edited_by_hand_meanwhile(site):
    taken = people.edit(site.here, ann(site), {"email": "rock@acme.example"})
    people.edit(site.here, ann(site), {"title": "Prof"})
    (waits,) = site.operations(taken)
    queue.edit(site.here, waits.id, {"email": "other@acme.example"})
    queue.release(site.here, [one.id for one in site.operations()])

    assert ("other@acme.example", "Prof") == says(site, "email", "title")
    check_books(site)


def test_a_leaver_who_is_linked_by_hand_keeps_their_values_until_the_entry_is_read(site):
    site.fire("ann")
    site.sync()
    unlink(site.here, 1, "lab")
    before = says(site, "login", "phone")
    people.link(site.here, 1, "lab", "x", owns=True)
    linked = says(site, "login", "phone")
    check_books(site)
    site.configure(hq={}, lab={**LAB, "owns": True})
    site.sync("lab")

    assert (("ann", "1"), ("ann", "1"), ("ann", "3")) == (before, linked, says(site, "login", "phone"))
    assert site.people()[1].active
    check_books(site)


def test_undoing_a_large_run_looks_at_some_of_it_at_a_time(monkeypatch):
    """And each inverse names what it undoes, the newest first."""
    site = Site()
    site.hire(*(f"p{number}" for number in range(5)))
    run = site.sync()
    looked_at = []
    by_ids = stored.by_ids

    def counted(database, ids):
        found = by_ids(database, ids)
        looked_at.append(len(found))
        return found

    monkeypatch.setattr("syncd.store.queue.by_ids", counted)
    monkeypatch.setattr("syncd.pipeline.undoing.FLUSH", 2)
    undoing = plan_undo(site.here, run.id)

    pairs = site.rows(
        "SELECT u.undoes, u.account = o.account FROM operations u JOIN operations o ON o.id = u.undoes"
        " WHERE u.run = ? ORDER BY u.id",
        undoing.id,
    )
    assert [2, 2, 1] == looked_at[-3:]
    assert [(one.id, 1) for one in reversed(site.operations(run))] == pairs
    site.wait(seconds=1)
    site.apply(undoing)
    assert all(one.deleted for one in site.people().values())
    check_books(site)
