"""An entry of a source that only adds, and whose account it is: asked where the keys do not agree, and what follows."""

import pytest
from line_world import Site, check_books, quiet  # noqa: F401

from syncd.pipeline import queue
from syncd.pipeline.undoing import plan_undo
from syncd.pipeline.unlinking import unlink

PHONES = {
    "owns": False,
    "match": ["login", "email"],
    "map": {"login": "uid", "email": "mail", "phone": "tel"},
}


@pytest.fixture
def site():
    """p000, p001 and p002 are accounts 1, 2 and 3; the phone book has the first of them."""
    made = Site(hq={}, phones=PHONES)
    made.hired(3)
    made.hire("a", source="phones", uid="p000", mail="", tel="1")
    made.sync("phones")
    yield made
    check_books(made)
    made.database.close()


def phones(site):
    return {number: person.attributes.get("phone") for number, person in site.people().items()}


def asked(site, anchor="a"):
    """Return whose account a proposal is for, and why it waits."""
    one = site.open_one(anchor)
    return one.account, one.state, [fault.message for fault in one.faults]


def renamed(site):
    """The entry of p000 is that of p001 by now."""
    site.world("phones").change("a", uid="p001", tel="2")
    site.sync("phones")
    return site


BOTH = "login is that of account 2; the entry is linked to account 1"


def test_an_entry_that_was_given_to_somebody_else_takes_its_values_nowhere_before_a_person_says_so(site):
    renamed(site)

    assert (1, "detained", [BOTH]) == asked(site)
    assert {1: "1", 2: None, 3: None} == phones(site)
    site.sync("phones", full=True)
    assert (1, "detained", [BOTH]) == asked(site)


def test_released_it_stays_where_it_is_and_is_not_asked_again(site):
    queue.release(renamed(site).here, [site.open_one("a").id])

    assert {1: "2", 2: None, 3: None} == phones(site)
    site.world("phones").change("a", tel="3")
    assert [("a", "update", "applied")] == site.told(site.sync("phones"))
    assert {1: "3", 2: None, 3: None} == phones(site)


def test_unlinked_it_goes_to_whom_its_keys_name(site):
    unlink(renamed(site).here, 1, "phones")
    site.sync("phones", full=True)

    assert {1: None, 2: "2", 3: None} == phones(site)
    assert [] == site.operations()


def test_it_is_asked_no_longer_once_the_entry_has_its_own_keys_again(site):
    renamed(site).world("phones").change("a", uid="p000")
    site.sync("phones")

    assert {1: "2", 2: None, 3: None} == phones(site)
    assert [] == site.operations()


def test_it_is_asked_no_longer_once_the_directory_that_owns_has_renamed_them_too(site):
    renamed(site)
    site.world().change("p001", uid="p001-new")
    site.world().change("p000", uid="p001")
    site.sync()
    site.sync("phones", full=True)

    assert {1: "2", 2: None, 3: None} == phones(site)
    assert [] == site.operations()


def test_names_and_addresses_that_nobody_else_has_are_no_question(site):
    site.world("phones").change("a", uid="P000", mail="else@acme.example", tel="2")
    site.sync("phones")
    site.world("phones").change("a", uid="nobody", tel="3")
    site.sync("phones")

    assert {1: "3", 2: None, 3: None} == phones(site)
    assert [] == site.operations()


def test_an_entry_between_two_accounts_is_asked_and_released_it_joins_the_first_key(site):
    site.hire("x", source="phones", uid="p001", mail="p002@acme.example", tel="9")
    site.sync("phones")

    assert (2, "detained", ["login is that of account 2; email is that of account 3"]) == asked(site, "x")
    (run,) = queue.release(site.here, [site.open_one("x").id])
    assert {1: "1", 2: "9", 3: None} == phones(site)
    assert [] == site.operations(site.sync("phones", full=True))
    site.apply(plan_undo(site.here, run.id))
    assert {1: "1", 2: None, 3: None} == phones(site)


def test_released_it_takes_the_place_of_the_entry_that_was_linked(site):
    site.hire("x", source="phones", uid="p000", mail="p002@acme.example", tel="9")
    site.sync("phones")

    whose = "login is that of account 1; email is that of account 3; account 1 is linked to a"
    assert (1, "detained", [whose]) == asked(site, "x")
    queue.release(site.here, [site.open_one("x").id])
    assert {1: "9", 2: None, 3: None} == phones(site)
    assert ["x"] == list(site.linked("phones"))


