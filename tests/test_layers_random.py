"""Random histories of sources and people: an account says what its layers say, whatever was done and undone."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from line_world import Site, check_journal, check_layers, quiet  # noqa: F401

from syncd.errors import SyncdError
from syncd.pipeline import people, queue
from syncd.pipeline.undoing import plan_undo
from syncd.pipeline.unlinking import unlink
from syncd.store.runs import runs

WORDS = {"phone": "tel", "title": "title"}
HQ = {
    "map": {"login": "uid", "phone": "tel", "title": {"from": "title", "policy": "detain"}},
    "role": "clerk",
}
ENRICHES = {"map": {"login": "uid", **WORDS}, "owns": False}
OWNS = {"map": {"login": "uid", **WORDS}, "adopt": True}
DESK = {"template": {"desk": {"defaults": {"title": "Clerk"}}}, "role": {"clerk": {"template": "desk"}}}
ANN = 2

VALUES = st.sampled_from(["", "1", "2"])
NAMES = st.sampled_from(sorted(WORDS))
SOURCES = st.sampled_from(["hq", "lab"])
SAYS = st.tuples(st.just("say"), SOURCES, NAMES, VALUES)
EDITS = st.tuples(st.just("edit"), NAMES, VALUES)
READS = st.just(("read",))
UNDOES = st.tuples(st.just("undo"), st.integers(0, 30))
STEPS = st.lists(
    st.one_of(
        *(SAYS, SAYS, EDITS, READS, READS, READS, UNDOES, UNDOES),
        st.tuples(st.sampled_from(["unlink", "leave", "plan"]), SOURCES),
        st.tuples(st.just("link"), SOURCES, st.booleans()),
        st.tuples(st.just("correct"), NAMES, VALUES),
        st.tuples(st.just("reset"), NAMES),
        st.sampled_from([("switch",), ("delete",), ("approve",), ("release",)]),
    ),
    min_size=10,
    max_size=30,
)


def books(site):
    """Return accounts with their layers, links and keys."""
    accounts = site.rows(
        "SELECT attributes, COALESCE(template, '{}'), COALESCE(local, '{}'), id, disabled_by, deleted_at IS NULL"
        " FROM accounts"
    )
    links = site.rows("SELECT record, connection, anchor, account, owner, gone_at FROM links ORDER BY 2, 3")
    return (
        [(*map(json.loads, row[:3]), *row[3:]) for row in accounts],
        [(json.loads(row[0]), *row[1:]) for row in links],
        site.taken(),
    )


def agree(site):
    check_layers(site)
    check_journal(site)
    assert site.claimed() == site.taken()


def undone(site, number):
    """Undo a run; where all of it was undone, undo that, and everything is as it was."""
    before = books(site)
    undo = site.apply(plan_undo(site.here, number))
    agree(site)
    if {"applied"} == {one.state for one in site.operations(undo)}:
        after = books(site)
        site.wait(seconds=1)
        redo = site.apply(plan_undo(site.here, undo.id))
        assert before == books(site)
        site.wait(seconds=1)
        site.apply(plan_undo(site.here, redo.id))
        assert after == books(site)


class History:
    """What can happen to Ann."""

    def __init__(self, site):
        self.site = site

    def say(self, source, name, value):
        if "ann" in self.site.world(source).people:
            self.site.world(source).change("ann", **{WORDS[name]: value})

    def leave(self, source):
        if "ann" in self.site.world(source).people:
            self.site.fire("ann", source=source)
        else:
            self.site.hire("ann", source=source, tel="9")

    def read(self):
        self.site.sync("hq")
        agree(self.site)
        self.site.sync("lab")

    def plan(self, source):
        self.site.plan(source)

    def approve(self):
        for run in runs(self.site.database, "state IN ('planned','held') AND kind = 'sync'"):
            self.site.approve(run)
            self.site.wait(seconds=1)

    def edit(self, name, value):
        people.edit(self.site.here, ANN, {name: value or None})

    def reset(self, name):
        people.reset(self.site.here, ANN, (name,))

    def link(self, source, owns):
        people.link(self.site.here, ANN, source, "ann", owns=owns)

    def unlink(self, source):
        unlink(self.site.here, ANN, source)

    def switch(self):
        disabled = "local" in (self.site.people()[ANN].disabled_by or "")
        people.set_enabled(self.site.here, ANN, enabled=disabled)

    def delete(self):
        people.delete(self.site.here, ANN)

    def correct(self, name, value):
        for one in self.site.operations():
            queue.edit(self.site.here, one.id, {name: value or None})

    def release(self):
        for one in self.site.operations():
            queue.release(self.site.here, [one.id])

    def undo(self, chance):
        found = self.site.rows(
            "SELECT DISTINCT run FROM operations WHERE state = 'applied' AND undone_by IS NULL AND account = ?"
            " AND kind <> 'add' ORDER BY 1",
            ANN,
        )
        if found:
            undone(self.site, found[chance % len(found)][0])


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([ENRICHES, OWNS]), st.booleans())
def test_an_account_says_what_its_layers_say_whatever_is_undone(steps, lab, weaker):
    sources = {"hq": HQ, "lab": lab} if weaker else {"lab": lab, "hq": HQ}
    site = Site(top=DESK, **sources)
    site.hire("rock", "ann", tel="1")
    site.hire("rock", source="lab", uid="other")
    site.hire("ann", source="lab", tel="3", title="Dr")
    site.sync("hq")
    site.sync("lab")
    history = History(site)
    for what, *words in steps:
        site.wait(seconds=1)
        with suppress(SyncdError):  # what cannot be done is refused
            getattr(history, what)(*words)
        agree(site)
    site.database.close()
