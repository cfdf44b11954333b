"""Extensions on the nodes themselves: nobody's telephone is taken over, whoever else is there."""

from __future__ import annotations

import pytest
from line_world import PLAIN, Site, plugins
from line_world import quiet as quiet  # noqa: PLC0414 - a fixture
from servers.nodes import sqlite_database

from syncd.errors import Unavailable
from syncd.pipeline import people, queue
from syncd.pipeline.delivering import deliver
from syncd.pipeline.policy import settle_policy
from syncd.store import placements
from syncd_pbx.asterisk import AsteriskPlatform

ALLOCATING = {
    "template": {"desk": {"allocate": {"extension": "200-"}}},
    "role": {"sales": {"template": "desk"}},
}


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setitem(plugins().platforms, "asterisk", AsteriskPlatform)
    return sqlite_database(tmp_path / "north.sqlite")


def opened(**configuration):
    """Return a site whose platforms are in force."""
    site = Site(**configuration)
    settle_policy(site.here)
    return site


def platform(node, **more):
    return {"platform": {"north": {"type": "asterisk", "url": node.url, **more}}}


def names(node):
    """Return who calls from which extension, by the endpoints of the node."""
    return {one["id"]: one["callerid"] for one in node.rows("ps_endpoints")}


def states(site, platform="north"):
    return {
        account: (state, message)
        for account, state, message in site.rows(
            "SELECT account, state, message FROM remotes WHERE platform = ?", platform
        )
    }


def by_hand(node, extension="200"):
    """Put a telephone into the node that syncd has not made."""
    node.insert("ps_endpoints", id=extension, aors=extension, auth=extension, callerid='"Door" <200>')
    node.insert("ps_auths", id=extension, auth_type="userpass", username=extension, password="secret of door")
    node.insert("ps_aors", id=extension, max_contacts=1)


def deliver_unheard(site, monkeypatch, heard=0):
    """Let the platforms do all that is due, and nobody hear of it but the first; two hours pass."""
    done = AsteriskPlatform.deliver

    def unheard(platform, deliveries):
        yield from [*done(platform, deliveries)][:heard]
        raise Unavailable("the answer was lost")

    with monkeypatch.context() as once:
        once.setattr(AsteriskPlatform, "deliver", unheard)
        deliver(site.here)
    site.wait(hours=2)


# --- what somebody has put there by hand ---


def test_a_number_that_was_allocated_never_takes_over_a_telephone_that_is_there(node):
    by_hand(node)
    before = node.everything()
    site = opened(top={**ALLOCATING, **platform(node)}, hq={"role": "sales"})
    site.hire("ann", "ben", display_name="x")
    site.sync()

    (report,) = deliver(site.here).values()

    assert (1, 1) == (report.confirmed, report.failed)
    state, message = states(site)[site.person("ann").id]
    assert "failed" == state
    assert message.startswith(
        "200 is there already and has no account; what was allocated as free is not taken"
    )
    after = node.everything()
    assert before == {
        table: [row for row in rows if "201" not in row.values()] for table, rows in after.items()
    }
    assert {"200", "201"} == set(names(node))


def test_a_soft_telephone_of_the_source_makes_no_number_that_was_allocated_less_doubtful(node):
    by_hand(node)
    before = node.everything()
    mapping = {**PLAIN["map"], "softphone_extension": "soft"}
    site = opened(top={**ALLOCATING, **platform(node, softphone={})}, hq={"role": "sales", "map": mapping})
    site.hire("ann", soft="900")
    site.sync()

    (report,) = deliver(site.here).values()

    assert (0, 1) == (report.confirmed, report.failed)
    assert before == node.everything()


def test_who_is_given_another_number_gets_a_telephone(node):
    by_hand(node)
    site = opened(top={**ALLOCATING, **platform(node)}, hq={"role": "sales"})
    site.hire("ann")
    site.sync()
    deliver(site.here)

    people.edit(site.here, site.person("ann").id, {"extension": "250"})
    deliver(site.here)

    assert "done" == states(site)[site.person("ann").id][0]
    assert {"200", "250"} == set(names(node))
    assert '"Door" <200>' == names(node)["200"]