@pytest.mark.parametrize(
    ("source", "change", "expected"),
    [
        ("hq", {"uid": "other", "tel": "5"}, 0),
        ("phones", {"tel": "5"}, 0),
        ("phones", {"uid": "other", "tel": "5"}, 1),
    ],
    ids=["of an owner", "its keys are as before", "another key"],
)
def test_whose_keys_they_are_is_looked_up_only_for_what_an_added_layer_says_anew(
    site, source, change, expected
):
    site.world(source).change({"hq": "p000", "phones": "a"}[source], **change)
    asked = []
    site.database.conn.set_trace_callback(asked.append)
    site.plan(source)
    site.database.conn.set_trace_callback(None)

    assert expected == sum("SELECT folded, account FROM keys" in one for one in asked)


@pytest.mark.parametrize(("changed", "state"), [(9, "ended"), (10, "held")])
def test_a_source_that_only_adds_may_change_the_usual_part_of_those_whom_it_adds_to(changed, state):
    site = Site(hq={}, phones={**PHONES, "limits": {}})
    anchors = site.hired(30)
    for anchor in anchors:
        site.hire(anchor, source="phones", tel="1")
    site.sync("phones")
    for anchor in anchors[:changed]:
        site.world("phones").change(anchor, tel="2")

    assert state == site.sync("phones").state
    assert state == ("ended" if "2" in phones(site).values() else "held")


def test_a_source_that_only_adds_and_is_empty_takes_nothing_away(site):
    site.configure(hq={}, phones={**PHONES, "limits": {}})
    site.fire("a", source="phones")
    run = site.sync("phones")

    assert ("held", ["source-empty"]) == (run.state, [one.code for one in run.objections])
    assert {1: "1", 2: None, 3: None} == phones(site)


def test_who_is_only_in_a_source_that_only_adds_is_counted_at_each_read_until_there_is_an_account(site):
    site.hire("x", source="phones", uid="new", mail="new@acme.example", tel="9")
    alone = [site.sync("phones").counts["unmatched"] for _ in range(2)]
    site.hire("p003", uid="new")
    site.sync()

    assert [1, 1, 0] == [*alone, site.sync("phones").counts["unmatched"]]
    assert "9" == site.person("p003").attributes["phone"]


def discarded(site, run):
    queue.discard(site.here, [one.id for one in site.operations(run)])


def undone(site, run):
    site.apply(plan_undo(site.here, run.id))


ASKS = {"map": {**PHONES["map"], "phone": {"from": "tel", "policy": "detain"}}}


@pytest.mark.parametrize(
    ("phone_book", "refuse"),
    [({"detain": "always"}, discarded), (ASKS, discarded), ({}, undone)],
    ids=["a held plan", "detained", "applied"],
)
def test_what_was_refused_of_one_source_stays_so_whatever_another_says(site, phone_book, refuse):
    site.configure(hq={}, phones={**PHONES, **phone_book})
    site.world("phones").change("a", tel="2")
    refuse(site, site.sync("phones"))
    site.world().change("p000", tel="100")
    site.sync()
    first = site.sync("phones", full=True)
    site.world().change("p000", tel="")
    site.sync()
    second = site.sync("phones", full=True)

    assert [[], []] == [site.operations(first), site.operations(second)]
    assert {1: "1", 2: None, 3: None} == phones(site)
    site.world("phones").change("a", tel="3")
    assert [("a", "update")] == [one[:2] for one in site.told(site.sync("phones"))]


def test_an_entry_that_is_gone_and_stays_linked_is_not_asked_again_when_another_source_speaks(site):
    site.hire("b", source="phones", uid="p001", mail="", tel="")
    site.sync("phones")
    site.fire("a", source="phones")
    undone(site, site.sync("phones"))
    site.world().change("p000", tel="100")
    site.sync()

    assert [] == site.operations(site.sync("phones", full=True))
    site.world().change("p000", tel="")
    site.sync()
    assert {1: "1", 2: None, 3: None} == phones(site)
