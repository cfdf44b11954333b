"""The options of the source ``ldap`` are judged before anything touches the network."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from servers.ldap_source import ldap_source

from syncd import ConfigError
from syncd_ldap.adapter import search_request
from syncd_ldap.filters import check_filter, escape_filter
from syncd_ldap.options import Options
from syncd_ldap.wire import children

GOOD = {"url": ["ldaps://dc1.example"], "base": ["dc=example"], "filter": "(objectClass=person)"}
BIND = {"dn": "cn=reader", "password": "credential:hq"}


def problem(**options: Any) -> str:
    """Return the only complaint about these options."""
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(GOOD | options)
    (error,) = caught.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


def test_defaults_are_safe() -> None:
    options = Options.model_validate(GOOD)
    assert (None, False, None) == (options.tls, options.allow_plaintext_bind, options.bind)
    assert ("auto", "map", "partial", "subtree") == (
        options.anchor,
        options.disabled,
        options.referrals,
        options.scope,
    )
    assert all(limit > 0 for limit in (options.connect_timeout, options.read_timeout, options.deadline))


def test_every_option_is_described() -> None:
    for model in (Options, type(Options.model_validate(GOOD | {"bind": BIND}).bind)):
        for name, field in model.model_fields.items():
            assert field.description, name


def test_an_unknown_option_is_refused() -> None:
    assert "Extra inputs are not permitted" == problem(pagesize=7)


@pytest.mark.parametrize(
    "url",
    [
        "ldaps://dc1.example:3269",
        "ldaps://dc1.example/",
        "LDAPS://dc1.example",
        "ldaps://[::1]:636",
        "ldaps://192.0.2.1",
    ],
)
def test_a_url_is_a_host_and_perhaps_a_port(url: str) -> None:
    Options.model_validate(GOOD | {"url": [url]})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("dc1.example", "must be ldaps://host, ldap://host"),
        ("ldaps://", "must be ldaps://host, ldap://host"),
        ("https://dc1.example", "must be ldaps://host, ldap://host"),
        ("ldapi://%2Frun%2Fldapi", "must be ldaps://host, ldap://host"),
        ("ldaps://dc1.example/dc=example", "says more than host and port"),
        ("ldaps://dc1.example?uid", "says more than host and port"),
        ("ldaps://reader:secret@dc1.example", "says more than host and port"),
        ("ldaps://dc1.example:port", "Port could not be cast"),
        ("ldaps://dc1.example:99999", "Port out of range"),
    ],
)
def test_a_url_that_is_none_is_refused(url: str, expected: str) -> None:
    assert expected in problem(url=[url])


def test_there_is_at_least_one_url_and_one_base() -> None:
    for name in ("url", "base"):
        assert "List should have at least 1 item after validation, not 0" == problem(**{name: []})


@pytest.mark.parametrize("scheme", ["ldap", "LDAP"])
def test_plain_ldap_needs_a_word_about_tls(scheme: str) -> None:
    plain = {"url": ["ldaps://dc1.example", f"{scheme}://dc2.example"]}
    assert "dc2.example is not protected: write ldaps://, or set tls" in problem(**plain)
    Options.model_validate(GOOD | plain | {"tls": "starttls", "bind": BIND})


def test_a_password_goes_without_tls_only_if_that_is_said_twice() -> None:
    plain = {"url": ["ldap://dc1.example"], "tls": "none"}
    Options.model_validate(GOOD | plain)
    assert "would send the password for every listener to read" in problem(**plain, bind=BIND)
    Options.model_validate(GOOD | plain | {"bind": BIND, "allow_plaintext_bind": True})


def test_a_failure_of_ldaps_never_becomes_an_open_connection() -> None:
    urls = ["ldaps://dc1.example", "ldap://dc1.example"]
    assert "would turn a failure of ldaps:// into an open connection" in problem(url=urls, tls="none")


def test_a_bind_has_a_name_and_a_reference() -> None:
    assert "password missing: a simple bind needs" in problem(bind={"dn": "cn=reader"})
    assert "dn and password missing: a simple bind needs" in problem(bind={})
    assert "String should have at least 1 character" == problem(bind={"dn": "", "password": "file:x"})
    assert "String should have at least 1 character" == problem(bind={"dn": "cn=x", "password": ""})


def test_a_ticket_needs_no_password_and_perhaps_a_name() -> None:
    for bind in ({}, {"dn": "syncd@ACME.EXAMPLE"}):
        options = Options.model_validate(GOOD | {"bind": {"mechanism": "gssapi"} | bind})
        assert ("gssapi", None) == (options.bind.mechanism, options.bind.password)
    assert "a ticket needs no password" in problem(bind=BIND | {"mechanism": "gssapi"})
    plain = {"url": ["ldap://dc1.example"], "tls": "none"}
    Options.model_validate(GOOD | plain | {"bind": {"mechanism": "gssapi"}})


@pytest.mark.parametrize("word", ["ntlm", "NTLM"])
def test_ntlm_is_refused_with_the_reason(word: str) -> None:
    expected = "NTLM is not offered: it needs MD4.*without channel binding.*simple bind over TLS"
    assert re.search(expected, problem(bind=BIND | {"mechanism": word}))


def test_a_complaint_does_not_repeat_a_password() -> None:
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(GOOD | {"bind": {"dn": 7, "password": "hunter2", "x": 1}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("bases", "inner", "outer"),
    [
        (["dc=example", "ou=a,dc=example"], "ou=a,dc=example", "dc=example"),
        (["ou=a,dc=example", "dc=example"], "ou=a,dc=example", "dc=example"),
        (["ou=a,dc=example", "OU=A, DC=Example"], "ou=a,dc=example", "OU=A, DC=Example"),
        (
            ["ou=x,ou=a\\2cb,dc=example", "ou=A\\,b,dc=example"],
            "ou=x,ou=a\\2cb,dc=example",
            "ou=A\\,b,dc=example",
        ),
        (["", "dc=example"], "dc=example", ""),
    ],
)
def test_a_base_inside_another_is_refused(bases: list[str], inner: str, outer: str) -> None:
    expected = f"{inner!r} lies inside {outer!r}: its people would be read twice; remove it"
    assert expected == problem(base=bases)


def test_bases_beside_each_other_are_fine() -> None:
    for bases in (["ou=a,dc=example", "ou=b,dc=example"], ["ou=a,dc=example", "ou=ba,dc=example"], [""]):
        Options.model_validate(GOOD | {"base": bases})


def test_with_scope_one_only_equal_bases_overlap() -> None:
    bases = ["dc=example", "ou=a,dc=example"]
    Options.model_validate(GOOD | {"base": bases, "scope": "one"})
    assert "lies inside" in problem(base=["dc=example", "DC=example"], scope="one")


def test_a_base_is_a_distinguished_name() -> None:
    assert "'example' is no distinguished name: no attribute=value at character 1" == problem(
        base=["example"]
    )


@pytest.mark.parametrize("name", ["object GUID", "objectGUID)", "", "1abc", "mail;", "größe", "*", "mail\n"])
def test_an_anchor_is_the_name_of_an_attribute(name: str) -> None:
    assert f"{name!r} is no name of an attribute" == problem(anchor=name)


def test_a_selected_attribute_that_is_none_is_a_configuration_error() -> None:
    names = ["mail", "mail)(uid=*", "cn;lang-de", "1.2.840.113556.1.4.2", "*", "+"]
    with pytest.raises(ConfigError) as caught:
        ldap_source("ldaps://localhost", select=names)
    assert tuple(f"source hq: {name!r} is no name of an attribute" for name in ("mail)(uid=*", "*", "+")) == (
        caught.value.problems
    )


# --- filters


@pytest.mark.parametrize(
    "text",
    [
        "(objectClass=person)",
        "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
        "(|(mail=*)(mail=a*b*c)(cn~=x)(uidNumber>=5)(uidNumber<=9))",
        "(cn=\\2a\\28\\29\\5c\\00)",
        "(cn;lang-de=ü)",
        "(memberOf:1.2.840.113556.1.4.1941:=CN=G,DC=example)",
        "(cn=)",
    ],
)
def test_a_filter_is_taken(text: str) -> None:
    Options.model_validate(GOOD | {"filter": text})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "objectClass=person",
        "(objectClass=person",
        "(objectClass=person))",
        "(a=b)(c=d)",
        "(&(a=b)c=d)",
        "(!(a=b)(c=d))",
        "(&)",
        "()",
        "(a)",
        "(=b)",
        "(object class=b)",
        "(cn=\\zz)",
        "(cn=a\\)",
        "(cn=x*\\2)",
        "(a=b)\x00",
        ")(",
    ],
)
def test_a_filter_with_a_typing_error_is_refused_offline(text: str) -> None:
    assert f"{text!r} is no LDAP filter" in problem(filter=text)


@given(st.text(alphabet="()&|!=*\\ab2: ~<>\x00ü", max_size=20))
def test_any_text_is_a_filter_or_a_complaint(text: str) -> None:
    try:
        check_filter(text)
    except ValueError as error:
        assert "is no LDAP filter" in str(error)  # noqa: PT017 - either way is right
    else:
        assert search_request("", text, "subtree", ["cn"])


@given(st.text(max_size=40))
def test_a_value_in_a_filter_arrives_as_it_is_and_adds_no_condition(value: str) -> None:
    text = f"(&(objectClass=person)(cn={escape_filter(value)}))"
    check_filter(text)
    ((_, operation),) = children(search_request("dc=example", text, "one", ["cn"]))
    conditions = children(children(operation)[6][1])
    assert 2 == len(conditions)
    assert [(0x04, b"cn"), (0x04, value.encode())] == children(conditions[1][1])


# --- loading


def test_finding_the_plugin_imports_neither_ldap3_nor_pydantic() -> None:
    code = "import sys, syncd_ldap; sys.exit(bool({'ldap3', 'pydantic'} & set(sys.modules)))"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_the_plugin_registers_the_word_ldap_for_a_source_and_a_platform() -> None:
    import syncd_ldap
    from syncd_ldap.platform import LdapPlatform
    from syncd_ldap.source import LdapSource

    found = []
    syncd_ldap.register_connectors(lambda word, kind: found.append((word, kind)), lambda *_: True)
    assert [("ldap", LdapSource), ("ldap", LdapPlatform)] == found
