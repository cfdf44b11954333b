"""Two enterprises on one platform: what somebody of one has there as a key, a plan of the other does not take."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_world import AT_ONCE, PLAIN, Site, check_books, check_journal, check_layers
from line_world import quiet as quiet  # noqa: PLC0414 - a fixture

from syncd import SyncdError
from syncd.pipeline import people, queue, undoing
from syncd.pipeline.policy import settle_policy
from syncd.store.telephones import TELEPHONES

ENTERPRISES = {"acme": {"sources": ["hq"]}, "globex": {"sources": ["lab"]}}
MAP = {**PLAIN["map"], "location": "l", "softphone_extension": "soft"}
ALLOCATING = {
    "template": {"desk": {"allocate": {"extension": "200-"}}},
    "role": {"sales": {"template": "desk"}},
}


def opened(*, top=None, platform=None, enterprises=ENTERPRISES, **keys):
    """Return a site with an enterprise for each of two sources, both on one platform, which is in force."""
    tables = {"platform": {"pbx": {"type": "memory", **(platform or {})}}, **(top or {})}
    source = {"map": MAP, **keys}
    site = Site(enterprises=enterprises, top=tables, hq=source, lab=source)
    settle_policy(site.here)
    return site


def told(account, wanting, *, key="extension '200'", enterprise="acme"):
    """Return what the one is told whose key is an account's of another enterprise."""
    return (
        f"{key} belongs to account {account} of enterprise {enterprise}, which platform pbx serves as well, "
        f"and is wanted by {wanting}: one of both needs another one, or the platform accepts only one of them"
    )


def test_who_comes_later_is_detained_in_the_plan_and_told_whose_it_is():
    site = opened()
    site.hire("ann", ext="200")
    site.hire("zoe", ext="200", source="lab")
    site.hire("zac", ext="201", source="lab")
    site.sync()

    run = site.plan("lab")

    assert [("zac", "add", "planned"), ("zoe", "add", "detained")] == site.told(run)
    message = told(site.person("ann").id, "entry zoe of lab, Zoe (zoe)")
    assert [("key_taken", "extension", message, "detained")] == site.open_one("zoe").faults
    assert [("zac", "add", "applied"), ("zoe", "add", "detained")] == site.told(site.apply(run))
    check_books(site)


def test_the_very_same_proposal_stays_open_and_goes_on_once_the_number_is_free():
    site = opened()
    site.hire("ann", ext="200")
    site.hire("zoe", ext="200", source="lab")
    site.sync()
    site.sync("lab")
    (one,) = site.operations()

    assert [] == site.told(site.sync("lab"))
    assert [one.id] == [other.id for other in site.operations()]
    released = queue.release(site.here, [one.id])
    assert [("zoe", "add", "detained")] == site.told(released[0])

    site.world().change("ann", ext="202")
    site.sync()
    assert [("zoe", "add", "applied")] == site.told(site.sync("lab"))
    assert [] == site.operations()
    check_books(site)


def test_plans_that_were_both_made_before_either_was_applied_are_held_against_each_other_then():
    site = opened(detain="first-run")
    site.hire("ann", ext="200")
    site.hire("zoe", ext="200", source="lab")
    runs = [site.plan(), site.plan("lab")]

    assert [("zoe", "add", "planned")] == site.told(runs[1])
    for run in runs:
        site.approve(run)
    message = told(site.person("ann").id, "entry zoe of lab, Zoe (zoe)")
    assert [("key_taken", None, message, "detained")] == site.open_one("zoe").faults


def test_an_account_made_by_hand_keeps_its_number_and_takes_none():
    site = opened()
    manual = people.add(site.here, "acme", {"login": "door", "extension": "200"})
    assert "ended" == manual.state
    (door,) = site.people()
    site.hire("zoe", ext="200", source="lab")
    site.hire("zac", ext="201", source="lab")
    site.sync("lab")
    assert told(door, "entry zoe of lab, Zoe (zoe)") == site.open_one("zoe").faults[0].message

    second = people.add(site.here, "acme", {"login": "gate", "extension": "201"})
    ((_, _, message, held),) = site.operations(second)[0].faults
    zac = site.person("zac", "lab").id
    assert ("detained", told(zac, "a new account, gate", key="extension '201'", enterprise="globex")) == (
        held,
        message,
    )


