"""Random worlds: whatever happens to a source, the accounts become what it says, and the books agree."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from line_world import Site, check_books, quiet  # noqa: F401

from syncd.model import fold
from syncd.pipeline import people
from syncd.pipeline.undoing import plan_undo
from syncd.store import applying
from syncd.store.database import faults_of

KEYS = {"login": "uid", "email": "mail", "extension": "ext"}
WORDS = {**KEYS, "last_name": "sn", "phone": "tel"}
LOGINS = ["ann", "ANN", "bob", "cid", "Straße", "STRASSE"]
MAILS = ["", "ann@x.example", "bob@x.example", "Bob@x.example", "cid@x.example"]
EXTENSIONS = ["", "1", "2", "3"]
NAMES = ["", "Adams", "Brown", "Clark"]

A_PERSON = st.fixed_dictionaries(
    {
        "uid": st.sampled_from(LOGINS),
        "mail": st.sampled_from(MAILS),
        "ext": st.sampled_from(EXTENSIONS),
        "sn": st.sampled_from(NAMES),
    }
)
A_CHANGE = st.one_of(
    st.fixed_dictionaries({"uid": st.sampled_from(LOGINS)}),
    st.fixed_dictionaries({"mail": st.sampled_from(MAILS)}),
    st.fixed_dictionaries({"ext": st.sampled_from(EXTENSIONS)}),
    st.fixed_dictionaries({"sn": st.sampled_from(NAMES)}),
    st.fixed_dictionaries({"mail": st.sampled_from(MAILS), "tel": st.sampled_from(["", "5", "6"])}),
)
CHANCE = st.integers(0, 10**6)


def said(entry):
    """Return what an account has to say for an entry, worked out by hand."""
    return {name: entry[source][0] for name, source in WORDS.items() if entry.get(source)}


def claims(values):
    return {(name, fold(value)) for name, value in values.items() if name in KEYS}


class Companies(RuleBasedStateMachine):
    """One source, its people, and what happens to them."""

    @initialize(
        fate=st.sampled_from(["disable", "delete"]),
        kind=st.sampled_from(["memory", "memory-delta"]),
        match=st.sampled_from([["login"], ["login", "email"], []]),
        chunk=st.sampled_from([1, 3, 5000]),
        platforms=st.sampled_from([{}, {"platform": {"phones": {"type": "memory"}}}]),
    )
    def begin(self, fate, kind, match, chunk, platforms):
        applying.CHUNK = chunk
        leavers = {"reads": 2, "after": "2h", "removed": fate, "missing": fate}
        rules = {"last_name": {"required": True}}
        self.site = Site(top=platforms, hq={"type": kind, "match": match, "leavers": leavers, "rules": rules})
        self.world = self.site.world()
        self.gone = {}
        self.accounts = {}
        self.count = 0

    def teardown(self):
        applying.CHUNK = 5000
        if hasattr(self, "site"):
            self.site.database.close()

    def chosen(self, chance):
        anchors = list(self.world.people)
        return anchors[chance % len(anchors)] if anchors else None

    def hire(self, person):
        self.count += 1
        return self.world.add(f"a{self.count}", **person)

    @rule(person=A_PERSON)
    def somebody_comes(self, person):
        self.hire(person)

    @rule(chance=CHANCE, change=A_CHANGE)
    def somebody_changes(self, chance, change):
        if anchor := self.chosen(chance):
            self.world.change(anchor, **change)

    @rule(chance=CHANCE)
    def somebody_goes(self, chance):
        if anchor := self.chosen(chance):
            self.gone[anchor] = self.world.people[anchor]
            self.world.remove(anchor)

    @precondition(lambda self: self.gone)
    @rule(chance=CHANCE)
    def somebody_comes_back(self, chance):
        anchor = list(self.gone)[chance % len(self.gone)]
        self.world.add(anchor, **self.gone.pop(anchor))

    @rule(chance=CHANCE)
    def an_entry_is_made_anew(self, chance):
        if anchor := self.chosen(chance):
            person = self.world.people[anchor]
            self.gone[anchor] = person
            self.world.remove(anchor)
            self.hire(person)

    @rule(one=CHANCE, other=CHANCE, word=st.sampled_from(["uid", "mail", "ext"]))
    def two_people_swap(self, one, other, word):
        if (first := self.chosen(one)) and (second := self.chosen(other)):
            theirs = self.world.people[first].get(word, ()), self.world.people[second].get(word, ())
            self.world.change(first, **{word: theirs[1]})
            self.world.change(second, **{word: theirs[0]})

    @rule(chance=CHANCE)
    def somebody_is_disabled_or_enabled(self, chance):
        if anchor := self.chosen(chance):
            (self.world.enable if anchor in self.world.disabled else self.world.disable)(anchor)

    @rule(chance=CHANCE)
    def a_person_edits_and_takes_it_back(self, chance):
        accounts = [one.id for one in self.site.people().values()]
        if accounts:
            account = accounts[chance % len(accounts)]
            self.site.wait(seconds=1)
            people.edit(self.site.here, account, {"phone": "7", "title": "Dr"})
            self.site.wait(seconds=1)
            people.reset(self.site.here, account, ())

    @rule()
    def somebody_looks(self):
        self.site.wait(seconds=1)
        before = self.site.people()
        self.site.plan()
        assert before == self.site.people()

    @rule()
    def another_process_begins(self):
        again = self.site.copied()
        self.site.database.close()
        self.site = again

    @rule(full=st.booleans())
    def the_source_is_read(self, full):
        self.site.wait(seconds=1)
        self.read(full=full)
        for anchor, person in self.site.linked().items():
            assert person.id == self.accounts.setdefault(anchor, person.id)

    @rule()
    def the_last_run_is_undone_and_that_is_undone(self):
        last = self.site.rows(
            "SELECT MAX(run) FROM operations WHERE state = 'applied' AND undone_by IS NULL AND undoes IS NULL"
        )
        if last[0][0] is None or self.site.told():
            return
        state = self.site.people(), self.site.taken()
        undo = self.undone(last[0][0])
        done = {one.state for one in self.site.operations(undo)}
        if "applied" in done:
            self.undone(undo.id)
        if {"applied"} == done:
            assert state == (self.site.people(), self.site.taken())

    def undone(self, run):
        self.site.wait(seconds=1)
        return self.site.apply(plan_undo(self.site.here, run))

    @invariant()
    def the_books_agree(self):
        if hasattr(self, "site"):
            check_books(self.site)

    @rule()
    def in_the_end_the_accounts_are_what_the_source_says(self):
        """As it is, for everybody whom nobody stands in the way of; and for all once nobody does."""
        self.rest()
        self.check(self.in_nobodys_way())
        for anchor in self.world.people:
            self.count += 1
            own = f"own{self.count}"
            self.world.change(anchor, uid=own, mail=f"{own}@x.example", ext=str(100 + self.count), sn="Own")
        self.rest()
        self.check(set(self.world.people))
        assert [] == [one for one in self.site.operations() if one.undoes is None]
        assert [] == self.site.operations(self.read())
        assert [] == faults_of(self.site.database)

    def read(self, *, full=True):
        """Read and apply; a person agrees where everybody is gone, or most have new anchors."""
        run = self.site.sync(full=full)
        if run.state == "held":
            assert {one.code for one in run.objections} <= {"source-empty", "anchors-new"}
            run = self.site.approve(run)
        assert "ended" == run.state
        return run

    def rest(self):
        for _ in range(5):
            self.read()
            self.site.wait(hours=2)

    def check(self, anchors):
        linked = self.site.linked()
        for anchor in anchors:
            entry, enabled = self.world.people[anchor], anchor not in self.world.disabled
            assert (said(entry), None if enabled else "source", False) == linked[anchor][1:], anchor
        claimed = {one.account for one in self.site.operations()}
        for anchor, person in linked.items():
            if anchor not in self.world.people and person.id not in claimed:
                assert not person.active

    def in_nobodys_way(self):
        """Return the anchors whose keys no other entry wants, and no account holds that cannot let go."""
        wanted = Counter(claim for entry in self.world.people.values() for claim in claims(said(entry)))
        linked = self.site.linked()
        free = {
            anchor
            for anchor, entry in self.world.people.items()
            if entry.get("sn") and all(wanted[claim] == 1 for claim in claims(said(entry)))
        }
        while True:
            held = set().union(
                *(
                    claims(person.attributes)
                    for anchor, person in linked.items()
                    if anchor not in free and not person.deleted
                )
            )
            blocked = {anchor for anchor in free if claims(said(self.world.people[anchor])) & held}
            if not blocked:
                return free
            free -= blocked


TestCompanies = Companies.TestCase
TestCompanies.settings = settings(
    max_examples=60, stateful_step_count=25, suppress_health_check=list(HealthCheck), deadline=None
)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hq", "lab"]),
        st.sampled_from(["come", "go", "change", "disable", "enable", "read"]),
        st.sampled_from(["ann", "bob", "cid"]),
        st.sampled_from(["Adams", "Brown", ""]),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_two_sources_make_one_account_of_what_they_say(steps):
    """hq comes before lab; both own whom they have; who is in neither is disabled and keeps their name."""
    site = Site(hq={"adopt": True}, lab={"adopt": True})
    for source in ("hq", "lab"):
        site.hire("somebody", "else", source=source, mail="")
    known = set()
    for source, step, login, name in [*steps, ("hq", "read", "", ""), ("lab", "read", "", "")]:
        world = site.world(source)
        if step == "come" and login not in world.people:
            world.add(login, uid=login, sn=name, tel=f"from {source}")
        elif step == "read":
            before = site.people()
            site.sync(source)
            check_books(site)
            known |= set(world.people)
            assert set(before) <= set(site.people())
        elif step == "change" and login in world.people:
            world.change(login, sn=name)
        elif step != "come" and login in world.people:
            {"go": world.remove, "disable": world.disable, "enable": world.enable}[step](login)
    for source in ("hq", "lab"):
        site.sync(source)

    assert [] == site.told()
    accounts = {one.attributes["login"]: one for one in site.people().values()}
    assert known == set(accounts)
    for login, account in accounts.items():
        layers = [
            world.people[login] for world in (site.world("lab"), site.world("hq")) if login in world.people
        ]
        enabled = any(login in world.people and login not in world.disabled for world in site.worlds.values())
        assert enabled == account.active, login
        if layers:
            assert {k: v for layer in layers for k, v in said(layer).items()} == account.attributes


HISTORY = st.lists(
    st.tuples(
        st.sampled_from(
            ["come", "go", "back", "anew", "change", "swap", "disable", "enable", "forget", "read"]
        ),
        CHANCE,
        A_PERSON,
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(HISTORY, st.booleans())
def test_reading_what_has_changed_ends_where_reading_everything_ends(history, alone):
    """The same history, read as it goes by one and in full by another.

    ``alone``: nobody's keys ever collide. Else there is a full read in the end, when they do no more: who
    was detained for a key hears nothing of its being free while only changes are read.
    """
    leavers = {"reads": 1, "after": "0s"}
    some = Site(hq={"type": "memory-delta", "leavers": leavers})
    every = Site(hq={"leavers": leavers})
    every.worlds = some.worlds
    world, gone = some.world(), {}
    for number in range(6):
        some.hire(f"rock{number}")
    for number, (step, chance, person) in enumerate(history):
        own = {"uid": f"u{number}", "mail": f"u{number}@x.example", "ext": str(number)} if alone else {}
        happens(world, gone, number, step, chance, {**person, **own})
        if step == "read":
            for site in (some, every):
                site.sync()
    for site in (some, every):
        site.sync()
    if not alone:
        for anchor in world.people:
            world.change(anchor, uid=f"own {anchor}", mail=f"{anchor}@own.example", ext=f"own {anchor}")
        for site in (some, every, some, every):
            site.sync(full=True)

    assert seen(every) == seen(some)
    assert [] == some.told()
    for site in (some, every):
        check_books(site)


def happens(world, gone, number, step, chance, person):
    anchors = [anchor for anchor in world.people if not anchor.startswith("rock")]
    anchor = anchors[chance % len(anchors)] if anchors else None
    if step == "come":
        world.add(f"a{number}", **person)
    elif step == "forget":
        world.forget()
    elif step == "back" and gone:
        again, entry = gone.popitem()
        world.add(again, **entry)
    elif anchor is None:
        return
    elif step in ("go", "anew"):
        entry = world.people[anchor]
        world.remove(anchor)
        if step == "anew":
            world.add(f"a{number}", **entry)
        else:
            gone[anchor] = entry
    elif step == "swap":
        other = anchors[chance // 7 % len(anchors)]
        mails = world.people[anchor]["mail"], world.people[other]["mail"]
        world.change(anchor, mail=mails[1])
        world.change(other, mail=mails[0])
    elif step in ("disable", "enable"):
        (world.disable if step == "disable" else world.enable)(anchor)
    elif step == "change":
        world.change(anchor, **person)


def seen(site):
    """Return what is known of people, but for the ids, and of those who are gone only that they are."""
    return {
        anchor: person[1:] if anchor in site.world().people else person.active
        for anchor, person in site.linked().items()
    }


@settings(max_examples=150, deadline=None)
@given(
    managed=st.integers(1, 60),
    gone=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    percent=st.sampled_from(["off", 0, 5, 10, 50]),
    count=st.sampled_from(["off", 0, 1, 3]),
    per_day=st.sampled_from(["off", 0, 2, 5]),
    grace=st.booleans(),
)
def test_no_read_and_no_day_removes_more_than_the_limit(managed, gone, percent, count, per_day, grace):
    remove = {"percent": percent, "count": count, "per_day": per_day}
    free = {"add": "off", "update": "off", "container": "off", "shrink": "off"}
    leavers = {"reads": 2, "after": "1h"} if grace else {"reads": 1, "after": "0s"}
    site = Site(hq={"limits": {**free, "remove": remove}, "leavers": leavers})
    anchors = site.hired(managed)
    active, removed = managed, 0
    for leaving in gone:
        site.fire(*anchors[:leaving])
        anchors = anchors[leaving:]
        managing = managed - removed
        site.sync()

        now = sum(one.active for one in site.people().values())
        assert within(active - now, managing, percent, count)
        removed, active = removed + active - now, now
        assert per_day == "off" or removed <= per_day


def within(removed, managed, percent, count):
    share = removed if percent == "off" else managed * percent / 100
    if percent not in ("off", 0) and managed < 20:
        share = max(share, 2)
    return removed <= share and (count == "off" or removed <= count)
