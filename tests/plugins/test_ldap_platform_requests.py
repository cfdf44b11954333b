"""Requests are written as ldap3 writes them, byte by byte, and hold values as they are."""

from __future__ import annotations

import ldap3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.add import add_operation
from ldap3.operation.delete import delete_operation
from ldap3.operation.modify import modify_operation
from ldap3.operation.modifyDn import modify_dn_operation
from ldap3.operation.search import search_operation
from ldap3.utils.asn1 import encode

from syncd_ldap import requests
from syncd_ldap.filters import escape_filter
from syncd_ldap.wire import element

DN = "uid=ü\\, 1,dc=example"
VALUES = st.lists(st.binary(max_size=300), min_size=1, max_size=3)
NAMES = st.sampled_from(["cn", "sn", "mail", "description;lang-de"])
ATTRIBUTES = st.dictionaries(NAMES, VALUES, min_size=1)


def test_an_attribute_without_values_is_not_part_of_a_new_entry() -> None:
    assert requests.adding(DN, {"cn": [b"x"]}) == requests.adding(DN, {"cn": [b"x"], "sn": []})


@given(ATTRIBUTES)
def test_an_add_request(attributes: dict[str, list[bytes]]) -> None:
    assert encode(add_operation(DN, attributes, False)) == requests.adding(DN, attributes)


@given(ATTRIBUTES, st.sampled_from([requests.ADD, requests.DELETE, requests.REPLACE]))
def test_a_modify_request(attributes: dict[str, list[bytes]], kind: int) -> None:
    word = {0: ldap3.MODIFY_ADD, 1: ldap3.MODIFY_DELETE, 2: ldap3.MODIFY_REPLACE}[kind]
    changes = {name: [(word, values)] for name, values in attributes.items()}
    ours = [requests.Change(kind, name, values) for name, values in attributes.items()]

    assert encode(modify_operation(DN, changes, False)) == requests.modifying(DN, ours)


def test_a_change_without_values_takes_the_attribute_away() -> None:
    changes = {"cn": [(ldap3.MODIFY_REPLACE, [])]}

    assert encode(modify_operation(DN, changes, False)) == requests.modifying(
        DN, [requests.replaced("cn", [])]
    )


def test_a_delete_request() -> None:
    assert encode(delete_operation(DN)) == requests.deleting(DN)


@pytest.mark.parametrize("parent", [None, "ou=ä,dc=example"])
def test_a_rename_takes_the_old_value_away(parent: str | None) -> None:
    theirs = encode(modify_dn_operation(DN, "uid=x", True, parent))

    assert theirs == requests.renaming(DN, "uid=x", parent)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_search_for_a_value_is_a_search_for_that_value(value: str) -> None:
    """As text it has to be escaped, as bytes it cannot be anything else."""
    filter_ = f"(&(objectClass=person)(|(uid={escape_filter(value)})(mail={escape_filter(value)})))"
    no = False
    theirs = encode(
        search_operation("dc=example", filter_, ldap3.SUBTREE, ldap3.DEREF_NEVER, ["cn"], 2, 0, no, no, no)
    )
    wanted = requests.any_of(requests.equal("uid", value.encode()), requests.equal("mail", value.encode()))
    both = requests.all_of(requests.compiled("(objectClass=person)"), wanted)

    assert theirs == requests.searching("dc=example", requests.SUBTREE, both, ["cn"], 2)


@pytest.mark.parametrize(
    "text", ["(objectClass=*)", "(cn=a*b*c)", "(!(uid>=5))", "(&(a=1)(|(b~=2)(c:dn:2.4:=3)))"]
)
def test_a_filter_of_the_configuration_becomes_the_filter_of_a_request(text: str) -> None:
    no = False
    theirs = encode(search_operation("dc=x", text, ldap3.BASE, ldap3.DEREF_NEVER, ["1.1"], 0, 0, no, no, no))

    assert theirs == requests.searching("dc=x", requests.BASE, requests.compiled(text), ["1.1"])


def test_anything_is_an_entry_of_any_class() -> None:
    assert requests.compiled("(objectClass=*)") == requests.anything() == element(0x87, b"objectClass")
