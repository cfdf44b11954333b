"""Guards judge each platform: who would appear there, change there, or vanish from there."""

import json
import sqlite3
import tempfile
from pathlib import Path
from typing import ClassVar

import companies
import pytest
from companies import NO_LONGER, ONE_SOURCE, PHONEBOOK, TWO_SOURCES, Company
from hypothesis import given, settings
from hypothesis import strategies as st
from line_world import quiet  # noqa: F401
from samples import role

from syncd import Field, Unavailable
from syncd.pipeline import people, queue
from syncd.pipeline.approving import approve
from syncd.pipeline.line import apply_run
from syncd.pipeline.policy import plan_policy, settle_policy
from syncd.pipeline.retiring import retire
from syncd.pipeline.undoing import plan_undo
from syncd.services import Service, serves
from syncd.store.serving import Conditions
from syncd.testing.memory import MemoryPlatform

NORTH = PHONEBOOK + 'accept = {{ location = "north" }}\n'
MANY = {"add": "adds", "update": "updates", "remove": "removals"}
WORDS = {"add": "appear", "update": "change", "remove": "vanish"}


def limited(**limits):
    """Return the limits of the platform as TOML; what is not named is off."""
    every = {**dict.fromkeys(WORDS, "off"), **limits}
    told = ", ".join(f"{kind} = {toml(limit)}" for kind, limit in every.items())
    return f"limits = {{{{ {told} }}}}\n"


def toml(limit):
    if limit == "off":
        return '"off"'
    inner = ", ".join(f"{name} = {json.dumps(value)}" for name, value in {"percent": "off", **limit}.items())
    return f"{{{{ {inner} }}}}"


@pytest.fixture
def made(tmp_path):
    """Return what makes a company of 20 people, two days ago, with these limits of its phone book."""
    companies = []

    def make(text=PHONEBOOK, *, source=ONE_SOURCE, more="", **limits):
        company = Company(tmp_path, source + text + limited(**limits) + more)
        company.hire(*(f"p{number:02}" for number in range(20)))
        company.sync()
        company.wait(days=2)
        companies.append(company)
        return company

    yield make
    for company in companies:
        company.database.close()


def codes(run):
    return [one.code for one in run.objections]


def happens(company, kind, numbers):
    """Let as many people come, be renamed, or go."""
    for number in numbers:
        if kind == "add":
            company.hire(f"new{number}")
        elif kind == "update":
            company.world().change(f"p{number:02}", sn="Renamed")
        else:
            company.world().remove(f"p{number:02}")


@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize(
    "limit", [{"percent": 20}, {"count": 4}, {"per_day": 4}, {"percent": 90, "count": 4}]
)
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_as_many_as_the_limit_may_and_no_more(made, kind, limit, beyond):
    company = made(**{kind: limit})
    happens(company, kind, range(4 + beyond))
    run = company.plan()

    code = f"too-many-{MANY[kind]}{'-today' if 'per_day' in limit else ''}:phonebook"
    assert ([code] if beyond > 0 else []) == codes(run)
    assert ("held" if beyond > 0 and kind != "remove" else "planned") == run.state
    assert 4 + beyond == run.counts[f"{WORDS[kind]}:phonebook"]


def test_who_would_vanish_too_many_is_detained_and_the_rest_goes_on(made):
    company = made(remove={"count": 1})
    happens(company, "remove", range(2))
    company.hire("anna")
    run = company.sync()

    assert (["too-many-removals:phonebook"], 21) == (codes(run), len(company.on()))
    assert {"p00", "p01"} == {one.anchor for one in queue.waiting(company.here)}
    for one in run.objections:
        assert "2 of 20 accounts would vanish from platform phonebook, and at most 1 may" == one.message


def test_a_move_away_is_a_removal_from_the_platform_and_no_other_operation_is_detained(made):
    company = made(NORTH, remove={"count": 1})
    for number in range(3):
        company.world().change(f"p{number:02}", l="south")
    company.world().change("p09", sn="Renamed")
    company.hire("southerner", l="south")
    company.sync()
    company.world().remove("southerner")
    run = company.sync()

    assert [20, 20] == [
        len(company.on()),
        company.value("SELECT COUNT(*) FROM remotes WHERE remote_id IS NOT NULL"),
    ]
    assert {"p00", "p01", "p02"} == {one.anchor for one in queue.waiting(company.here)}
    assert (1, 0) == (run.counts["remove"], run.counts["vanish:phonebook"]), "who is not there cannot vanish"
    queue.release(company.here, [one.id for one in queue.waiting(company.here)])
    company.deliver()
    assert 17 == len(company.on())


