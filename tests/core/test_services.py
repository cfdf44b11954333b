"""Which accounts a platform serves, and what it has to be told of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import role

from syncd.services import Service, changed_fields, serves

ROLES = {
    "desk": role("desk", services=("pbx", "xmpp")),
    "field": role("field", services=("xmpp",)),
    "nobody": role("nobody", services=()),
    "anybody": role("anybody"),
}


def accepted(values, kind: str = "user", enterprise: str = "acme", **service) -> bool:
    return serves(Service(name="pbx", **service), enterprise, kind, values)


def test_a_platform_without_conditions_serves_everybody():
    assert accepted({})
    assert accepted({"role": "desk"}, kind="contact", enterprise="other")


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("desk", True),
        ("field", False),
        ("nobody", False),
        ("anybody", True),
        ("not configured", True),
        (None, True),
        (("field",), True),
    ],
)
def test_the_template_of_the_role_names_the_platform(role, expected):
    values = {} if role is None else {"role": role}

    assert expected == accepted(values, roles=ROLES)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"location": "north", "groups": ("a", "staff")}, True),
        ({"location": "south", "groups": ("staff",)}, False),
        ({"location": "north", "groups": ("a", "b")}, False),
        ({"location": "north", "groups": ()}, False),
        ({"location": "north"}, False),
        ({"location": ("south", "north"), "groups": "staff"}, True),
    ],
)
def test_every_accepted_attribute_has_a_value_that_is_let_in(values, expected):
    accept = {"location": frozenset({"north", "west"}), "groups": frozenset({"staff"})}

    assert expected == accepted(values, accept=accept)


def test_a_platform_takes_its_own_kinds_and_enterprises_only():
    assert not accepted({}, kind="contact", kinds=frozenset({"user"}))
    assert accepted({}, kind="user", kinds=frozenset({"user"}))
    assert not accepted({}, enterprise="other", enterprises=frozenset({"acme"}))
    assert accepted({}, enterprise="acme", enterprises=frozenset({"acme"}))


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({}, []),
        ({"roles": {"anybody": ROLES["anybody"]}}, []),
        ({"roles": ROLES}, ["field", "nobody"]),
    ],
)
def test_roles_whose_services_do_not_name_the_platform_are_elsewhere(service, expected):
    assert expected == Service(name="pbx", **service).elsewhere


VALUES = st.dictionaries(
    st.sampled_from(["location", "role", "title"]), st.sampled_from(["a", "desk", "field"])
)


@given(VALUES, VALUES)
def test_a_platform_without_conditions_serves_all_or_none(one, other):
    service = Service(name="pbx", roles={"anybody": ROLES["anybody"]})

    assert serves(service, "acme", "user", one) == serves(service, "acme", "user", other)


@given(VALUES, VALUES)
def test_the_changed_fields_are_those_that_differ(delivered, wanted):
    changed = changed_fields(delivered, wanted)

    assert changed == changed_fields(wanted, delivered)
    assert wanted == {
        name: (wanted if name in changed else delivered)[name]
        for name in delivered.keys() | wanted.keys()
        if name not in changed or name in wanted
    }
