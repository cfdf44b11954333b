"""The rules of a finished record, and a platform's demands on its fields."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.connector import Field
from syncd.model import Fault
from syncd.validation import RULES, Check, digits, e_mail, fits, judge, length, one_of, pattern, plain_text

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"
USES = [
    *("ascii", "latin-1", "plain-text", "e-mail", "digits", "digits:4", "digits:0-31", "length:2-113"),
    *("one-of:de,en", "pattern:[a-z]+"),
]


def rule(use: str):
    name, colon, argument = use.partition(":")
    return RULES[name](argument if colon else None)


def documented() -> list[tuple[str, str, str]]:
    row = re.compile(r'^\| `(?P<use>[^|]+)` \| `(?P<good>".*?")` \| `(?P<bad>".*?")` \|', re.MULTILINE)
    return [(one["use"], one["good"], one["bad"]) for one in row.finditer(PAGE.read_text("utf-8"))]


@pytest.mark.parametrize(("use", "good", "bad"), documented())
def test_every_example_of_the_page_is_true(use, good, bad):
    assert rule(use)(json.loads(good)) is None
    assert rule(use)(json.loads(bad))


def test_every_rule_stands_on_the_page():
    assert set(RULES) == {use.partition(":")[0] for use, _, _ in documented()}


@pytest.mark.parametrize(
    "use",
    [
        *(
            "ascii:x",
            "latin-1:",
            "plain-text:1",
            "e-mail:x",
            "digits:",
            "digits:x",
            "digits:5-4",
            "digits:-4",
        ),
        *(
            "length",
            "length:",
            "length:9-1",
            "length:a-b",
            "pattern",
            "pattern:",
            "pattern:[",
            "pattern:(?P<",
        ),
        *("one-of", "one-of:", "one-of:a,,b"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_with_a_cure(use):
    with pytest.raises(ValueError, match=r"write|such as|not a regular expression"):
        rule(use)


@pytest.mark.parametrize("use", USES)
@settings(max_examples=60, deadline=None)
@given(value=st.one_of(st.text(max_size=30), st.text(alphabet=st.characters(codec=None), max_size=5)))
def test_a_rule_is_total_and_pure(use, value):
    found = rule(use)(value)
    assert found is None or (isinstance(found, str) and found)
    assert found == rule(use)(value)


@pytest.mark.parametrize("use", USES)
def test_no_message_repeats_the_value(use):
    """It may be a password or a PIN."""
    for secret in ("Zx9!Zx9!Zx9!", "\u200bZx9!Zx9!", "žЖZx9!", "9" * 300 + "Zx9!"):
        assert "Zx9!" not in (rule(use)(secret) or "")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "admin",
            "anna.müller",
            "o'neill-smith_2",
            "Ñandú",
            "Łukasz",
            "straße",
            "ﬁnn",
            "Ａnna",
            "",
            "user 2",
            "№5",
        ),
        *(
            "иван.петров",
            "Γιώργος",
            "田中太郎",
            "田中たろう",
            "タナカ",
            "たなかタロウ",
            "ラーメン",
            "田中Taro",
        ),
        *(
            "김철수",
            "金철수",
            "ㄅㄆ王",
            "محمد",
            "משה",
            "สมชาย",
            "иван@acme.example",
            "a\u0301nna",
            "Oʻzbek",
            "佐々木",
        ),
    ],
)
def test_plain_text_takes_names_of_every_writing(value):
    assert plain_text(value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("user\u200b", "invisible character U+200B (ZERO WIDTH SPACE) at offset 4"),
        ("\u202euser", "invisible character U+202E (RIGHT-TO-LEFT OVERRIDE) at offset 0"),
        ("us\u00ader", "U+00AD (SOFT HYPHEN) at offset 2"),
        ("us\x00er", "U+0000 at offset 2"),
        ("user\n", "U+000A at offset 4"),
        ("us\ud800er", "U+D800 at offset 2"),
        ("us\ufe0fer", "U+FE0F (VARIATION SELECTOR-16) at offset 2"),
        ("us\u3164er", "U+3164 (HANGUL FILLER) at offset 2"),
        ("us\u2028er", "U+2028 (LINE SEPARATOR) at offset 2"),
        ("аdmin", "Cyrillic, Latin"),
        ("admιn", "Greek, Latin"),
        ("µser", "Greek, Latin"),
        ("pаypal@acme.example", "Cyrillic, Latin"),
        ("ｒооt", "Cyrillic, Latin"),
        ("Ꭺnna", "Cherokee, Latin"),
        ("ロシаア", "Cyrillic, Katakana"),
        ("김たろ", "Hangul, Hiragana"),
    ],
)
def test_plain_text_refuses_what_a_person_cannot_tell_apart(value, message):
    assert message in plain_text(value)


@settings(max_examples=200, deadline=None)
@given(st.characters(categories=["Cc", "Cf", "Cs"]), st.text(max_size=5), st.text(max_size=5))
def test_plain_text_never_lets_an_invisible_character_pass(invisible, before, after):
    assert plain_text(before + invisible + after)


@settings(max_examples=200, deadline=None)
@given(st.characters(categories=["Lu", "Ll"]), st.characters(categories=["Lu", "Ll"]))
def test_plain_text_never_lets_latin_and_cyrillic_stand_together(one, other):
    scripts = {unicodedata.name(character, "").partition(" ")[0] for character in one + other}
    if scripts == {"LATIN", "CYRILLIC"}:
        assert plain_text(one + other)


@pytest.mark.parametrize(
    "address",
    [
        "a@b.de",
        "anna.meier+x@mail.acme.example",
        "o'neill@acme.example",
        f"{'a' * 64}@acme.example",
        "a@1.2-3.example",
    ],
)
def test_an_e_mail_address_is_taken(address):
    assert e_mail(address) is None


@pytest.mark.parametrize(
    "address",
    [
        *("", "anna", "anna@", "@acme.example", "a@b@acme.example", "anna@acme", "anna..m@acme.example"),
        *(".anna@acme.example", "anna.@acme.example", "an na@acme.example", "anna@-acme.example"),
        *(
            "anna@acme-.example",
            "anna@acme..example",
            "anna@acme.example.",
            "anna@[192.0.2.1]",
            '"a b"@acme.example',
        ),
        *("änna@acme.example", "anna@äcme.example", "anna@acme.example\n", "a,b@acme.example"),
        *(
            f"{'a' * 65}@acme.example",
            f"a@{'b' * 64}.example",
            f"a@{'b.' * 130}de",
            "Anna <anna@acme.example>",
        ),
    ],
)
def test_what_is_no_plain_e_mail_address_is_refused(address):
    assert e_mail(address)


def test_limits_are_inclusive_on_both_sides():
    four_to_six = length(4, 6)
    assert [False, True, True, False] == [four_to_six("x" * n) is None for n in (3, 4, 6, 7)]
    assert four_to_six("xxx") == "has 3 characters, 4 to 6 are allowed"
    code = digits(0, 3)
    assert [True, True, False] == [code("9" * n) is None for n in (0, 3, 4)]
    assert code("1٢3") == code("²") == "has characters other than the digits 0-9"


def test_a_pattern_has_to_match_the_whole_value():
    letters = pattern("[a-z]+")
    assert letters("anna") is None
    assert letters("anna\n") == "does not match the pattern [a-z]+"
    assert letters("1anna")


def test_one_of_names_what_there_is_but_not_without_end():
    assert one_of(["de", "en"])("fr") == "is none of the allowed values: de, en"
    assert one_of(map(str, range(30)))("x").endswith("8, 9 and 20 more")
    with pytest.raises(ValueError, match="at least one"):
        one_of([])


def test_judge_finds_every_fault_of_a_record_and_names_its_attribute():
    checks = (
        Check(attribute="last_name", required=True),
        Check(attribute="login", required=True, tests=(length(2, 5), plain_text)),
        Check(attribute="groups", tests=(rule("ascii"),)),
        Check(attribute="email", tests=(e_mail,)),
    )
    values = {"login": "аdmin2", "groups": ("ok", "Köln", "Łódź"), "last_name": ""}
    assert [
        Fault(
            "required",
            "last_name",
            "last_name is required and has no value; fill it in the source, or map a default",
        ),
        Fault("invalid", "login", "login has 6 characters, 2 to 5 are allowed"),
        Fault(
            "invalid",
            "login",
            "login mixes letters of several scripts that can be mistaken for each other: Cyrillic, Latin",
        ),
        Fault(
            "invalid",
            "groups",
            "groups has U+00F6 (LATIN SMALL LETTER O WITH DIAERESIS) at offset 1, which is not in ASCII",
        ),
        Fault(
            "invalid",
            "groups",
            "groups has U+0141 (LATIN CAPITAL LETTER L WITH STROKE) at offset 0, which is not in ASCII",
        ),
    ] == judge(values, checks)


def test_judge_finds_nothing_in_a_good_record():
    checks = (
        Check(attribute="login", required=True, tests=(plain_text,)),
        Check(attribute="groups", required=True),
    )
    assert [] == judge({"login": "anna", "groups": ("", "sales")}, checks)


FIELDS = {
    "id": Field("login", required=True, limit=5, pattern="[a-z0-9]+", key=True),
    "callerid": Field("display_name", limit=8),
    "group": Field("groups", many=True, limit=4),
}


def test_fits_finds_nothing_in_values_that_fit():
    assert [] == fits(FIELDS, {"id": "anna1", "callerid": "x" * 8, "group": ("a", "bbbb"), "other": "x" * 99})
    assert [] == fits(FIELDS, {"id": "anna1", "callerid": ("one", "")})


def test_fits_names_the_field_and_its_limit():
    values = {"id": "", "callerid": ("one", "x" * 9), "group": ("a", "bbbbb")}
    assert [
        Fault(
            "required", "id", "field id is required and has no value; map something to it (login by default)"
        ),
        Fault(
            "too_many",
            "callerid",
            "field callerid takes one value, there are 2; map one of them, or join them",
        ),
        Fault("too_long", "callerid", "field callerid takes at most 8 characters, the value has 9"),
        Fault("too_long", "group", "field group takes at most 4 characters, the value has 5"),
    ] == fits(FIELDS, values)
    assert [
        Fault("invalid", "id", "field id does not match the pattern [a-z0-9]+"),
    ] == fits(FIELDS, {"id": "ANNA"})


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*FIELDS, "other"]),
        st.one_of(st.text(max_size=10), st.lists(st.text(max_size=10)).map(tuple)),
    )
)
def test_fits_and_judge_are_total_and_leave_the_values_alone(values):
    before = dict(values)
    checks = tuple(
        Check(attribute=name, required=True, tests=(rule("plain-text"), e_mail)) for name in FIELDS
    )
    for faults in (fits(FIELDS, values), judge(values, checks)):
        assert all(fault.attribute in FIELDS and fault.message for fault in faults)
    assert before == values