def test_a_person_can_say_that_the_telephone_is_just_theirs(node):
    by_hand(node)
    site = opened(top={**ALLOCATING, **platform(node)}, hq={"role": "sales"})
    site.hire("ann")
    site.sync()
    deliver(site.here)
    placements.retry(site.database)
    deliver(site.here)
    assert "failed" == states(site)[site.person("ann").id][0]

    people.edit(site.here, site.person("ann").id, {"extension": "200"})
    placements.retry(site.database)
    deliver(site.here)

    assert ("done", None) == states(site)[site.person("ann").id]


def test_a_number_that_the_source_has_adopts_what_is_there(node):
    """The company's records say whose it is."""
    by_hand(node)
    site = opened(top={**ALLOCATING, **platform(node)}, hq={"role": "sales"})
    site.hire("ann", ext="200")
    site.sync()

    deliver(site.here)

    assert ("done", None) == states(site)[site.person("ann").id]
    assert "secret of door" == node.one("ps_auths", id="200")["password"]


def test_who_moves_to_a_node_takes_over_nothing_there(node, tmp_path):
    south = sqlite_database(tmp_path / "south.sqlite")
    by_hand(south)
    nodes = {
        name: {"type": "asterisk", "url": one.url, "accept": {"location": name}}
        for name, one in (("north", node), ("south", south))
    }
    mapped = {"map": {**PLAIN["map"], "location": "l"}}
    site = opened(top={**ALLOCATING, "platform": nodes}, hq={"role": "sales", **mapped})
    site.hire("ann", l="north")
    site.sync()
    deliver(site.here)
    site.world().change("ann", l="south")
    site.sync()

    deliver(site.here)

    assert {"200"} == set(names(node)), "who is not there yet stays where they are"
    assert '"Door" <200>' == names(south)["200"]
    assert "failed" == states(site, "south")[site.person("ann").id][0]


# --- two enterprises on one node ---


ENTERPRISES = {"acme": {"sources": ["hq"]}, "globex": {"sources": ["lab"]}}


def two(node, **more):
    """Return a site with an enterprise for each of two sources, both on one node."""
    return opened(top=platform(node, **more), enterprises=ENTERPRISES, hq={}, lab={})