def test_a_move_here_is_an_arrival(made):
    company = made(NORTH, add={"count": 1})
    company.hire("s1", "s2", l="south")
    run = company.sync()
    assert ([], 0) == (codes(run), run.counts["appear:phonebook"])
    for name in ("s1", "s2"):
        company.world().change(name, l="north")

    assert ["too-many-adds:phonebook"] == codes(company.sync())
    assert 20 == len(company.on())


class Numbers(MemoryPlatform):
    """Takes who has which number, and nothing else."""

    fields: ClassVar = {"login": Field("login", "login"), "number": Field("phone", "number")}


@pytest.mark.parametrize("more", ["", '[platform.phonebook.map]\nnumber = {{ from = ["title", "phone"] }}\n'])
def test_what_the_platform_is_not_told_is_no_change_of_it(made, monkeypatch, more):
    monkeypatch.setattr(companies, "MemoryPlatform", Numbers)
    company = made(update={"count": 0}, more=more)
    happens(company, "update", [1])
    run = company.sync()
    assert ([], 0, 1) == (codes(run), run.counts["change:phonebook"], run.counts["update"])
    company.world().change("p01", telephoneNumber="+49 40 1")

    assert ["too-many-updates:phonebook"] == codes(company.sync())


def test_a_person_who_comes_back_is_a_change_where_they_still_are(made):
    company = made(update={"count": 0}, add={"count": 0})
    company.world().disable("p01")
    run = company.sync()
    assert ([], 1, 0) == (codes(run), run.counts["vanish:phonebook"], run.counts["change:phonebook"])
    company.world().enable("p01")

    assert ["too-many-updates:phonebook"] == codes(company.sync())


def test_a_deleted_account_that_comes_back_appears(made):
    company = made(source=ONE_SOURCE.replace("reads = 1", 'missing = "delete", reads = 1'), add={"count": 0})
    entry = company.world().people["p01"]
    happens(company, "remove", [1])
    company.sync()
    assert 19 == len(company.on())
    company.world().add("p01", **entry)

    assert ["too-many-adds:phonebook"] == codes(company.sync())


class TestFirstTimes:
    def test_nobody_is_surprised_by_who_comes_to_an_empty_platform(self, made):
        company = made(add={"count": 1, "per_day": 1}, update={"count": 0})

        assert 20 == len(company.on())

    def test_nor_by_a_platform_that_is_new(self, made):
        company = made()
        company.configure(
            ONE_SOURCE + PHONEBOOK + PHONEBOOK.replace("phonebook", "pbx") + limited(add={"count": 1})
        )
        (run,) = plan_policy(company.here)

        assert ([], 20) == (codes(run), run.counts["appear:pbx"])

    def test_nor_by_the_first_plan_of_another_source(self, made):
        company = made(source=TWO_SOURCES, add={"count": 1}, update={"count": 1})
        company.hire("b1", "b2", "b3", source="branch")
        for name in ("p00", "p01"):
            company.world("branch").add(name, uid=name, note="seen there as well")
        company.sync("branch")

        assert 23 == len(company.on())


