"""The options of the platform ``ldap`` are judged before anything touches the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ldap3.core.results import RESULT_CODES
from pydantic import ValidationError
from servers.ldap_platform import ATTRIBUTES, account, ldap_platform

from syncd import ConfigError, ConnectorError, Denied, Field, Gone, Rejected, Unavailable
from syncd.config import Catalog, load
from syncd.plugins import load as load_plugins
from syncd_ldap import failures
from syncd_ldap.options import Options, ServerOptions
from syncd_ldap.platformoptions import SWITCHES, PlatformOptions

GOOD = {
    "url": ["ldaps://ds1.example"],
    "base": "ou=people,dc=example",
    "attributes": {"uid": "login", "cn": "display_name"},
    "disable": "ad",
}


def options(**more: Any) -> PlatformOptions:
    return PlatformOptions.model_validate(GOOD | more)


def problem(**more: Any) -> str:
    """Return the only complaint about these options."""
    with pytest.raises(ValidationError) as caught:
        options(**more)
    (error,) = caught.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


def test_source_and_platform_reach_servers_by_the_same_options() -> None:
    shared = set(ServerOptions.model_fields)

    assert shared < set(Options.model_fields)
    assert shared < set(PlatformOptions.model_fields)


def test_what_is_left_out_follows_from_the_rest() -> None:
    told = options(attributes={"UID": "login", "cn": "display_name"})

    assert ("UID", ["UID"], "(objectClass=inetOrgPerson)", "auto", None) == (
        told.rdn,
        told.key,
        told.filter,
        told.anchor,
        told.groups,
    )


def test_attributes_may_be_a_list_of_equal_names() -> None:
    assert options(attributes={"login": "login"}, rdn="login") == options(attributes=["login"], rdn="login")


@pytest.mark.parametrize("word", SWITCHES)
def test_a_way_to_disable_has_a_short_word(word: str) -> None:
    assert options(disable=SWITCHES[word]) == options(disable=word)


def test_it_has_to_be_said_how_accounts_are_disabled() -> None:
    told = {name: value for name, value in GOOD.items() if name != "disable"}
    with pytest.raises(ValidationError, match="Field required"):
        PlatformOptions.model_validate(told)


@pytest.mark.parametrize(
    ("disable", "expected"),
    [
        ("lock", 'must be "ad", "ppolicy", "nsaccountlock", "delete", or a table'),
        ({}, "one of the three"),
        ({"delete": True, "base": "ou=former"}, "one of the three"),
        ({"attribute": "loginDisabled"}, "loginDisabled: write the value that disables, or a bit"),
        ({"attribute": "a", "value": "x", "bit": 2}, "write the value that disables, or a bit"),
        ({"base": "ou=former", "value": "x"}, "value, enabled and bit belong to an attribute"),
        ({"attribute": "a", "bit": 2, "enabled": "x"}, "with a bit there is no value for enabled entries"),
        ({"attribute": "a", "value": "x", "enabled": "x"}, "would look like an enabled one"),
        ({"base": "former"}, "is no distinguished name"),
    ],
)
def test_a_way_to_disable_that_cannot_work_is_refused(disable: Any, expected: str) -> None:
    assert expected in problem(disable=disable)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"uid": "login", "userPassword": "info"},
            "userPassword: passwords and other secrets cannot be written",
        ),
        ({"uid": "login", "unicodePwd;x-y": "info"}, "passwords and other secrets cannot be written"),
        (
            {"uid": "login", "description": "pin"},
            "description: passwords and other secrets cannot be written",
        ),
        ({"uid": "login", "objectClass": "info"}, "objectClass cannot be written like this"),
        ({"uid": "login", "memberships": "groups"}, "memberships cannot be written like this"),
        ({"uid": "login", "UID": "email"}, "UID stands twice"),
        (
            {"uid": "login", "useraccountcontrol": "info"},
            "userAccountControl is written by the platform itself",
        ),
        ({"cn": "display_name"}, "uid names or finds entries, so attributes must say what fills it"),
        ({"uid": {"attribute": "login", "many": True}}, "uid names entries, so it has one value"),
        ({"uid": "login", "s n": "info"}, "'s n' is no name of an attribute"),
    ],
)
def test_attributes_that_cannot_be_written_are_refused(attributes: Any, expected: str) -> None:
    assert expected in problem(attributes=attributes)


def test_the_anchor_is_the_servers_own() -> None:
    assert "cn is written by the platform itself, or by the server" in problem(anchor="cn")
    assert "dn" == options(anchor="dn").anchor


def test_a_password_goes_to_a_platform_over_tls_as_to_a_source() -> None:
    assert "ldap://ds1.example is not protected" in problem(url=["ldap://ds1.example"])


def test_disabled_entries_are_looked_for_where_they_are_moved_to() -> None:
    inside = options(disable={"base": "ou=former,ou=people,dc=example"})
    outside = options(disable={"base": "ou=former,dc=example"})

    assert ["ou=people,dc=example"] == inside.places
    assert ["ou=people,dc=example", "ou=former,dc=example"] == outside.places


CONFIGURATION = """
[enterprise.acme]
[platform.staff]
type = "ldap"
url = ["ldaps://ds1.example"]
base = "ou=people,dc=example"
attributes = ["uid"]
disable = "ad"
[platform.staff.map]
uid = "login"
userPassword = "description"
"""


def test_a_password_cannot_be_mapped(tmp_path: Path) -> None:
    """What is no field of the platform is an error of the configuration, with its line."""
    file = tmp_path / "syncd.toml"
    file.touch(0o600)
    file.write_text(CONFIGURATION)
    plugins = load_plugins({"ldap"}, ())
    catalog = Catalog(sources=plugins.sources, platforms=plugins.platforms, transforms={}, rules={})
    with pytest.raises(ConfigError) as caught:
        load([file], catalog, {})

    assert [
        f"{file}:11: platform.staff.map.userPassword: there is no field 'userPassword'; there is uid"
    ] == list(caught.value.problems)


def test_the_fields_are_the_attributes() -> None:
    platform = ldap_platform(
        "ldaps://ds1.example",
        key=["mail", "uid"],
        groups={"base": "ou=groups,dc=example"},
        attributes=ATTRIBUTES,
    )

    assert {
        "uid": Field("login", "uid of the entry", required=True, key=True),
        "cn": Field("display_name", "cn of the entry"),
        "sn": Field("last_name", "sn of the entry", required=True),
        "mail": Field("secondary_phones", "mail of the entry", key=True, many=True),
        "description": Field("description", "description of the entry"),
        "memberships": Field(
            "groups", "cns of the groups below ou=groups,dc=example that the person is in", many=True
        ),
    } == platform.fields


def test_the_only_key_is_required() -> None:
    fields = ldap_platform("ldaps://ds1.example", key=["mail"]).fields

    assert {"uid", "mail", "sn"} == {name for name, field in fields.items() if field.required}


def test_the_fingerprint_does_not_depend_on_the_order_of_values() -> None:
    platform = ldap_platform("ldaps://ds1.example", groups={"base": "ou=groups"})

    def fingerprint(mail: tuple[str, ...], memberships: tuple[str, ...]) -> str:
        return platform.fingerprint(account(mail=mail, memberships=memberships))

    assert fingerprint(("a", "b"), ("Sales", "staff")) == fingerprint(("b", "a", ""), ("STAFF", "sales"))
    assert fingerprint(("a", "b"), ("Sales",)) != fingerprint(("a", "b"), ())


def test_making_a_platform_does_not_import_ldap3() -> None:
    program = (
        "import sys, syncd_ldap.platform as p; "
        "o = p.LdapPlatform.Options(url=['ldaps://a'], base='o=x', attributes=['uid'], disable='ad'); "
        "p.LdapPlatform(o, None); print('ldap3' in sys.modules)"
    )

    assert (
        "False\n"
        == subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    )


def test_every_result_code_has_a_meaning() -> None:
    assert {code: name for code, name in RESULT_CODES.items() if code} == {
        code: meaning.name for code, meaning in failures.MEANINGS.items()
    }


@pytest.mark.parametrize(
    ("code", "message", "expected", "words"),
    [
        (
            19,
            "00002082: AtrErr: DSID-03151904, #1: Att 9004e (sn):len 140",
            Rejected,
            "constraintViolation at sn (19)",
        ),
        (65, "object class 'person' requires attribute 'sn'", Rejected, "objectClassViolation at sn (65)"),
        (65, 'missing attribute "sn" required by object class "person"', Rejected, "at sn (65)"),
        (
            19,
            "0000202F: SINGLE-VALUE attribute info on CN=a specified more than once",
            Rejected,
            "at info (19)",
        ),
        (65, "attribute 'badge' not allowed", Rejected, "at badge (65)"),
        (
            64,
            "value of naming attribute 'uid' is not present in entry",
            Rejected,
            "namingViolation at uid (64)",
        ),
        (17, "badge: attribute type undefined", Rejected, "undefinedAttributeType at badge (17)"),
        (21, "mail: value #0 invalid per syntax", Rejected, "invalidAttributeSyntax at mail (21)"),
        (21, "", Rejected, "invalidAttributeSyntax (21);"),
        (
            53,
            "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM)",
            Rejected,
            "without a password",
        ),
        (53, "shadow context; no update referral", Denied, "name a server in url that may be written to"),
        (53, "operation restricted", Denied, "may be written to"),
        (10, "", Denied, "another server holds this"),
        (8, "modifications require authentication", Denied, "configure bind"),
        (1, "000004DC: a successful bind must be completed on the connection", Denied, "configure bind"),
        (1, "", Unavailable, "something went wrong inside the server"),
        (32, "", Gone, "noSuchObject"),
        (50, "no write access to parent", Denied, "the right to write there"),
        (51, "", Unavailable, "busy"),
        (52, "", Unavailable, "unavailable"),
        (80, "", Unavailable, "see the log"),
        (99, "", Unavailable, "result (99)"),
    ],
)
def test_a_refusal_says_who_has_to_act_and_where(
    code: int, message: str, expected: type[ConnectorError], words: str
) -> None:
    error = failures.refusal(code, message, "ldaps://ds1: add of uid=a")

    assert expected is type(error)
    assert str(error).startswith("ldaps://ds1: add of uid=a: ")
    assert words in str(error)
