"""Keys that go from an account of one platform to an account of another, whichever of them is down."""

import sys
from typing import Any

import pytest
from distribution_world import Clock, Company, Desk, deliver, lane
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.distribution import retry
from syncd.distribution.claims import giving_way
from syncd.errors import Rejected, Unavailable
from syncd.services import Service
from syncd.store.placements import pending

FIELDS = tuple(Desk().fields)


class Nodes:
    """Two nodes, each with the people of its own location, unless both have ``everybody``."""

    def __init__(self, folder, *, everybody=False):
        names = ("north", "south")
        self.company = Company(folder / "syncd.db", *names)
        self.desks = {name: Desk() for name in names}
        self.clock = Clock()
        self.lanes = {
            name: lane(
                desk,
                name,
                service=Service(
                    name=name, accept={} if everybody else {"location": frozenset({name})}
                ),
            )
            for name, desk in self.desks.items()
        }  # fmt: skip

    def person(self, place, number):
        return self.company.add(extension=str(number), location=place)

    def down(self, name):
        def away(method, subject):
            raise Unavailable("no route to host")

        self.desks[name].before = away

    def up(self):
        for desk in self.desks.values():
            desk.before = desk.after = lambda method, subject: None

    def deliver(self, *names, **more):
        """Deliver to all platforms, or to those that are configured; an hour later than before."""
        self.clock.advance(3700)
        lanes = [self.lanes[name] for name in names or self.lanes]
        return deliver(self.company, *lanes, clock=self.clock, **more)

    def numbers(self, name):
        """Return the numbers of a node by the account that has them."""
        return {int(one.key): one.fields.get("extension") for one in self.desks[name].accounts.values()}


@pytest.fixture
def nodes(tmp_path):
    made = Nodes(tmp_path)
    yield made
    made.company.database.close()


@pytest.fixture
def pair(nodes):
    """Ann has 4001 in the north, Bob 4002 in the south; now Ann gets 4003, and Bob 4001."""
    ann, bob = nodes.person("north", 4001), nodes.person("south", 4002)
    nodes.deliver()
    nodes.company.change_all({ann: {"extension": "4003"}, bob: {"extension": "4001"}})
    return ann, bob


def test_a_number_stays_that_of_who_had_it_while_their_node_is_down(nodes, pair):
    ann, bob = pair
    nodes.down("north")

    reports = nodes.deliver()

    assert ({ann: "4001"}, {bob: "4002"}) == (nodes.numbers("north"), nodes.numbers("south"))
    row = nodes.company.remote(bob, "south")
    assert ("waiting", 0, None) == (row["state"], row["attempts"], row["next_try"])
    assert f"waits: account {ann} has yet to give up extension '4001' on platform north" == row["message"]
    assert (1, "unavailable") == (reports["south"].held, reports["north"].stopped)

    nodes.up()
    reports = nodes.deliver()

    assert ({ann: "4003"}, {bob: "4001"}) == (nodes.numbers("north"), nodes.numbers("south"))
    assert (0, None) == (reports["south"].held, nodes.company.remote(bob, "south")["message"])
    assert [] == nodes.company.conn.execute("SELECT * FROM keys WHERE releasing <> 0").fetchall()


def test_nobody_is_told_to_wait_for_what_was_confirmed_since(nodes, pair):
    """Bob's own node has not been asked since."""
    ann, _ = pair
    nodes.down("north")
    nodes.deliver()
    nodes.up()
    assert [f"waits: account {ann} has yet to give up extension '4001' on platform north"] == waits(nodes)

    nodes.deliver("north", apart=[nodes.lanes["south"]])

    assert [None] == waits(nodes)


def waits(nodes):
    """Return what people are told of those who are not done."""
    return [one.message for one in pending(nodes.company.database, nodes.clock()) if one.platform == "south"]


def test_it_is_given_up_before_it_is_taken_where_all_nodes_are_up(nodes, pair):
    order: list[tuple[str, str]] = []
    for name, desk in nodes.desks.items():
        desk.after = lambda method, subject, name=name: order.append((name, method))

    nodes.deliver()

    assert [("north", "update"), ("south", "update")] == order


def test_the_number_of_who_left_waits_for_the_node_that_still_has_them(nodes):
    ann = nodes.person("north", 4001)
    nodes.deliver()
    nodes.company.delete(ann)
    bob = nodes.person("south", 4001)
    nodes.down("north")
    nodes.deliver()
    assert {} == nodes.numbers("south")

    nodes.up()
    nodes.deliver()

    assert ({}, {bob: "4001"}) == (nodes.numbers("north"), nodes.numbers("south"))