def sharing(node):
    """Return a site on whose node an enterprise comes later, with somebody who has a number of the other.

    A person has not heeded that.
    """
    site = two(node, enterprises=["acme"])
    site.hire("ann", ext="200")
    site.hire("zoe", ext="200", source="lab")
    site.hire("zac", ext="201", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    deliver(site.here)
    site.configure(top=platform(node), enterprises=ENTERPRISES, hq={}, lab={})
    settle_policy(site.here)
    queue.release(site.here, [one.id for one in site.operations()])
    return site


def test_of_two_enterprises_only_one_has_a_number_on_a_node(node):
    site = sharing(node)

    (report,) = deliver(site.here).values()

    ann, zoe = site.person("ann").id, site.person("zoe", "lab").id
    assert (1, 1, 0) == (report.confirmed, report.waiting, report.failed)
    assert ("done", None) == states(site)[ann]
    state, message = states(site)[zoe]
    assert "waiting" == state
    assert message.startswith(f"blocked: extension '200' belongs to account {ann} of enterprise acme")
    assert {"200", "201"} == set(names(node))
    assert [(ann,)] == site.rows("SELECT account FROM remotes WHERE remote_id = '200'")


@pytest.mark.parametrize("way", ["another number", "gone"])
def test_the_other_one_gets_it_once_it_is_free(node, way):
    site = sharing(node)
    deliver(site.here)
    if way == "another number":
        site.world().change("ann", ext="202")
        site.sync()
    else:
        people.delete(site.here, site.person("ann").id)

    for _ in range(2):
        site.wait(hours=2)
        deliver(site.here)

    assert ("done", None) == states(site)[site.person("zoe", "lab").id]
    assert ({"200", "201", "202"} if way == "another number" else {"200", "201"}) == set(names(node))


def test_who_is_planned_with_a_number_that_another_enterprise_has_just_given_up_waits_for_the_node(node):
    site = two(node)
    site.hire("ann", ext="200")
    site.sync()
    deliver(site.here)
    site.world().change("ann", ext="202")
    site.hire("zoe", ext="200", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    assert [] == site.operations()

    for _ in range(2):
        deliver(site.here)
        site.wait(hours=2)

    assert {"200", "202"} == set(names(node))
    assert ("200",) == site.rows(
        "SELECT remote_id FROM remotes WHERE account = ?", site.person("zoe", "lab").id
    )[0]


def test_a_number_of_another_enterprise_is_not_renamed_to_either(node):
    site = two(node)
    site.hire("ann", ext="200")
    site.hire("zoe", ext="201", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    deliver(site.here)
    site.world("lab").change("zoe", ext="200")
    site.sync("lab")

    deliver(site.here)

    assert ["key_taken"] == [fault.code for fault in site.open_one("zoe").faults]
    assert {"200", "201"} == set(names(node))


def test_enterprises_on_nodes_of_their_own_have_the_same_numbers(node, tmp_path):
    south = sqlite_database(tmp_path / "south.sqlite")
    nodes = {
        name: {"type": "asterisk", "url": one.url, "enterprises": [enterprise]}
        for name, one, enterprise in (("north", node, "acme"), ("south", south, "globex"))
    }
    site = opened(top={"platform": nodes}, enterprises=ENTERPRISES, hq={}, lab={})
    site.hire("ann", ext="200")
    site.hire("zoe", ext="200", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)

    reports = deliver(site.here)

    assert [1, 1] == [one.confirmed for one in reports.values()]
    assert {"200"} == set(names(node)) == set(names(south))


def test_a_node_that_nobody_is_left_on_is_not_taken_for_a_lost_one_when_its_answer_was(node, monkeypatch):
    """The last one has gone, and nobody heard that it was done; the node takes whoever comes next."""
    site = two(node)
    site.hire("ann", ext="200")
    site.sync()
    deliver(site.here)
    people.delete(site.here, site.person("ann").id)

    deliver_unheard(site, monkeypatch)
    assert {} == names(node)
    site.hire("eve", ext="201")
    site.sync()
    deliver(site.here)

    assert {"201"} == set(names(node))
    assert {("done", None)} == set(states(site).values())


OWNED = {"columns": {"accountcode": "login"}}


def owners(node):
    """Return whose the extensions of the node are."""
    return {one["id"]: one["accountcode"] for one in node.rows("ps_endpoints")}


def test_a_number_that_another_enterprise_was_to_have_and_nobody_heard_of_is_looked_up_first(
    node, monkeypatch
):
    """Zoe may have 200 on the node: were Ann to get it before that is known, her telephone would be taken for Zoe's."""
    site = two(node, **OWNED)
    site.hire("zoe", ext="200", source="lab")
    site.sync("lab")
    deliver_unheard(site, monkeypatch)
    site.world("lab").change("zoe", ext="202")
    site.sync("lab")
    site.hire("ann", ext="200")
    site.sync()

    for _ in range(2):
        deliver(site.here)
        site.wait(hours=2)

    assert {"200": "ann", "202": "zoe"} == owners(node)
    assert {("done", None)} == set(states(site).values())


def test_what_two_enterprises_exchange_one_after_the_other_while_the_node_is_down_is_exchanged_there(node):
    site = two(node, **OWNED)
    site.hire("ann", ext="200")
    site.hire("zoe", ext="201", source="lab")
    for source in ("hq", "lab"):
        site.sync(source)
    deliver(site.here)
    for source, anchor, number in (("hq", "ann", "203"), ("lab", "zoe", "200"), ("hq", "ann", "201")):
        site.world(source).change(anchor, ext=number)
        site.sync(source)
    assert [] == site.operations()
    said = [one.message for one in placements.pending(site.database, site.here.clock())]
    assert [True, True] == ["that the platform still has under account" in text for text in said]

    deliver(site.here)

    assert {"200": "zoe", "201": "ann"} == owners(node)
    assert {("done", None)} == set(states(site).values())


def test_nobody_takes_the_telephone_of_an_enterprise_that_the_node_serves_no_more(node):
    """A guard has detained that Ann vanishes: she still has her telephone."""
    site = two(node, **OWNED)
    site.hire("ann", ext="200")
    site.sync()
    deliver(site.here)
    only = platform(node, enterprises=["globex"], limits={"remove": {"count": 0}}, **OWNED)
    site.configure(top=only, enterprises=ENTERPRISES, hq={}, lab={})
    settle_policy(site.here)
    site.hire("zoe", ext="200", source="lab")
    site.sync("lab")

    deliver(site.here)

    assert {"200": "ann"} == owners(node)
    state, message = states(site)[site.person("zoe", "lab").id]
    assert ("waiting", True) == (
        state,
        message.endswith("of enterprise acme, who is still on platform north"),
    )


def test_who_got_a_number_unheard_is_not_taken_for_who_has_the_one_that_comes_next(node, monkeypatch):
    """Ann has 203 on the node, and nobody knows; by now she is to exchange it for Bob's."""
    site = opened(top=platform(node, **OWNED))
    site.hire("ann", ext="201")
    site.hire("bob", ext="202")
    site.sync()
    deliver(site.here)
    site.world().change("ann", ext="203")
    site.sync()
    deliver_unheard(site, monkeypatch)
    site.world().change("ann", ext="202")
    site.world().change("bob", ext="203")
    site.sync()

    deliver(site.here)

    assert {"202": "ann", "203": "bob"} == owners(node)
    assert {("done", None)} == set(states(site).values())


def test_who_is_to_exchange_numbers_before_being_on_the_node_takes_nobodys_telephone(node):
    site = opened(top=platform(node, **OWNED))
    site.hire("bob", ext="201")
    site.hire("eve", ext="202")
    site.sync()
    deliver(site.here)
    site.hire("zoe", ext="203")
    site.sync()
    for anchor, number in {"bob": "202", "eve": "203", "zoe": "201"}.items():
        site.world().change(anchor, ext=number)
    site.sync()

    deliver(site.here)

    assert {"201": "zoe", "202": "bob", "203": "eve"} == owners(node)
    assert {("done", None)} == set(states(site).values())


@pytest.mark.parametrize("after", ["201", "204"])
def test_of_two_who_exchanged_numbers_and_only_one_was_heard_of_both_are_found(node, monkeypatch, after):
    site = opened(top=platform(node, **OWNED))
    site.hire("ann", ext="201")
    site.hire("bob", ext="202")
    site.sync()
    deliver(site.here)
    site.world().change("ann", ext="202")
    site.world().change("bob", ext="201")
    site.sync()
    deliver_unheard(site, monkeypatch, heard=1)
    assert {"202": "ann", "201": "bob"} == owners(node)
    if after == "204":
        site.world().change("bob", ext="204")
        site.sync()

    deliver(site.here)

    assert {"202": "ann", after: "bob"} == owners(node)
    assert {("done", None)} == set(states(site).values())


def test_who_left_with_another_number_and_could_not_be_deleted_is_found_each_time(node, monkeypatch):
    """What nobody finds counts as deleted: it is to be sought by the number that it has on the node."""
    site = opened(top=platform(node, **OWNED))
    site.hire("ann", ext="201")
    site.sync()
    deliver(site.here)
    site.world().change("ann", ext="202")
    site.sync()
    people.delete(site.here, site.person("ann").id)

    def away(_platform, deliveries):
        list(deliveries)
        raise Unavailable("no route to host")

    for _ in range(2):
        with monkeypatch.context() as down:
            down.setattr(AsteriskPlatform, "deliver", away)
            deliver(site.here)
        assert {"201": "ann"} == owners(node)
        site.wait(hours=2)
    deliver(site.here)

    assert {} == owners(node)