class TestADay:
    def test_many_small_plans_cannot_do_what_one_large_plan_may_not(self, made):
        company = made(update={"per_day": 5})
        for number in range(5):
            happens(company, "update", [number])
            assert [] == codes(company.sync())
        happens(company, "update", [5])
        assert ["too-many-updates-today:phonebook"] == codes(company.sync())
        company.wait(hours=19)
        assert [] == codes(company.sync()), "by now the first is a day old"

    @pytest.mark.parametrize("kind", WORDS)
    def test_what_waits_to_be_delivered_counts_as_well(self, made, kind):
        company = made(**{kind: {"per_day": 3}})
        company.system().down = Unavailable("no route")
        happens(company, kind, range(3))
        company.sync()
        happens(company, kind, [3])
        run = company.sync()

        assert [
            f"too-many-{ {'add': 'adds', 'update': 'updates', 'remove': 'removals'}[kind] }-today:phonebook"
        ] == codes(run)

    def test_moves_are_counted_by_what_they_did_there(self, made):
        company = made(NORTH, remove={"per_day": 2}, add={"per_day": 1})
        for name in ("p01", "p02"):
            company.world().change(name, l="south")
        company.sync()
        assert 18 == len(company.on())
        company.world().change("p03", l="south")
        assert ["too-many-removals-today:phonebook"] == codes(company.sync())
        company.world().change("p01", l="north")
        company.sync()
        company.world().change("p02", l="north")
        assert ["too-many-adds-today:phonebook"] == codes(company.sync())

    def test_what_was_undone_does_not_count_and_what_undid_it_does(self, made):
        company = made(update={"per_day": 3})
        happens(company, "update", [0, 1])
        run = company.sync()
        apply_run(company.here, approve(company.here, plan_undo(company.here, run.id).id))
        company.deliver()
        happens(company, "update", [2])

        assert [] == codes(company.plan())

    def test_what_is_delivered_again_to_a_repaired_platform_does_not_count(self, made):
        company = made(remove={"per_day": 2}, update={"per_day": 2})
        for number in range(2):
            company.world().disable(f"p{number:02}")
        company.sync()
        company.wait(days=2)
        company.database.conn.execute("UPDATE remotes SET state = 'pending', delivered = NULL")
        company.deliver()
        happens(company, "update", [5])
        company.world().disable("p06")

        assert [] == codes(company.plan())

    def test_who_is_disabled_from_the_beginning_has_not_vanished(self, made):
        company = made(remove={"per_day": 1})
        company.hire("d1", "d2")
        for name in ("d1", "d2"):
            company.world().disable(name)
        company.sync()
        company.world().disable("p01")

        assert [] == codes(company.plan())

    def test_whom_a_guard_keeps_from_vanishing_has_not_vanished(self, made):
        company = made()
        company.hire("s1", "s2", l="south")
        company.sync()
        company.configure(ONE_SOURCE + NORTH + limited(remove={"count": 1, "per_day": 1}))
        settle_policy(company.here)
        company.world().change("s1", sn="Renamed")
        company.sync()
        happens(company, "remove", [1])

        assert [] == codes(company.plan())
        assert 22 == len(company.on())


class TestOtherRuns:
    def test_what_a_person_named_one_by_one_is_not_judged(self, made):
        company = made(add={"count": 0}, update={"count": 0}, remove={"count": 0})
        people.add(company.here, "acme", {"login": "guest", "last_name": "Guest"})
        people.edit(company.here, company.account("p01"), {"last_name": "Edited"})
        people.set_enabled(company.here, company.account("p02"), enabled=False)
        company.deliver()

        assert 21 == len(company.on())
        assert [] == queue.waiting(company.here)

    def test_what_a_person_releases_is_not_judged_again(self, made):
        company = made(remove={"count": 0})
        happens(company, "remove", [1])
        company.sync()
        (run,) = queue.release(company.here, [one.id for one in queue.waiting(company.here)])

        assert ("ended", []) == (run.state, codes(run))

    def test_an_undo_is_judged(self, made):
        company = made(remove={"count": 1}, update={"count": 2})
        company.hire("a", "b")
        run = company.sync()
        assert ["too-many-removals:phonebook"] == codes(plan_undo(company.here, run.id))
        happens(company, "update", [0, 1])
        run = company.sync()
        happens(company, "update", [2])
        assert [] == codes(plan_undo(company.here, run.id))

    def test_a_retirement_is_judged(self, made):
        company = made(remove={"count": 4})
        company.configure(NO_LONGER + PHONEBOOK + limited(remove={"count": 4}))
        run = apply_run(company.here, retire(company.here, "hq"))

        assert ["too-many-removals", "too-many-removals:phonebook"] == codes(run)
        assert 20 == len(queue.waiting(company.here))

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (PHONEBOOK + limited(add={"count": 1}), "too-many-adds:phonebook"),
            (PHONEBOOK + limited(add={"per_day": 1}), "too-many-adds-today:phonebook"),
            (NORTH + limited(update={"count": 3}) + '[platform.phonebook.map]\nlast_name = {{ constant = "x" }}\n',
             "too-many-updates:phonebook"),
        ],
    )  # fmt: skip
    def test_a_policy_is_judged_and_nothing_is_delivered_meanwhile(self, made, text, code):
        company = made(NORTH)
        company.hire("s1", "s2", l="south")
        company.sync()
        company.configure(ONE_SOURCE + text)
        (run,) = settle_policy(company.here)
        company.deliver()

        assert ("held", [code], 20) == (run.state, codes(run), len(company.on()))

    def test_who_a_policy_lets_vanish_counts_for_the_day_after(self, made):
        company = made()
        company.hire("s1", "s2", l="south")
        company.sync()
        company.configure(ONE_SOURCE + NORTH + limited(remove={"per_day": 2}))
        settle_policy(company.here)
        company.deliver()
        happens(company, "remove", [1])

        assert 20 == len(company.on())
        assert ["too-many-removals-today:phonebook"] == codes(company.plan())