def test_a_node_that_is_not_configured_any_more_is_not_waited_for(nodes, pair):
    """Somebody has taken the table of a dead node out of the configuration."""
    nodes.deliver("south")

    assert {pair[1]: "4001"} == nodes.numbers("south")


@pytest.mark.parametrize("everybody", [False, True])
def test_a_node_that_gets_nothing_until_its_policy_is_applied_is_waited_for(tmp_path, everybody):
    nodes = Nodes(tmp_path, everybody=everybody)
    ann, bob = nodes.person("north", 4001), nodes.person("south", 4002)
    nodes.deliver()
    nodes.company.change_all({ann: {"extension": "4003"}, bob: {"extension": "4001"}})
    nodes.deliver("south", apart=[nodes.lanes["north"]])

    assert "4002" == nodes.numbers("south")[bob]

    nodes.deliver()
    assert "4001" == nodes.numbers("south")[bob]


def test_nobody_leaves_for_a_node_that_gets_nothing_until_its_policy_is_applied(nodes):
    ann = nodes.person("north", 4001)
    nodes.deliver()
    nodes.company.change(ann, location="south")
    nodes.deliver("north", apart=[nodes.lanes["south"]])

    assert {ann: "4001"} == nodes.numbers("north")
    assert "waits: it has yet to arrive on platform south" == nodes.company.remote(ann, "north")["message"]

    nodes.deliver()
    assert ({}, {ann: "4001"}) == (nodes.numbers("north"), nodes.numbers("south"))


def test_who_leaves_does_not_wait_for_the_number_of_another_node(nodes, pair):
    _, bob = pair
    nodes.company.disable(bob)
    nodes.down("north")
    nodes.deliver()
    assert [False] == [one.enabled for one in nodes.desks["south"].accounts.values()]

    nodes.company.disable(bob, None)
    nodes.deliver()
    assert [False] == [one.enabled for one in nodes.desks["south"].accounts.values()]

    nodes.up()
    nodes.deliver()
    assert nodes.company.wanted(FIELDS) == nodes.desks["north"].there() | nodes.desks["south"].there()


@pytest.mark.parametrize("refused", [False, True])
def test_who_never_had_a_number_on_a_node_is_not_waited_for_there(nodes, refused):
    ann = nodes.person("north", 4001)
    if refused:
        nodes.desks["north"].before = refusing("add")
        nodes.deliver()
        assert "failed" == nodes.company.remote(ann, "north")["state"]
    nodes.down("north")
    nodes.company.change(ann, extension="4003")
    bob = nodes.person("south", 4001)
    nodes.deliver()

    assert {bob: "4001"} == nodes.numbers("south")


def test_what_else_is_late_on_a_node_holds_nobody_up(nodes):
    """Another platform has yet to confirm that Ann gave her number up; this one has, and has yet to get her new name."""
    ann, bob = nodes.person("north", 4001), nodes.person("south", 4002)
    nodes.deliver()
    nodes.company.change(ann, extension="4003")
    nodes.deliver()
    with nodes.company.database.transaction() as conn:
        conn.execute("INSERT INTO keys VALUES ('extension', '4001', 'acme', ?, ?)", (ann, ann))
    nodes.company.change_all({ann: {"display_name": "Ann"}, bob: {"extension": "4001"}})
    nodes.down("north")
    nodes.deliver()

    assert {bob: "4001"} == nodes.numbers("south")


def refusing(wanted):
    def hook(method, subject):
        if method == wanted:
            raise Rejected("no")

    return hook


