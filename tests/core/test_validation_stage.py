"""The stage that judges finished records: rules, places, and what platforms demand."""

from __future__ import annotations

import pytest
from samples import completed, standing

from syncd.connector import Field
from syncd.model import Checkpoint, Fault, Present
from syncd.validation import Check, Demand, Places, length, validate

SHORT = Check(attribute="login", tests=(length(1, 3),))
NAMED = Check(attribute="last_name", required=True)
NOWHERE = Places()
NORTH = Places(frozenset({"north"}), frozenset({"sales"}))


def fields_of(values):
    if values.get("title") == "impossible":
        raise ValueError("title cannot be written")
    return {"number": values["did"]} if "did" in values else {}


def demand(limit: int = 3, *, serving=lambda kind, values: True) -> Demand:
    fields = {"number": Field("did", required=True, limit=limit)}
    return Demand("pbx", serving, fields, fields_of)


def judged(item, *checks: Check, demands: tuple[Demand, ...] = (), places: Places = NOWHERE, kind="user"):
    (one,) = validate([item], checks, demands, places, kind)
    return [(fault.code, fault.attribute) for fault in one.faults]


def test_what_is_not_complete_passes_on_in_order():
    stream = [Present("p"), completed(login="ann", last_name="Lee"), Checkpoint("c", full=True)]

    assert stream == list(validate(stream, (SHORT, NAMED), (), NOWHERE, "user"))


def test_without_anything_to_judge_by_the_stream_passes():
    stream = [completed(login="anna"), Checkpoint("c", full=True)]

    assert stream == list(validate(stream, (), (), NOWHERE, "user"))


def test_faults_join_those_that_a_record_has():
    first = Fault("transform", "did", "no number")
    item = completed(login="anna", faults=(first,))
    (one,) = validate([item], (SHORT, NAMED), (), NOWHERE, "user")

    assert (
        first,
        Fault("invalid", "login", "login has 4 characters, 1 to 3 are allowed"),
        Fault(
            "required",
            "last_name",
            "last_name is required and has no value; fill it in the source, or map a default",
        ),
    ) == one.faults


def test_a_new_record_without_any_value_is_judged_as_well():
    assert [("required", "last_name")] == judged(completed(), NAMED)


class TestOfAChange:
    """What was wrong before and is not touched is not held against a change."""

    def test_what_is_untouched_is_let_be(self):
        known = standing(attributes={"login": "too long"})

        assert [] == judged(completed(known, login="too long", title="Dr"), SHORT, NAMED)

    def test_what_is_touched_is_judged(self):
        known = standing(attributes={"login": "too long", "last_name": "Lee"})

        assert [("invalid", "login"), ("required", "last_name")] == judged(
            completed(known, login="long as well"), SHORT, NAMED
        )

    def test_what_is_mended_passes(self):
        known = standing(attributes={"login": "too long", "last_name": "Lee"})

        assert [] == judged(completed(known, login="ann", last_name="Lee"), SHORT, NAMED)

    def test_an_account_that_stays_as_it_is_is_not_judged(self):
        known = standing(attributes={"login": "too long"})
        item = completed(known, login="too long")

        assert [item] == list(validate([item], (SHORT,), (), NOWHERE, "user"))


@pytest.mark.parametrize(
    ("values", "places", "expected"),
    [
        ({"location": "north", "department": "sales"}, NORTH, []),
        ({}, NORTH, []),
        ({"location": "south", "department": "hr"}, NORTH, ["location", "department"]),
        ({"location": "south", "department": "hr"}, Places(NORTH.locations), ["location"]),
        ({"location": "south", "department": "hr"}, Places(departments=NORTH.departments), ["department"]),
        ({"location": "south", "department": "hr"}, NOWHERE, []),
    ],
)
def test_a_place_that_is_not_configured_detains(values, places, expected):
    (one,) = validate([completed(**values)], (), (), places, "user")

    assert [(f"{name}_unknown", name, "detained") for name in expected] == [
        (fault.code, fault.attribute, fault.held) for fault in one.faults
    ]


def test_a_place_that_an_account_has_already_is_not_held_against_a_change():
    known = standing(attributes={"location": "south"})

    assert [] == judged(completed(known, location="south", login="ann"), places=NORTH)


class TestDemands:
    def test_a_fault_names_the_platform_and_its_field(self):
        (one,) = validate([completed(did="1234")], (), (demand(),), NOWHERE, "user")
        message = "platform pbx: field number takes at most 3 characters, the value has 4"

        assert (Fault("too_long", "number", message),) == one.faults

    def test_a_platform_demands_nothing_of_whom_it_does_not_serve(self):
        users = demand(serving=lambda kind, values: kind == "user")

        assert [("required", "number")] == judged(completed(), demands=(users,))
        assert [] == judged(completed(), demands=(users,), kind="contact")

    def test_the_kind_of_an_account_that_exists_is_its_own(self):
        users = demand(serving=lambda kind, values: kind == "user")
        known = standing(kind="contact")

        assert [] == judged(completed(known, did="1234"), demands=(users,), kind="user")

    def test_a_field_that_is_untouched_is_let_be(self):
        known = standing(attributes={"did": "1234"})

        assert [] == judged(completed(known, did="1234", login="ann"), demands=(demand(),))
        assert [("too_long", "number")] == judged(completed(known, did="12345"), demands=(demand(),))

    def test_whom_a_platform_has_not_served_it_judges_as_new(self):
        northern = demand(serving=lambda kind, values: values.get("location") == "north")
        known = standing(attributes={"did": "1234"})

        assert [("too_long", "number")] == judged(
            completed(known, did="1234", location="north"), demands=(northern,)
        )

    def test_what_a_platform_cannot_be_told_is_a_fault(self):
        (one,) = validate([completed(title="impossible")], (), (demand(),), NOWHERE, "user")

        assert (Fault("transform", None, "platform pbx: title cannot be written"),) == one.faults

    def test_what_a_platform_cannot_be_told_is_a_fault_of_every_change(self):
        known = standing(attributes={"title": "impossible"})

        assert [("transform", None)] == judged(
            completed(known, title="impossible", did="1"), demands=(demand(),)
        )

    def test_what_a_platform_can_be_told_again_is_judged_anew(self):
        known = standing(attributes={"title": "impossible", "did": "1234"})

        assert [("too_long", "number")] == judged(completed(known, did="1234"), demands=(demand(),))

    def test_every_platform_is_heard(self):
        two = (demand(), demand(limit=2))

        assert [("too_long", "number")] == judged(completed(did="123"), demands=two)
