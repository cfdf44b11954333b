"""Distinguished names are read, compared and written as RFC 4514 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd_ldap import dn

VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", ()),
        ("  ", ()),
        ("UID=jsmith,DC=example,DC=net", (("UID", "jsmith"), ("DC", "example"), ("DC", "net"))),
        ('CN=James \\"Jim\\" Smith\\, III,DC=net', (("CN", 'James "Jim" Smith, III'), ("DC", "net"))),
        ("CN=Before\\0dAfter,DC=net", (("CN", "Before\rAfter"), ("DC", "net"))),
        ("CN=Lu\\C4\\8Di\\C4\\87", (("CN", "Lučić"),)),
        ("1.3.6.1.4.1.1466.0=x", (("1.3.6.1.4.1.1466.0", "x"),)),
        ("ou = a , dc = b", (("ou", "a"), ("dc", "b"))),
        ("cn=a\\ ,dc=b", (("cn", "a "), ("dc", "b"))),
        ("cn=\\ a\\  ", (("cn", " a "),)),
        ("cn=\\#x", (("cn", "#x"),)),
        ("cn=", (("cn", ""),)),
        ("cn=a=b", (("cn", "a=b"),)),
        ("cn=ü☃", (("cn", "ü☃"),)),
    ],
)
def test_a_name_is_read(name: str, expected: tuple[tuple[str, str], ...]) -> None:
    assert tuple((pair,) for pair in expected) == dn.parse(name)


def test_a_step_can_have_several_pairs() -> None:
    assert ((("OU", "Sales"), ("CN", "J. Smith")), (("DC", "net"),)) == dn.parse(
        "OU=Sales+CN=J. Smith,DC=net"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example", "no attribute=value at character 1"),
        ("dc=example,", "no attribute=value at character 12"),
        ("dc=a,,dc=b", "no attribute=value at character 6"),
        ("=b", "no attribute=value at character 1"),
        ("cn=a;dc=b", r"write ';' as '\\;'"),
        ('cn="a, b",dc=c', "write '\"' as"),
        ("cn=<GUID=1>", r"write '<' as '\\<'"),
        ("cn=a\\,", None),
        ("cn=a\\", r"write '\\\\'"),
        ("cn=a\\zb", r"write '\\\\'"),
        ("cn=\\ff", "codec"),
    ],
)
def test_what_is_no_name_is_refused(name: str, expected: str | None) -> None:
    if expected is None:
        assert ((("cn", "a,"),),) == dn.parse(name)
        return
    with pytest.raises(ValueError, match=expected):
        dn.parse(name)


@given(st.lists(st.tuples(st.sampled_from(["cn", "OU", "dc"]), VALUES), min_size=1, max_size=4))
def test_an_escaped_value_is_read_as_it_was(pairs: list[tuple[str, str]]) -> None:
    name = ",".join(f"{kind}={dn.escape(value)}" for kind, value in pairs)
    assert tuple((pair,) for pair in pairs) == dn.parse(name)
    assert name.isprintable() or any(not character.isprintable() for _, value in pairs for character in value)
    assert "\n" not in name


@given(st.text(max_size=30))
def test_any_text_is_a_name_or_a_complaint(text: str) -> None:
    try:
        dn.parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("OU=Sales,DC=Example", "ou=sales, dc=example"),
        ("cn=a  b,dc=c", "cn=A b,dc=c"),
        ("cn=a+ou=b,dc=c", "OU=B+CN=A,dc=c"),
        ("cn=a\\2cb", "cn=a\\,b"),
        ("cn=STRASSE", "cn=straße"),
    ],
)
def test_two_writings_of_a_name_are_the_same(one: str, other: str) -> None:
    assert dn.same(one, other)


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("ou=a,dc=b", "dc=b", True),
        ("dc=b", "dc=b", True),
        ("dc=b", "ou=a,dc=b", False),
        ("ou=aa,dc=b", "ou=a,dc=b", False),
        ("cn=x\\,dc=b", "dc=b", False),
        ("dc=b", "", True),
        ("", "", True),
        ("", "dc=b", False),
    ],
)
def test_within(inner: str, outer: str, expected: bool) -> None:
    assert expected is dn.within(inner, outer)


@given(st.lists(VALUES, min_size=2, max_size=4))
def test_the_first_step_of_a_name_can_be_taken_off(values: list[str]) -> None:
    steps = [dn.step([("cn", value)]) for value in values]

    assert (steps[0], ",".join(steps[1:])) == dn.split(",".join(steps))
    assert (steps[0], "") == dn.split(steps[0])


@given(VALUES, VALUES)
def test_a_step_is_read_as_it_was_written(one: str, other: str) -> None:
    pairs = (("uid", one), ("cn", other))

    assert (pairs,) == dn.parse(dn.step(pairs))


def test_an_equals_sign_is_escaped_for_servers_that_want_it() -> None:
    assert "cn=a\\=b" == dn.step([("cn", "a=b")])


def test_what_entries_are_called_is_taken_out_of_their_names() -> None:
    names = ("CN=Phones,OU=Groups,DC=acme", "cn=Füße\\2C 1 + ou=x , dc=acme", "", "uid=\\23a")
    assert ("Phones", "Füße, 1", "#a") == dn.rdn(None)(names)
    with pytest.raises(ValueError, match="'Phones' is no distinguished name"):
        dn.rdn(None)(("Phones",))
    with pytest.raises(ValueError, match="rdn takes no argument"):
        dn.rdn("2")


def test_all_writings_of_a_name_have_one_text() -> None:
    assert dn.folded("CN=A  b+UID=x, DC=Ex") == dn.folded("uid=X+cn=a b,dc=ex")
    assert dn.folded("cn=a,dc=ex") != dn.folded("cn=b,dc=ex")