def test_who_moves_onto_the_platform_brings_the_number_that_somebody_has_there():
    site = opened(platform={"accept": {"location": "north"}})
    site.hire("ann", ext="200", l="north")
    site.hire("zoe", ext="200", l="south", source="lab")
    site.hire("zac", ext="201", l="south", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    assert [] == site.operations(), "who is not on the platform may have the same number"

    for one in ("zoe", "zac"):
        site.world("lab").change(one, l="north")
    site.sync("lab")

    message = told(site.person("ann").id, "entry zoe of lab, Zoe (zoe)")
    assert [("key_taken", "extension", message, "detained")] == site.open_one("zoe").faults
    assert ("south", "north") == tuple(
        site.person(one, "lab").attributes["location"] for one in ("zoe", "zac")
    )


def test_who_moves_and_gives_the_number_up_in_the_same_breath_is_not_detained():
    site = opened(platform={"accept": {"location": "north"}})
    site.hire("ann", ext="200", l="north")
    site.hire("zoe", ext="200", l="south", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    site.world("lab").change("zoe", l="north", ext="201")

    assert [("zoe", "update", "applied")] == site.told(site.sync("lab"))


def test_who_has_had_the_number_there_is_not_detained_for_something_else():
    """Of two that both were there before, the delivery has told; a new name does not wait for that."""
    apart = {"enterprises": ["acme"]}
    site = opened(platform=apart)
    site.hire("ann", ext="200")
    site.hire("zoe", ext="200", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    site.configure(
        enterprises=ENTERPRISES,
        top={"platform": {"pbx": {"type": "memory"}}},
        hq={"map": MAP},
        lab={"map": MAP},
    )
    site.world("lab").change("zoe", sn="Zola")

    assert [("zoe", "update", "applied")] == site.told(site.sync("lab"))


@pytest.mark.parametrize(
    "apart",
    [
        {"accept": {"location": ["north"]}},
        {"map": {"login": {"from": "login"}, "extension": {"from": "phone"}}},
    ],
    ids=["served-elsewhere", "filled-from-elsewhere"],
)
def test_what_never_meets_on_the_platform_is_as_free_as_before(apart):
    site = opened(platform=apart)
    site.hire("ann", ext="200", l="north")
    site.hire("zoe", ext="200", l="south", source="lab")

    assert ["applied", "applied"] == [site.told(site.sync(one))[0][2] for one in ("hq", "lab")]


def test_a_platform_of_its_own_for_each_asks_nobody():
    platforms = {name: {"type": "memory", "enterprises": [name]} for name in ENTERPRISES}
    site = opened(top={"platform": platforms})
    site.hire("ann", ext="200")
    site.hire("zoe", ext="200", source="lab")

    assert ["applied", "applied"] == [site.told(site.sync(one))[0][2] for one in ("hq", "lab")]


def test_the_desk_phone_of_one_is_not_the_soft_phone_of_another():
    site = opened()
    site.hire("ann", ext="200")
    site.hire("zoe", soft="200", source="lab")
    site.sync()
    site.sync("lab")

    message = told(site.person("ann").id, "entry zoe of lab, Zoe (zoe)")
    assert [("key_taken", "softphone_extension", message, "detained")] == site.open_one("zoe").faults


def test_numbers_are_allocated_past_those_that_others_have_there():
    site = opened(top={**ALLOCATING, "platform": {"pbx": {"type": "memory"}}}, role="sales")
    site.hire("ann", "ben")
    site.hire("zoe", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)

    assert "202" == site.person("zoe", "lab").attributes["extension"]


def test_who_was_shown_a_number_that_another_enterprise_got_first_gets_another_when_released():
    site = opened(
        top={**ALLOCATING, "platform": {"pbx": {"type": "memory"}}}, role="sales", detain="first-run"
    )
    site.hire("ann")
    site.hire("zoe", "zac", source="lab")
    for run in [site.plan(), site.plan("lab")]:
        site.approve(run)
    assert "200" == site.person("ann").attributes["extension"]
    assert "201" == site.person("zoe", "lab").attributes["extension"]
    queue.release(site.here, [site.open_one("zac").id])

    assert "202" == site.person("zac", "lab").attributes["extension"]
    check_books(site)


def test_numbers_are_allocated_from_the_beginning_where_nobody_meets():
    platforms = {name: {"type": "memory", "enterprises": [name]} for name in ENTERPRISES}
    site = opened(top={**ALLOCATING, "platform": platforms}, role="sales")
    site.hire("ann", "ben")
    site.hire("zoe", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)

    assert "200" == site.person("zoe", "lab").attributes["extension"]


def test_what_an_undoing_would_take_back_is_detained_if_another_enterprise_has_it_by_now():
    site = opened()
    site.hire("ann", ext="200")
    site.sync()
    site.world().change("ann", ext="201")
    changed = site.sync()
    site.hire("zoe", ext="200", source="lab")
    site.sync("lab")

    undone = undoing.plan_undo(site.here, changed.id)

    zoe, ann = site.person("zoe", "lab").id, site.person("ann").id
    ((code, _, message, _),) = site.operations(undone)[0].faults
    wanting = "entry ann of hq, Ann (ann)"
    assert ("key_taken", told(zoe, wanting, enterprise="globex")) == (code, message)
    assert "201" == site.people()[ann].attributes["extension"]


SOURCE, WHO = st.sampled_from(["hq", "lab"]), st.sampled_from("ab")
NUMBER = st.sampled_from(["1", "2"])
SAYS = st.fixed_dictionaries(
    {"ext": NUMBER, "l": st.sampled_from(["north", "south"])}, optional={"soft": NUMBER}
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["plan", "sync"]), SOURCE, WHO, SAYS),
        st.tuples(st.just("leave"), SOURCE, WHO),
        st.tuples(st.sampled_from(["approve", "release", "undo"])),
    ),
    min_size=10,
    max_size=20,
)