class TestCircles:
    def test_those_who_exchange_their_numbers_across_nodes_get_them(self, nodes):
        ann, bob = nodes.person("north", 4001), nodes.person("south", 4002)
        nodes.deliver()
        nodes.company.change_all({ann: {"extension": "4002"}, bob: {"extension": "4001"}})

        nodes.deliver()

        assert ({ann: "4002"}, {bob: "4001"}) == (nodes.numbers("north"), nodes.numbers("south"))

    def test_they_keep_their_old_ones_while_one_of_the_nodes_is_down(self, nodes):
        ann, bob = nodes.person("north", 4001), nodes.person("south", 4002)
        nodes.deliver()
        nodes.company.change_all({ann: {"extension": "4002"}, bob: {"extension": "4001"}})
        nodes.down("north")
        nodes.deliver()

        assert ({ann: "4001"}, {bob: "4002"}) == (nodes.numbers("north"), nodes.numbers("south"))

        nodes.up()
        nodes.deliver()
        assert ({ann: "4002"}, {bob: "4001"}) == (nodes.numbers("north"), nodes.numbers("south"))

    @pytest.mark.parametrize("required", [(), ("extension",)])
    def test_nodes_that_both_have_everybody_exchange_numbers_one_by_one(self, tmp_path, required):
        nodes = Nodes(tmp_path, everybody=True)
        for name in nodes.desks:
            desk = nodes.desks[name] = Desk(required=required, unique=not required)
            nodes.lanes[name] = lane(desk, name, service=Service(name=name))
        people = [nodes.person("north", 4000 + number) for number in range(40)]
        nodes.deliver()
        wanted = {one: str(4000 + (number + 1) % 40) for number, one in enumerate(people)}
        nodes.company.change_all({one: {"extension": number} for one, number in wanted.items()})
        nodes.deliver()

        assert [wanted, wanted] == [nodes.numbers(name) for name in ("north", "south")]
        assert {"done": 40} == nodes.company.states("north") == nodes.company.states("south")


STEPS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(["north", "south"]), st.integers(0, 5)),
    st.tuples(st.just("swap"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("number"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("move"), st.integers(0, 5), st.sampled_from(["north", "south"])),
    st.tuples(st.just("disable"), st.integers(0, 5), st.sampled_from(["source", None])),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("deliver"), st.sampled_from(["", "north", "south"]), st.integers(0, 6)),
)


@settings(max_examples=60)
@given(steps=st.lists(STEPS, min_size=5, max_size=25), everybody=st.booleans())
def test_whatever_happens_everybody_ends_with_their_number_on_their_node(tmp_path_factory, steps, everybody):
    nodes = Nodes(tmp_path_factory.mktemp("any"), everybody=everybody)
    people: dict[int, Any] = {}
    try:
        for step in steps:
            _do(nodes, people, step)
        for _ in range(4):
            nodes.up()
            retry(nodes.company.database)
            nodes.deliver()

        assert {"done"} >= {*nodes.company.states("north"), *nodes.company.states("south")}
        there = [nodes.desks[name].there() for name in ("north", "south")]
        wanted = nodes.company.wanted(FIELDS)
        places = {key: one[1]["location"] for key, one in wanted.items()}
        for name, found in zip(("north", "south"), there, strict=True):
            assert {key: one for key, one in wanted.items() if everybody or places[key] == name} == found
        assert [] == nodes.company.conn.execute("SELECT * FROM keys WHERE releasing <> 0").fetchall()
    finally:
        nodes.company.database.close()


def _do(nodes, people, step):
    """Do one step of a history; ``people`` has the number of everybody, which no two may share."""
    verb, *more = step
    company = nodes.company
    if verb == "add":
        number = None if str(4000 + more[1]) in people.values() else str(4000 + more[1])
        one = company.add(location=more[0], **({"extension": number} if number else {}))
        people[one] = number
    elif verb == "deliver":
        nodes.up()
        if more[0]:
            _cut(nodes.desks[more[0]], more[1])
        nodes.deliver()
    elif people:
        account = [*people][more[0] % len(people)]
        if verb == "number":
            number = None if str(4000 + more[1]) in people.values() else str(4000 + more[1])
            people[account] = number
            company.change(account, extension=number)
        elif verb == "swap":
            other = [*people][more[1] % len(people)]
            people[account], people[other] = people[other], people[account]
            company.change_all({one: {"extension": people[one]} for one in {account, other}})
        elif verb == "move":
            company.change(account, location=more[1])
        elif verb == "disable":
            company.disable(account, more[1])
        else:
            del people[account]
            company.delete(account)


def _cut(desk, calls):
    """Let a node answer so many calls, and no more."""
    left = [calls]

    def hook(method, subject):
        left[0] -= 1
        if left[0] < 0:
            raise Unavailable("cut")

    desk.before = hook


@pytest.mark.parametrize("closed", [False, True])
def test_a_long_chain_is_followed_in_linear_time(closed):
    """Everybody waits for the next one, the last for nobody, or for the first. Lines that were run are counted."""

    def lines(count):
        waits = {(one, "north"): {(one + 1, "north")} for one in range(count - 1)}
        waits[count - 1, "north"] = {(0 if closed else count, "north")}
        ran = 0

        def trace(_frame, event, _argument):
            nonlocal ran
            ran += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            giving_way(waits, {})
        finally:
            sys.settrace(before)
        return ran

    assert 9 * lines(500) > lines(4_000)