def test_without_platforms_nothing_is_looked_at(tmp_path):
    company = Company(tmp_path)
    company.hire("anna")
    asked = []
    company.database.conn.set_trace_callback(asked.append)
    company.plan()

    assert [] == [one for one in asked if "INTO temp.effects" in one or "FROM remotes" in one]
    company.database.close()


ATTRIBUTES = st.dictionaries(
    st.sampled_from(["location", "groups", "role"]),
    st.sampled_from(["north", 'so"uth', "desk", "field", "Größe"])
    | st.lists(st.sampled_from("abc")).map(tuple),
)
SERVICES = st.builds(
    Service,
    name=st.just("pbx"),
    kinds=st.sampled_from([frozenset({"user"}), frozenset({"user", "contact"})]),
    enterprises=st.sampled_from([None, frozenset({"acme"}), frozenset({"beta"})]),
    accept=st.dictionaries(
        st.sampled_from(["location", "groups"]),
        st.frozensets(st.sampled_from(["north", 'so"uth', "a", "b", "Größe"])),
    ),
    roles=st.sampled_from([{}, {"desk": role("desk", services=("pbx",)), "field": role("field", services=())}]),
)  # fmt: skip


@given(SERVICES, ATTRIBUTES, st.sampled_from(["user", "contact"]))
def test_the_database_serves_whom_the_rule_serves(service, attributes, kind):
    conn, terms = sqlite3.connect(":memory:"), Conditions(service)
    served = terms.served(":kind", lambda _: ":document", ":enterprise")
    names = {**terms.values, "kind": kind, "document": json.dumps(attributes), "enterprise": "acme"}

    assert serves(service, "acme", kind, attributes) == conn.execute(f"SELECT {served}", names).fetchone()[0]
    conn.close()


LIMIT = st.fixed_dictionaries(
    {
        "percent": st.sampled_from(["off", 0, 10, 50]),
        "count": st.sampled_from(["off", 0, 2, 5]),
        "per_day": st.sampled_from(["off", 0, 3, 8]),
    }
)
STEPS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["come", "go", "change", "north", "south", "disable", "enable"]),
            st.integers(0, 11),
        ),
        max_size=8,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, LIMIT, LIMIT, LIMIT, st.sampled_from([PHONEBOOK, NORTH]), st.sampled_from([1, 9]))
def test_no_plan_and_no_day_passes_a_limit_of_a_platform(steps, add, update, remove, text, hours):
    """Looked at from outside: who came to the platform, changed there, or was disabled or gone."""
    with tempfile.TemporaryDirectory() as folder:
        limits = {"add": add, "update": update, "remove": remove}
        company = Company(Path(folder), ONE_SOURCE + text + limited(**limits))
        company.hire(*(f"p{number}" for number in range(6)))
        company.sync()
        company.wait(days=2)
        days = {kind: [] for kind in WORDS}
        for some in steps:
            for step, number in some:
                takes_step(company.world(), step, f"p{number}")
            before = dict(company.system().accounts)
            company.wait(hours=hours - 1)
            company.sync()
            for kind, count in told_apart(before, company.system().accounts).items():
                days[kind].append((company.now, count))
                recent = sum(one for at, one in days[kind] if (company.now - at).total_seconds() < 86400)
                if before or kind == "remove":
                    assert within(count, len(before), limits[kind]), kind
                    assert (
                        not count or limits[kind]["per_day"] == "off" or recent <= limits[kind]["per_day"]
                    ), kind
        company.database.close()


def takes_step(world, step, name):
    if step == "come" and name not in world.people:
        world.add(name, uid=name, sn=name, l="north")
    elif step in ("north", "south") and name in world.people:
        world.change(name, l=step)
    elif step == "change" and name in world.people:
        world.change(name, sn=f"{world.people[name]['sn'][0]}'")
    elif step != "come" and name in world.people:
        {"go": world.remove, "disable": world.disable, "enable": world.enable}[step](name)


def told_apart(before, after):
    vanished = {
        key for key, one in before.items() if key not in after or (one.enabled and not after[key].enabled)
    }
    changed = {key for key in before.keys() & after.keys() - vanished if before[key] != after[key]}
    return {"add": len(after.keys() - before.keys()), "update": len(changed), "remove": len(vanished)}


def within(count, there, limit):
    share = count if limit["percent"] == "off" else there * limit["percent"] / 100
    if limit["percent"] not in ("off", 0) and there < 20:
        share = max(share, 2)
    return count <= share and (limit["count"] == "off" or count <= limit["count"])