@settings(max_examples=30, deadline=None)
@given(
    steps=STEPS, leavers=st.sampled_from(["delete", "disable"]), detain=st.sampled_from(["never", "always"])
)
def test_whatever_happens_no_two_people_have_one_number_where_they_meet(steps, leavers, detain):
    site = opened(
        platform={"accept": {"location": "north"}}, detain=detain, leavers={**AT_ONCE, "missing": leavers}
    )
    for name in ("hq", "lab"):
        site.hire("rock", source=name, l="south")
    for step in steps:
        with suppress(SyncdError):  # there is nothing to undo, or to release as it is
            done(site, *step)
        site.wait(hours=1)
        there = [
            number
            for one in site.people().values()
            if not one.deleted and one.attributes["location"] == "north"
            for number in {one.attributes.get(name) for name in TELEPHONES} - {None}
        ]
        assert sorted(set(there)) == sorted(there)
    assert site.claimed() == site.taken()
    check_layers(site)
    check_journal(site)


def done(site, verb, source="", who="", values=None):
    """Do one step of a history."""
    if verb in ("plan", "sync"):
        if who in site.world(source).people:
            site.world(source).change(who, **{"soft": "", **values})
        else:
            site.hire(who, source=source, uid=f"{source}-{who}", mail="", **values)
        getattr(site, verb)(source, full=True)
    elif verb == "leave":
        site.fire(*({who} & site.world(source).people.keys()), source=source)
        site.sync(source)
    elif verb == "release":
        queue.release(site.here, [one.id for one in site.operations()][:1])
    else:
        state = "state = 'ended' AND same_as IS NULL" if verb == "undo" else "state IN ('planned','held')"
        for (run,) in site.rows(f"SELECT id FROM runs WHERE {state} ORDER BY id DESC LIMIT 2"):
            site.apply(undoing.plan_undo(site.here, run)) if verb == "undo" else site.approve(site.run(run))
