"""From what is known of a person to the one operation that it asks for."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import MONDAY, completed, layer, role, standing, stranger

from syncd.model import (
    VOCABULARY,
    Attribute,
    Checkpoint,
    Fault,
    Numbers,
    Operation,
    Present,
    Range,
    Refused,
    Untouched,
)
from syncd.planning import (
    Leavers,
    Terms,
    claims_of,
    departure,
    encode,
    final_deletion,
    is_protected,
    kind_of,
    operation,
    parting,
    permit,
    plan,
    touched,
    way_back,
    words,
)

WORDS = VOCABULARY.extended([Attribute("alias", "further names", many=True, key=True)])
ALL = Terms()
PROTECTED = (("login", "svc-*"),)
DELETES = Terms(leavers=Leavers(disabled="delete", removed="delete", missing="delete"))
KEEPS = Terms(leavers=Leavers(disabled="keep", removed="keep", missing="keep"))
ENRICHES = Terms(owns=False)
ADOPTS = Terms(adopt=True)


def only(item, terms: Terms = ALL, protected=()):
    (made,) = plan([item], terms, WORDS, protected)
    return made


def gone(
    one, way: str = "missing", terms: Terms = ALL, protected=(), *, due: bool = True
) -> Operation | None:
    return departure(one, way, terms, WORDS, protected, due=due)


def change(made: Operation) -> tuple[str, object, object]:
    return made.kind, json.loads(made.before), json.loads(made.after)


def patched(values, patch):
    """Apply a merge patch, RFC 7396."""
    merged = {**values, **patch}
    return {name: value for name, value in merged.items() if value is not None}


def test_what_is_not_complete_passes_on_in_order():
    stream = [Present("p"), completed(login="ann"), Checkpoint("c", full=True)]
    made = list(plan(stream, ALL, WORDS))

    assert [stream[0], stream[2]] == [made[0], made[2]]
    assert "add" == made[1].kind


class TestAdding:
    def test_an_addition_says_everything_the_account_will_be(self):
        item = completed(
            login="Ann", role="sales", layer={"login": "Ann"}, template={"role": "sales"}, faults=()
        )
        made = only(item, Terms(kind="contact"))

        assert ("add", {}, {"login": "Ann", "role": "sales"}) == change(made)
        assert ("make", '{"login":"Ann"}', None) == (made.link_action, made.record, made.replaced)
        assert '{"role":"sales"}' == made.template
        assert [("login", "ann")] == made.gains
        assert ("a1", None, None, "contact") == (made.anchor, made.account, made.link, made.account_kind)
        assert (True, True, b"print", "planned") == (made.owner, made.enabled, made.fingerprint, made.state)

    def test_without_a_template_the_record_is_the_account(self):
        made = only(completed(login="ann"))

        assert made.record is made.after
        assert made.template is None

    @pytest.mark.parametrize(
        ("terms", "kind"),
        [(Terms(operations=frozenset({"update", "remove"})), "add"), (ENRICHES, "unmatched")],
    )
    def test_nothing_is_added_that_may_not_be(self, terms, kind):
        assert Refused("a1", kind) == only(completed(login="ann"), terms)

    @pytest.mark.parametrize(
        ("terms", "expected"),
        [
            (ALL, {"login": "ann", "disabled_by": "source"}),
            (KEEPS, {"login": "ann"}),
            (DELETES, None),
        ],
        ids=["disabled", "kept", "not at all"],
    )
    def test_whom_the_source_has_disabled_is_added(self, terms, expected):
        made = only(completed(login="ann", enabled=False), terms)

        assert expected == (None if isinstance(made, Refused) else json.loads(made.after))

    def test_numbers_are_allocated_where_there_is_none(self):
        spans = {"extension": Numbers((Range(100, 199),)), "did": Numbers((Range(1, 9),))}
        made = only(completed(did="5", made_with=role(allocate=spans)))

        assert {"extension": Numbers((Range(100, 199),))} == made.allocate

    def test_a_fault_holds_the_addition(self):
        made = only(completed(faults=(Fault("ambiguous", None, "which?", "detained"),)))

        assert ("detained", '[["ambiguous",null,"which?","detained"]]') == (made.state, made.reasons)


class TestChanging:
    def test_an_update_holds_what_it_touches_and_the_way_back(self):
        known = standing(attributes={"login": "ann", "title": "Dr", "email": "A@x"})
        made = only(completed(known, login="ann", city="Rome", email="b@x"))

        assert change(made) == (
            "update",
            {"title": "Dr", "email": "A@x", "city": None},
            {"title": None, "email": "b@x", "city": "Rome"},
        )
        assert {"title": "Dr", "email": "A@x", "city": None} == json.loads(made.replaced)
        assert ([("email", "b@x")], [("email", "a@x")]) == (made.gains, made.frees)
        assert ("keep", 7, 3, 5) == (made.link_action, made.account, made.link, made.seen)

    def test_the_way_back_is_that_of_the_link_where_others_speak_as_well(self):
        known = standing(
            attributes={"title": "first"}, record={"title": "old"}, others=(layer(0, title="first"),)
        )
        made = only(completed(known, layer={"title": "new"}, title="first"))

        assert (("update", {}, {}), {"title": "old"}) == (change(made), json.loads(made.replaced))

    def test_the_way_back_of_a_link_that_spoke_alone_is_what_the_account_was(self):
        said = {"title": "old"}
        item = completed(standing(attributes=said, record=said), title="new", city="Rome")
        made = only(item)
        others = only(item._replace(layer={"title": "ours"}))

        assert ({"title": "old", "city": None}, {"title": "old"}) == (
            json.loads(made.replaced),
            json.loads(others.replaced),
        )

    def test_nothing_to_change_is_no_operation(self):
        assert Untouched(3, b"print") == only(completed(standing(), login="ann"))

    @pytest.mark.parametrize(
        ("known", "item"),
        [
            (standing(leaving=MONDAY), {}),
            (standing(record={}), {}),
            (standing(enabled=False), {}),
            (standing(), {"faults": (Fault("transform", "did", "no number"),)}),
        ],
        ids=["whose entry was gone", "whose link says another thing", "that is enabled now", "with a fault"],
    )
    def test_an_operation_is_made_of_an_account(self, known, item):
        assert ("update", {}, {}) == change(only(completed(known, login="ann", **item)))

    def test_nothing_is_changed_that_may_not_be(self):
        terms = Terms(operations=frozenset({"add", "remove"}))

        assert Refused("a1", "update") == only(completed(standing(), login="bob"), terms)
        assert Untouched(3, b"print") == only(completed(standing(), login="ann"), terms)

    def test_a_deleted_account_that_stays_deleted_holds_no_keys(self):
        known = standing(deleted=True, owner=False)
        made = only(completed(known, login="bob"))

        assert ([], []) == (made.gains, made.frees)

    def test_an_account_that_comes_back_takes_its_keys_as_they_are_now(self):
        known = standing(attributes={"login": "ann", "did": "1"}, deleted=True, disabled_by="missing")
        made = only(completed(known, login="bob", did="1"))

        assert {"login": "ann", "deleted": True, "disabled_by": "missing"} == json.loads(made.before)
        assert "enable" == made.kind
        assert ([("login", "bob"), ("did", "1")], []) == (made.gains, made.frees)
        assert {"login": "bob", "deleted": None, "disabled_by": None} == json.loads(made.after)


class TestLinking:
    @pytest.mark.parametrize(
        ("verdict", "known", "terms", "action", "owner"),
        [
            ("linked", standing(), ALL, "keep", True),
            ("linked", standing(owner=False), ADOPTS, "keep", False),
            ("adoptable", stranger(), ALL, "make", False),
            ("adoptable", stranger(), ADOPTS, "make", True),
            ("adoptable", stranger(), Terms(adopt=True, owns=False), "make", False),
            ("relink", standing(anchor="old"), ALL, "move", True),
            ("relink", standing(anchor="old", owner=False), ADOPTS, "move", False),
            ("ambiguous", stranger(), ENRICHES, "make", False),
            ("ambiguous", standing(anchor="old", owner=False), ENRICHES, "move", False),
        ],
    )
    def test_the_link_is_kept_made_or_moved(self, verdict, known, terms, action, owner):
        made = only(completed(known, verdict=verdict, login="bob"), terms)

        assert (action, owner, "a1", "planned") == (made.link_action, made.owner, made.anchor, made.state)
        assert (known.link is None) == (made.replaced is None)

    @pytest.mark.parametrize("verdict", ["adoptable", "relink"])
    def test_a_link_is_made_even_where_the_account_stays_as_it_is(self, verdict):
        known = stranger() if verdict == "adoptable" else standing(anchor="old")

        assert "update" == only(completed(known, verdict=verdict, login="ann")).kind

    @pytest.mark.parametrize("verdict", ["adoptable", "relink"])
    def test_a_protected_account_is_linked_only_by_a_person(self, verdict):
        known = stranger if verdict == "adoptable" else standing
        made = only(completed(known(attributes={"login": "SVC-a"}), verdict=verdict), ALL, PROTECTED)
        message = "account 7 is protected and is linked only by a person"

        assert "detained" == made.state
        assert [["protected", None, message, "detained"]] == json.loads(made.reasons)

    def test_a_protected_account_that_is_linked_is_updated_like_any_other(self):
        made = only(completed(standing(attributes={"login": "svc-a"}), login="svc-b"), ALL, PROTECTED)

        assert "planned" == made.state


DISABLED = {"disabled_by": "source"}
BACK = {"disabled_by": None, "deleted": None}


class TestStates:
    """What an entry that is there means for the state of its account."""

    @pytest.mark.parametrize(
        ("known", "enabled", "terms", "expected"),
        [
            ({}, False, ALL, DISABLED),
            ({}, False, KEEPS, None),
            ({}, False, DELETES, {**DISABLED, "deleted": True}),
            ({"disabled_by": "local"}, False, ALL, {"disabled_by": "local,source"}),
            ({"disabled_by": "source"}, True, ALL, {"disabled_by": None}),
            ({"disabled_by": "source"}, True, KEEPS, None),
            ({"disabled_by": "local,missing,source"}, True, ALL, {"disabled_by": "local"}),
            ({"disabled_by": "missing"}, False, ALL, DISABLED),
            ({"disabled_by": "missing"}, True, KEEPS, {"disabled_by": None}),
            ({"disabled_by": "licence"}, True, ALL, None),
            ({"disabled_by": "missing", "deleted": True}, True, ALL, BACK),
            ({"disabled_by": "missing", "deleted": True}, False, ALL, {**DISABLED, "deleted": None}),
            ({"disabled_by": "source", "deleted": True}, False, DELETES, None),
        ],
    )
    def test_its_owner_disables_and_brings_back(self, known, enabled, terms, expected):
        made = only(completed(standing(enabled=enabled, **known), login="ann", enabled=enabled), terms)

        assert expected == (None if isinstance(made, Untouched) else json.loads(made.after))

    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            ([layer(enabled=True)], None),
            ([layer(enabled=False)], DISABLED),
            ([layer(enabled=True, gone=MONDAY)], DISABLED),
            ([layer(enabled=True, owner=False)], DISABLED),
            ([layer(enabled=False), layer(2, enabled=True)], None),
        ],
        ids=["enabled", "disabled", "gone", "no owner", "one of two"],
    )
    def test_the_source_disables_only_when_every_owner_has(self, others, expected):
        known = standing(others=tuple(others), enabled=False)
        made = only(completed(known, login="ann", enabled=False))

        assert expected == (None if isinstance(made, Untouched) else json.loads(made.after))

    @pytest.mark.parametrize("enabled", [True, False])
    @pytest.mark.parametrize("known", [{}, {"disabled_by": "missing", "deleted": True}])
    def test_who_does_not_own_an_account_has_no_say_in_its_state(self, known, enabled):
        """Whatever the other links say: they were asked when they were read."""
        one = standing(owner=False, enabled=enabled, others=(layer(enabled=not enabled),), **known)

        assert isinstance(only(completed(one, login="ann", enabled=enabled), DELETES), Untouched)

    @pytest.mark.parametrize("terms", [ALL, DELETES])
    def test_a_protected_account_is_never_removed(self, terms):
        known = standing(attributes={"login": "svc-a"}, enabled=False)

        assert isinstance(only(completed(known, login="svc-a", enabled=False), terms, PROTECTED), Untouched)

    @pytest.mark.parametrize("disabled_by", [None, "local"])
    def test_what_a_person_deleted_stays_so_until_the_source_says_something_else(self, disabled_by):
        known = standing(deleted=True, disabled_by=disabled_by)

        assert Untouched(3, b"print") == only(completed(known, login="ann"))
        assert "enable" == only(completed(known, login="bob")).kind

    def test_an_adopted_account_follows_its_new_owner(self):
        item = completed(stranger(), verdict="adoptable", login="ann", enabled=False)

        assert "disable" == only(item, ADOPTS).kind
        assert "update" == only(item, ALL).kind

    def test_nobody_is_removed_where_that_is_not_allowed(self):
        terms = Terms(operations=frozenset({"add", "update"}))

        assert Refused("a1", "disable") == only(completed(standing(), login="ann", enabled=False), terms)


class TestLeaving:
    @pytest.mark.parametrize("way", ["removed", "missing"])
    @pytest.mark.parametrize(
        ("terms", "known", "expected"),
        [
            (ALL, {}, ("disable", {"disabled_by": None}, {"disabled_by": "missing"})),
            (
                ALL,
                {"disabled_by": "local"},
                ("update", {"disabled_by": "local"}, {"disabled_by": "local,missing"}),
            ),
            (ALL, {"disabled_by": "missing"}, ("update", {}, {})),
            (
                DELETES,
                {},
                (
                    "delete",
                    {"deleted": None, "disabled_by": None},
                    {"deleted": True, "disabled_by": "missing"},
                ),
            ),
            (DELETES, {"deleted": True, "disabled_by": "missing"}, ("update", {}, {})),
        ],
    )
    def test_the_last_owner_takes_the_account_along(self, way, terms, known, expected):
        made = gone(standing(**known), way, terms)

        assert expected == change(made)
        assert ("end", "planned", None) == (made.link_action, made.state, made.record)
        assert ([("login", "ann")] if "delete" == made.kind else []) == made.frees

    @pytest.mark.parametrize(("way", "deleted"), [("removed", True), ("missing", False)])
    def test_proof_and_absence_have_each_their_own_way(self, way, deleted):
        made = gone(standing(), way, Terms(leavers=Leavers(removed="delete")))

        assert deleted == ("delete" == made.kind)

    def test_until_its_grace_is_over_it_waits(self):
        assert "waiting" == gone(standing(), due=False).state

    @pytest.mark.parametrize("due", [True, False])
    @pytest.mark.parametrize(
        ("known", "terms", "protected"),
        [
            ({}, KEEPS, ()),
            ({"attributes": {"login": "svc-a"}}, DELETES, PROTECTED),
            ({}, Terms(operations=frozenset({"add", "update"})), ()),
            ({"disabled_by": "local"}, Terms(operations=frozenset({"add", "update"})), ()),
        ],
        ids=["kept", "protected", "not allowed", "disabled and not allowed"],
    )
    def test_nothing_becomes_of_who_is_not_to_be_removed(self, known, terms, protected, due):
        assert gone(standing(**known), "removed", terms, protected, due=due) is None

    def test_an_account_that_has_another_owner_loses_only_the_layer(self):
        known = standing(
            attributes={"login": "ann", "title": "ours", "city": "theirs"},
            record={"login": "ann", "title": "ours"},
            others=(layer(login="ann", city="theirs"),),
        )

        assert ("update", {"title": "ours"}, {"title": None}) == change(gone(known, terms=DELETES))

    def test_others_who_do_not_own_an_account_do_not_keep_it(self):
        assert "disable" == gone(standing(others=(layer(owner=False), layer(2, gone=MONDAY)))).kind

    def test_keys_of_the_layer_go_with_it(self):
        known = standing(attributes={"login": "ann", "did": "1"}, others=(layer(login="ann"),))

        assert [("did", "1")] == gone(known).frees

    @pytest.mark.parametrize(
        ("terms", "protected", "expected"),
        [
            (ALL, (), {"disabled_by": "source"}),
            (DELETES, (), {"disabled_by": "source"}),
            (KEEPS, (), {}),
            (ALL, (("login", "ann"),), {}),
            (Terms(operations=frozenset({"update"})), (), {}),
        ],
        ids=["disable", "delete", "keep", "protected", "not allowed"],
    )
    def test_where_the_owners_that_are_left_have_disabled_the_account_it_is_disabled(
        self, terms, protected, expected
    ):
        """Their entries do not change, so nobody else would notice."""
        known = standing(others=(layer(login="ann", enabled=False),))

        assert expected == change(gone(known, terms=terms, protected=protected))[2]

    def test_who_only_enriches_an_account_takes_nothing_but_what_it_said(self):
        known = standing(
            owner=False,
            attributes={"login": "ann", "title": "ours"},
            record={"title": "ours"},
            others=(layer(login="ann", enabled=False),),
        )

        assert ("update", {"title": "ours"}, {"title": None}) == change(gone(known, terms=DELETES))

    def test_a_manual_account_keeps_what_was_said_by_hand(self):
        known = standing(owner=False, attributes={"login": "ann", "title": "ours"}, local={"login": "ann"})

        assert ("update", {"title": "ours"}, {"title": None}) == change(gone(known))

    def test_a_leaver_keeps_what_was_said_of_them_when_the_last_link_goes(self):
        known = standing(
            owner=False,
            attributes={"login": "ann", "title": "ours"},
            disabled_by="missing",
            others=(layer(login="ann", gone=MONDAY),),
        )

        assert ("update", {}, {}) == change(gone(known))

    def test_a_link_can_part_from_an_account_that_keeps_what_it_has(self):
        made = parting(standing(others=(layer(login="ann"),)))

        assert (("update", {}, {}), "end") == (change(made), made.link_action)
        assert ([], []) == (made.gains, made.frees)

    def test_in_the_end_the_account_is_deleted_and_its_keys_are_free(self):
        made = final_deletion(standing(attributes={"login": "ann", "did": "1"}, disabled_by="missing"), WORDS)

        assert ("delete", {"deleted": None}, {"deleted": True}) == change(made)
        assert ("none", [], [("login", "ann"), ("did", "1")]) == (made.link_action, made.gains, made.frees)


SAID = st.dictionaries(
    st.sampled_from(["login", "email", "title", "alias"]),
    st.sampled_from(["a", "A", "b", ("x",), ("X", "x"), ("x", "y")]),
)
STATES = st.sampled_from([{}, {"deleted": True}, {"disabled_by": "source"}])


@given(SAID, SAID)
def test_what_is_touched_leads_there_and_back(was, will):
    before, after = touched(was, will)

    assert will == patched(was, after)
    assert was == patched(will, before)
    assert before.keys() == after.keys() == {n for n in {*was, *will} if was.get(n) != will.get(n)}
    assert (after, before) == touched(will, was)


@given(SAID, SAID)
def test_the_way_back_leads_back(new, old):
    assert old == patched(new, way_back(new, old))
    assert bool(way_back(new, old)) == (new != old)


@given(SAID, SAID)
def test_a_change_never_takes_and_lets_go_of_the_same_key(was, will):
    gains, frees = claims_of(*touched(was, will), was, WORDS)

    assert set() == set(gains) & set(frees)
    assert set(WORDS.claims(will)) == set(WORDS.claims(was)) - set(frees) | set(gains)
    assert len(gains) == len(set(gains))


INVERSE = {"disable": {"enable"}, "delete": {"enable"}, "enable": {"disable", "delete"}, "update": {"update"}}


@given(SAID, SAID, STATES, STATES)
def test_the_inverse_of_a_change_takes_what_it_let_go(was, will, state, then):
    """And the inverse of the inverse is the change, whether or not it deletes."""
    before, after = touched(was, will)
    for word in {*state, *then}:
        if state.get(word) != then.get(word):
            before[word], after[word] = state.get(word), then.get(word)
    if "deleted" in after:
        will, before, after = was, {"deleted": before["deleted"]}, {"deleted": after["deleted"]}
    stays = bool(state.get("deleted") and then.get("deleted"))
    gains, frees = claims_of(before, after, was, WORDS, deleted=stays)
    back_gains, back_frees = claims_of(after, before, will, WORDS, deleted=stays)

    assert (sorted(gains), sorted(frees)) == (sorted(back_frees), sorted(back_gains))
    assert kind_of(after, before) in INVERSE[kind_of(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({}, {}, "update"),
        ({"title": "a"}, {"title": "b"}, "update"),
        ({"disabled_by": None}, {"disabled_by": "local"}, "disable"),
        ({"disabled_by": "local"}, {"disabled_by": None}, "enable"),
        ({"disabled_by": "local"}, {"disabled_by": "local,source"}, "update"),
        ({"deleted": None, "disabled_by": None}, {"deleted": True, "disabled_by": "missing"}, "delete"),
        ({"deleted": True, "disabled_by": None}, {"deleted": None, "disabled_by": "source"}, "enable"),
    ],
)
def test_a_change_is_called(before, after, kind):
    assert kind == kind_of(before, after)


def test_removing_covers_disabling_and_deleting():
    assert ["add", "update", "update", "remove", "remove"] == [
        permit(kind) for kind in ("add", "update", "enable", "disable", "delete")
    ]


ACTORS = st.sampled_from(["source", "missing", "local", "licence"])


@given(st.lists(st.tuples(ACTORS, st.booleans())))
def test_who_disables_an_account_is_a_set(steps):
    stored, expected = None, set()
    for actor, added in steps:
        stored = words(stored, add=actor) if added else words(stored, drop=actor)
        expected = expected | {actor} if added else expected - {actor}

    assert (",".join(sorted(expected)) or None) == stored
    assert stored == words(stored)


@pytest.mark.parametrize(
    ("values", "protected", "expected"),
    [
        ({"login": "svc-mail"}, PROTECTED, True),
        ({"login": "SVC-Mail"}, PROTECTED, True),
        ({"login": "mail-svc-"}, PROTECTED, False),
        ({}, PROTECTED, False),
        ({"login": "svc-mail"}, (), False),
        ({"login": "root"}, (*PROTECTED, ("login", "ROOT")), True),
        ({"groups": ("staff", "Admins")}, (("groups", "admins"),), True),
        ({"login": "straße"}, (("login", "STRASSE"),), True),
    ],
)
def test_an_account_is_protected(values, protected, expected):
    assert expected == is_protected(values, protected)


USUAL = {
    "anchor": "a1",
    "kind": "update",
    "account": 7,
    "link": 3,
    "link_action": "keep",
    "before": {"title": "a", "city": None},
    "after": {"title": "b", "city": ("x", "y")},
    "record": "{}",
    "template": None,
    "enabled": True,
    "owner": True,
    "account_kind": "user",
    "faults": (),
}


@pytest.mark.parametrize(
    "other",
    [
        {"anchor": "a2"},
        {"anchor": None},
        {"kind": "disable"},
        {"account": 8},
        {"link_action": "move"},
        {"before": {"title": "a"}},
        {"after": {"title": "b"}},
        {"record": '{"title":"b"}'},
        {"template": "{}"},
        {"enabled": False},
        {"owner": False},
        {"account_kind": "contact"},
        {"faults": (Fault("policy", "title", "asks", "detained"),)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_proposal_has_another_digest(other):
    assert operation(**USUAL).digest != operation(**(USUAL | other)).digest


@given(st.permutations(["title", "city"]), st.permutations(["title", "city"]), st.binary(), st.integers())
def test_the_same_proposal_has_the_same_digest(before, after, fingerprint, seen):
    """In any order, whenever it was read, whatever revision it saw, however long it has to wait."""
    other = operation(
        **USUAL
        | {
            "before": {name: USUAL["before"][name] for name in before},
            "after": {name: USUAL["after"][name] for name in after},
            "fingerprint": fingerprint,
            "seen": seen,
            "state": "waiting",
        }
    )

    assert operation(**USUAL).digest == other.digest


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
def test_a_value_has_one_text(value):
    assert encode(value) == encode(dict(reversed(value.items())))
    assert value == json.loads(encode(value))


def test_a_text_is_stored_as_it_is_read():
    assert '{"city":"Köln","name":"李"}' == encode({"name": "李", "city": "Köln"})


@pytest.mark.parametrize(
    ("held", "state"),
    [
        ((), "waiting"),
        (("detained",), "detained"),
        (("detained", "failed"), "failed"),
        (("failed", "detained"), "failed"),
    ],
)
def test_the_worst_fault_gives_the_state(held, state):
    faults = tuple(Fault("code", None, "why", one) for one in held)

    assert state == operation(**USUAL | {"faults": faults, "state": "waiting"}).state


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        (None, None),
        ('{"title":"z"}', '{"title":"z"}'),
        ({"title": "z"}, '{"title":"z"}'),
        (USUAL["before"], '{"city":null,"title":"a"}'),
    ],
)
def test_the_way_back_is_stored_as_text(replaced, expected):
    assert expected == operation(**USUAL, replaced=replaced).replaced


def test_leavers_are_disabled_after_a_day_and_never_deleted_unless_configured():
    assert (2, timedelta(hours=24), None) == (ALL.leavers.reads, ALL.leavers.after, ALL.leavers.delete_after)
