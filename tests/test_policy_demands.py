"""A policy asks of accounts what a sync asks: whom a platform cannot take is detained in the plan, and told why."""

import json
from typing import ClassVar

import pytest
from line_world import PLAIN, UNLIMITED, Site, plugins
from line_world import quiet as quiet  # noqa: PLC0414 - a fixture

from syncd import Field, SyncdError
from syncd.pipeline import people, queue
from syncd.pipeline.delivering import deliver, finish
from syncd.pipeline.policy import plan_policy, settle_policy, unsettled
from syncd.testing.memory import MemoryPlatform

MAP = {**PLAIN["map"], "location": "l", "role": "job"}
LACKS = "platform pbx: field phone is required and has no value; map something to it (phone by default)"
REQUIRED = [("required", "phone", LACKS, "detained")]
OPEN = {"limits": {name: UNLIMITED[name] for name in ("remove", "add", "update")}}


class Strict(MemoryPlatform):
    """Takes nobody without a telephone; of the telephone at most eight characters."""

    fields: ClassVar = {
        "login": Field("login", required=True, key=True),
        "phone": Field("phone", required=True, limit=8),
        "extension": Field("extension", key=True),
        "last_name": Field("last_name"),
    }


@pytest.fixture
def site(monkeypatch, tmp_path):
    """Ann has a telephone and Ben has none; both are accounts."""
    monkeypatch.setitem(plugins().platforms, "strict", Strict)
    made = Site(hq={"map": MAP})
    made.system = str(tmp_path)
    made.hire("ann", tel="1", l="north")
    made.hire("ben", l="north")
    made.sync()
    return made


def configure(site, *, top=None, **keys):
    """Give the people a PBX that takes nobody without a telephone."""
    pbx = {"type": "strict", "system": site.system, **OPEN, **keys}
    site.configure(top={"platform": {"pbx": pbx}, **(top or {})}, hq={"map": MAP})


def sync(site):
    """Do what the verb does."""
    settle_policy(site.here)
    run = finish(site.here, site.sync())
    deliver(site.here)
    return run


def on(site):
    """Return who is on the PBX, by name, with the telephone."""
    system = Strict(Strict.Options(system=site.system), None).system
    return {one.fields["login"]: one.fields.get("phone") for one in system.accounts.values()}


def effects(site, run):
    """Return whom a policy run is about: (login, effect, state)."""
    return [
        (site.people()[one.account].attributes["login"], json.loads(one.record)["effect"], one.state)
        for one in site.operations(run)
    ]


def test_who_lacks_what_a_new_platform_requires_is_detained_as_a_sync_would_and_the_others_appear(site):
    configure(site)
    (run,) = plan_policy(site.here)

    assert [("ann", "appear", "planned"), ("ben", "appear", "detained")] == effects(site, run)
    (_, ben) = site.operations(run)
    assert REQUIRED == ben.faults
    assert (1, 1) == (run.counts["appear:pbx"], run.counts["update"])
    settle_policy(site.here)
    deliver(site.here)
    assert {"ann": "1"} == on(site)
    assert [] == unsettled(site.here)
    site.hire("new", l="north")
    sync(site)
    (code, attribute, message, _) = site.open_one("new").faults[0]
    assert REQUIRED[0][:3] == (code, attribute, message)


def test_who_is_mended_in_the_source_appears_and_waits_for_nobody(site):
    configure(site)
    settle_policy(site.here)
    site.world().change("ben", tel="2")
    sync(site)

    assert {"ann": "1", "ben": "2"} == on(site)
    assert [] == site.operations()


def test_who_is_mended_by_hand_appears_as_well(site):
    configure(site)
    settle_policy(site.here)
    people.edit(site.here, site.person("ben").id, {"phone": "2"})
    deliver(site.here)

    assert {"ann": "1", "ben": "2"} == on(site)
    assert [] == site.operations()


def test_who_is_not_mended_is_not_tried_because_something_else_changes(site):
    configure(site)
    settle_policy(site.here)
    site.world().change("ben", sn="Berg")
    sync(site)

    assert {"ann": "1"} == on(site)
    assert [REQUIRED] == [one.faults for one in site.operations()]
    assert [("pending", None)] == site.rows(
        "SELECT state, message FROM remotes WHERE account = ?", site.person("ben").id
    )


def test_who_belongs_there_no_more_is_asked_about_no_more(site):
    configure(site, accept={"location": "north"})
    settle_policy(site.here)
    site.world().change("ben", l="south")
    sync(site)

    assert [] == site.operations()
    assert {"ann": "1"} == on(site)


def test_what_a_person_releases_is_tried(site):
    configure(site)
    settle_policy(site.here)
    (one,) = site.operations()
    queue.release(site.here, [one.id])
    deliver(site.here)

    assert {"ann", "ben"} == on(site).keys(), "the strict one is strict by its declaration alone"


def test_what_a_policy_proposes_is_not_edited(site):
    configure(site)
    settle_policy(site.here)
    (one,) = site.operations()

    with pytest.raises(SyncdError, match=f"syncd accounts edit {one.account}"):
        queue.edit(site.here, one.id, {"phone": "2"})


def test_a_role_that_is_newly_given_the_platform_is_asked_the_same(site):
    role = {"role": {"desk": {"template": "desk"}}}
    configure(site, top={"template": {"desk": {"services": []}}, **role})
    site.world().change("ben", job="desk")
    sync(site)
    assert {"ann": "1"} == on(site)
    configure(site, top={"template": {"desk": {"services": ["pbx"]}}, **role})
    (run,) = plan_policy(site.here)

    assert [("ben", "appear", "detained")] == effects(site, run)


def test_a_change_that_a_platform_cannot_take_is_withheld_until_the_person_leaves(site):
    site.world().change("ben", tel="2")
    configure(site)
    sync(site)
    configure(site, map={"phone": {"from": "extension"}})
    site.world().change("ann", ext="11")
    (run,) = plan_policy(site.here)
    told = {one.account: one.faults for one in site.operations(run)}
    assert {site.person("ann").id, site.person("ben").id} == told.keys()
    assert "platform pbx: field phone is required" in told[site.person("ben").id][0].message
    sync(site)
    assert {"ann": "11", "ben": "2"} == on(site)
    site.fire("ben")
    sync(site)

    system = Strict(Strict.Options(system=site.system), None).system
    assert {"ann": True, "ben": False} == {
        one.fields["login"]: one.enabled for one in system.accounts.values()
    }
    assert [] == site.operations()


def test_what_was_wrong_before_and_is_not_touched_is_not_held_against_a_change(site):
    site.world().change("ben", tel="2")
    configure(site)
    sync(site)
    site.database.conn.execute("UPDATE accounts SET attributes = json_remove(attributes, '$.phone')")
    site.database.conn.execute("UPDATE remotes SET delivered = json_remove(delivered, '$.fields.phone')")
    configure(site, map={"last_name": {"from": "login"}})

    (run,) = plan_policy(site.here)
    assert {"planned"} == {one.state for one in site.operations(run)}


def test_whose_values_cannot_be_mapped_is_detained_and_holds_nobody_up(site):
    site.world().change("ben", tel="x")
    site.sync()
    number = {"from": "phone", "via": ["extension-of:+49401234"]}
    site.world().change("ann", tel="+4940123411")
    site.sync()
    configure(site, map={"phone": number})
    (run,) = plan_policy(site.here)

    assert [("ann", "appear", "planned"), ("ben", "appear", "detained")] == effects(site, run)
    ((code, _, message, _),) = site.operations(run)[1].faults
    assert ("transform", True) == (code, message.startswith("platform pbx: "))
    settle_policy(site.here)
    deliver(site.here)
    assert {"ann": "11"} == on(site)


def test_who_does_not_belong_there_fails_nothing_with_values_that_cannot_be_mapped(site):
    number = {"from": "phone", "via": ["extension-of:+49401234"]}
    configure(site, accept={"location": "north"}, map={"phone": number})
    for one, tel in (("ann", "+4940123411"), ("ben", "+4940123412")):
        site.world().change(one, tel=tel)
    site.sync()
    sync(site)
    assert {"ann": "11", "ben": "12"} == on(site)
    site.world().change("ben", tel="x", l="south")
    site.hire("cas", tel="y", l="south")
    sync(site)

    assert {"ann": "11"} == on(site)
    assert [("done", None)] * 3 == site.rows("SELECT state, message FROM remotes")
    configure(site, accept={"location": "south"}, map={"phone": number})
    (run,) = plan_policy(site.here)
    expected = [("ann", "vanish", "planned"), ("ben", "appear", "detained"), ("cas", "appear", "detained")]
    assert expected == effects(site, run)


def test_of_two_enterprises_that_come_together_whoever_has_the_number_first_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setitem(plugins().platforms, "strict", Strict)
    enterprises = {"acme": {"sources": ["hq"]}, "globex": {"sources": ["lab"]}}
    site = Site(enterprises=enterprises, hq={"map": MAP}, lab={"map": MAP})
    site.system = str(tmp_path)
    site.hire("ann", ext="200", tel="1")
    site.hire("zoe", ext="200", tel="1", source="lab")
    site.hire("zac", ext="201", tel="1", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    top = {"platform": {"pbx": {"type": "strict", "system": site.system, **OPEN}}}
    site.configure(enterprises=enterprises, top=top, hq={"map": MAP}, lab={"map": MAP})
    settle_policy(site.here)
    deliver(site.here)

    ((code, name, message, held),) = [fault for one in site.operations() for fault in one.faults]
    assert ("key_taken", "extension", "detained") == (code, name, held)
    assert message.startswith(
        f"extension '200' belongs to account {site.person('ann').id} of enterprise acme"
    )
    assert {"ann", "zac"} == on(site).keys()
    site.world().change("ann", ext="202")
    for _ in range(2):
        settle_policy(site.here)
        finish(site.here, site.sync())
        deliver(site.here)
        site.wait(hours=2)
    assert {"ann", "zac", "zoe"} == on(site).keys()
    assert [] == site.operations()
