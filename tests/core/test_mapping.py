"""From entries to records: what a rule makes, what is a fault, and what is left alone."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.connector import Field
from syncd.mapping import ILLEGAL, AttributeMapping, Rule, map_entries, mapper
from syncd.model import VOCABULARY, Attribute, Checkpoint, Entry, Fault, Present, Problem, Record, Removed
from syncd.transforms import TRANSFORMS
from syncd.validation import RULES, Check, fits, judge

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"
LEGAL = ((0x9, 0x9), (0xA, 0xA), (0xD, 0xD), (0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
"""The production Char of XML 1.0, section 2.2."""


def via(*uses: str):
    made = []
    for use in uses:
        name, colon, argument = use.partition(":")
        made.append(TRANSFORMS[name](argument if colon else None))
    return tuple(made)


def record(*rules: Rule, unknown: frozenset[str] = frozenset(), **attributes: tuple[str, ...]) -> Record:
    entry = Entry("a1", attributes, unknown=unknown)
    return mapper(AttributeMapping(rules, ""), VOCABULARY)(entry)


def made(rule: Rule, **attributes: tuple[str, ...]):
    found = record(rule, **attributes)
    assert () == found.faults
    return found.values.get(rule.attribute)


def legal(point: int) -> bool:
    return any(low <= point <= high for low, high in LEGAL)


def test_entries_become_records_and_everything_else_passes_on_in_order():
    stream = [
        Entry("1", {"sn": ("Meier",)}, fingerprint=b"f"),
        Present("2"),
        Removed("3"),
        Problem("4", "decode", "bytes"),
        Entry("5", {"sn": ("Kim",)}, enabled=False),
        Checkpoint("c", full=True),
        "a value of another stage",
    ]
    mapped = list(
        map_entries(stream, AttributeMapping((Rule(attribute="last_name", sources=("sn",)),), ""), VOCABULARY)
    )
    assert [
        Record("1", {"last_name": "Meier"}, enabled=True, fingerprint=b"f"),
        *stream[1:4],
        Record("5", {"last_name": "Kim"}, enabled=False, fingerprint=None),
        *stream[5:],
    ] == mapped


def test_entries_are_taken_one_by_one():
    """The first record is there before the second entry is asked for."""

    def source():
        yield Entry("1", {})
        raise AssertionError("asked for too early")

    assert "1" == next(map_entries(source(), AttributeMapping((), ""), VOCABULARY)).anchor


def test_an_entry_that_decodes_lazily_is_mapped_like_any_other():
    class Lazy(Entry):
        __slots__ = ()

        def __init__(self):
            self.enabled, self.fingerprint, self.unknown = True, None, frozenset()

        def __getattr__(self, name):
            self.anchor, self.attributes = "lazy", {"sn": ("Meier",)}
            return getattr(self, name)

    rule = Rule(attribute="last_name", sources=("sn",))
    assert Record("lazy", {"last_name": "Meier"}, True, None) == mapper(
        AttributeMapping((rule,), ""), VOCABULARY
    )(Lazy())


def test_a_single_attribute_takes_the_first_text_and_a_many_valued_one_all_each_once():
    assert "a" == made(Rule(attribute="title", sources=("t",)), t=("a", "b"))
    assert ("a", "b") == made(Rule(attribute="groups", many=True, sources=("t",)), t=("a", "b", "a"))
    assert ("a",) == made(Rule(attribute="groups", many=True, sources=("t",)), t=("a",))


def test_the_values_of_all_sources_count_in_the_order_of_the_rule():
    rule = Rule(attribute="groups", many=True, sources=("x", "y"))
    assert ("3", "1", "2") == made(rule, y=("1", "2"), x=("3",))
    assert "2" == made(Rule(attribute="title", sources=("x", "y"), transforms=via("first")), y=("2",), x=())


def test_transforms_run_one_after_the_other():
    assert "anna@acme.example" == made(
        Rule(attribute="email", sources=("mail",), transforms=via("first", "trim", "lower")),
        mail=(" Anna@Acme.example ", "b@acme.example"),
    )
    assert ("b", "a") == made(
        Rule(attribute="groups", many=True, sources=("g",), transforms=via("join:,", "split", "lower")),
        g=("B", "A"),
    )


@pytest.mark.parametrize(
    "uses",
    [(), ("trim",), ("first", "trim", "lower"), ("split",), ("prefix:x", "digits"), ("digits", "prefix:x")],
)
@pytest.mark.parametrize("texts", [(), ("",), ("", ""), (" ",), ("-",)])
def test_an_empty_text_is_no_value_at_any_point(uses, texts):
    """So ``prefix`` makes nothing of nothing, and the attribute is absent, not empty."""
    if not uses and any(texts):
        return
    value = made(Rule(attribute="title", sources=("t",), transforms=via(*uses)), t=texts)
    assert value in (None, "-") if "prefix:x" not in uses[:1] else value is None


def test_an_empty_value_does_not_stand_before_a_real_one():
    for uses in ((), ("first",), ("trim", "first")):
        rule = Rule(attribute="extension", sources=("ipPhone", "telephoneNumber"), transforms=via(*uses))
        assert "123" == made(rule, ipPhone=("",), telephoneNumber=("123",))
    assert "123" == made(
        Rule(attribute="extension", sources=("ipPhone",), transforms=via("trim", "first")),
        ipPhone=(" ", "123"),
    )


def test_the_default_stands_where_nothing_comes_out_and_is_not_transformed():
    rule = Rule(attribute="country", sources=("co",), transforms=via("trim", "upper"), default="Germany")
    for texts in ((), ("",), (" ",)):
        assert "Germany" == made(rule, co=texts)
    assert "Germany" == made(rule)
    assert "FR" == made(rule, co=("fr",))
    many = Rule(attribute="groups", many=True, sources=("g",), default=("a", "b"))
    assert ("a", "b") == made(many)
    assert ("a",) == made(Rule(attribute="groups", many=True, default="a"))
    assert "a" == made(Rule(attribute="title", default=("a", "b")))
    assert made(Rule(attribute="title", sources=("t",), default="")) is None


def test_default_and_constant_are_transforms_as_well():
    assert "x" == made(Rule(attribute="title", sources=("t",), transforms=via("default:X", "lower")))
    assert "t" == made(
        Rule(attribute="title", sources=("t",), transforms=via("default:X", "lower")), t=("T",)
    )
    assert "X" == made(Rule(attribute="title", sources=("t",), transforms=via("constant:X")), t=("T",))
    assert "X" == made(Rule(attribute="title", transforms=via("constant:X")))


def test_the_constant_beats_all():
    rule = Rule(attribute="company", sources=("o",), transforms=via("upper"), default="d", constant="Acme")
    assert "Acme" == made(rule, o=("other",))
    assert {"company": "Acme"} == record(rule, unknown=frozenset({"o"})).values
    assert ("a", "b") == made(Rule(attribute="groups", many=True, constant=("a", "b")))


def test_an_attribute_that_the_source_did_not_tell_is_unknown_and_not_empty():
    """Neither a value nor a default is made of it."""
    rules = (
        Rule(attribute="title", sources=("t",), default="none"),
        Rule(attribute="department", sources=("d",)),
        Rule(attribute="groups", many=True, sources=("g", "h"), transforms=via("default:x")),
    )
    found = record(*rules, unknown=frozenset({"t", "g", "h"}), d=("Sales",), t=("stale",))
    assert {"department": "Sales"} == found.values
    assert frozenset({"title", "groups"}) == found.unknown
    assert () == found.faults


def test_a_source_that_was_told_speaks_though_another_was_not():
    rule = Rule(attribute="phone", sources=("x", "y"), transforms=via("trim"))
    assert ("1", frozenset()) == (
        (found := record(rule, unknown=frozenset({"x"}), y=("1",))).values.get("phone"),
        found.unknown,
    )


def test_an_empty_source_says_nothing_where_another_was_not_told():
    """What the untold one holds may be the value: it is not cleared, and no default replaces it."""
    rule = Rule(attribute="phone", sources=("x", "y"), transforms=via("trim"), default="none")
    for texts in ((), ("",), (" ",)):
        found = record(rule, unknown=frozenset({"x"}), y=texts)
        assert ({}, frozenset({"phone"})) == (found.values, found.unknown)


def test_a_rule_without_sources_is_not_unknown():
    found = record(Rule(attribute="company", default="Acme"), unknown=frozenset({"x"}))
    assert ({"company": "Acme"}, frozenset()) == (found.values, found.unknown)


def test_the_character_rule_is_the_production_of_xml_for_every_code_point():
    """The quick look (isprintable) and the expression behind it, over all of Unicode."""
    wrong = [
        point
        for point in range(0x110000)
        if legal(point) != (chr(point).isprintable() or not re.search(ILLEGAL, chr(point)))
    ]
    assert [] == wrong


EDGES = sorted(
    {point for low, high in LEGAL for point in (low - 1, low, high, high + 1) if 0 <= point <= 0x10FFFF}
)


@pytest.mark.parametrize("point", [0, *EDGES, 0x7F, 0x85, 0x200B, 0x2028, 0xDC00, 0xFDD0, 0x1FFFE])
@pytest.mark.parametrize("many", [False, True])
def test_a_value_with_a_character_at_an_edge_of_the_rule_is_taken_or_refused(point, many):
    text = f"ab{chr(point)}c"
    found = record(Rule(attribute="title", many=many, sources=("t",)), t=(text,))
    if legal(point):
        assert ({"title": (text,) if many else text}, ()) == (found.values, found.faults)
        return
    (fault,) = found.faults
    assert ("illegal_character", "title", "failed") == (fault.code, fault.attribute, fault.held)
    assert f"title: U+{point:04X} at offset 2 is not an allowed character" in fault.message
    assert ({}, frozenset({"title"})) == (found.values, found.unknown)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(codec=None), max_size=8))
def test_stripping_leaves_exactly_the_allowed_characters_and_warns(text):
    found = record(Rule(attribute="title", sources=("t",), illegal="strip"), t=(text,))
    kept = "".join(character for character in text if legal(ord(character)))
    assert (kept or None) == found.values.get("title")
    assert () == found.faults
    assert (kept != text) == bool(found.warnings)


def test_a_warning_says_what_was_removed_and_the_default_fills_what_is_left_empty():
    rule = Rule(attribute="title", sources=("t",), illegal="strip", default="none")
    found = record(rule, t=("\x00\x01",))
    assert {"title": "none"} == found.values
    message = "characters that are not allowed were removed: 2, first U+0000 at offset 0"
    assert (Fault("illegal_character", "title", message, "warning"),) == found.warnings


def test_the_character_rule_judges_what_the_transforms_left():
    rule = Rule(attribute="mailbox", sources=("t",), transforms=via("digits"))
    assert "12" == made(rule, t=("1\x002",))


def test_a_default_and_a_constant_are_judged_like_any_value():
    for rule in (
        Rule(attribute="title", sources=("t",), default="\x01"),
        Rule(attribute="title", constant="\x01"),
    ):
        (fault,) = record(rule).faults
        assert "illegal_character" == fault.code
    (fault,) = record(Rule(attribute="title", sources=("t",), default="xxx", limit=2)).faults
    assert "too_long" == fault.code


def test_a_value_may_be_as_long_as_the_limit_and_no_longer():
    rule = Rule(attribute="title", sources=("t",), limit=5)
    assert "ééééé" == made(rule, t=("ééééé",))
    (fault,) = record(rule, t=("x" * 6,)).faults
    assert ("too_long", "title") == (fault.code, fault.attribute)
    assert "title: the value has 6 characters, 5 are allowed; shorten it in the source" == fault.message


def test_the_vocabulary_limits_what_a_rule_does_not():
    """A name that is no word of the vocabulary, such as a platform's field, has no limit of its own."""
    (fault,) = record(Rule(attribute="login_code", sources=("t",)), t=("1" * 16,)).faults
    assert "16 characters, 15 are allowed" in fault.message
    assert "1" * 16 == made(Rule(attribute="login_code", sources=("t",), limit=20), t=("1" * 16,))
    assert "x" * 9999 == made(Rule(attribute="callerid", sources=("t",)), t=("x" * 9999,))


def test_one_record_collects_all_its_faults_and_keeps_its_good_values():
    def refuse(texts):
        raise ValueError("not in the phone book")

    found = record(
        Rule(attribute="last_name", sources=("sn",)),
        Rule(attribute="title", sources=("t",), limit=2),
        Rule(attribute="groups", many=True, sources=("g",)),
        Rule(attribute="phone", sources=("p",), transforms=(refuse,)),
        sn=("Meier",),
        t=("long",),
        g=("ok", "a\x00", "b\x01"),
        p=("1",),
    )
    assert {"last_name": "Meier"} == found.values
    assert [("too_long", "title"), *[("illegal_character", "groups")] * 2, ("transform", "phone")] == [
        (fault.code, fault.attribute) for fault in found.faults
    ]
    assert "not in the phone book" == found.faults[-1].message
    assert frozenset({"title", "groups", "phone"}) == found.unknown


def test_a_number_outside_of_its_ranges_is_a_fault_and_no_default_hides_it():
    rule = Rule(attribute="extension", sources=("p",), transforms=via("extension-of:+49401234"), default="0")
    (fault,) = record(rule, p=("+49 30 99",)).faults
    assert ("transform", "extension") == (fault.code, fault.attribute)
    assert "'+49 30 99': no number of the ranges +49401234" in fault.message
    assert "0" == made(rule)


def test_a_fault_never_shows_the_value_of_a_secret_attribute():
    words = VOCABULARY.extended([Attribute("badge", "number of the badge", secret=True)])
    for attribute in ("pin", "badge"):
        rule = Rule(attribute=attribute, sources=("p",), transforms=via("extension-of:+49401234"))
        found = mapper(AttributeMapping((rule,), ""), words)(Entry("a", {"p": ("s3cr3t",)}))
        assert "s3cr3t" not in str(found)
        assert f"the transforms of {attribute} refuse the value" in found.faults[0].message


def test_the_message_of_a_transform_can_always_be_stored():
    def refuse(texts):
        raise ValueError(texts[0])

    for text in ("\ud800", "x"):
        (fault,) = record(Rule(attribute="title", sources=("t",), transforms=(refuse,)), t=(text,)).faults
        assert fault.message.encode("utf-8")

    def say_nothing(texts):
        raise ValueError

    (fault,) = record(Rule(attribute="title", sources=("t",), transforms=(say_nothing,)), t=("x",)).faults
    assert "the transforms of title refuse the value" == fault.message


def test_a_text_where_the_contract_asks_for_a_tuple_is_named_and_not_cut_into_letters():
    with pytest.raises(TypeError, match="attribute 'sn' of entry 'a1' is one text"):
        record(Rule(attribute="last_name", sources=("sn",)), sn="Meier")
    with pytest.raises(TypeError, match="made str; it has to make a tuple of texts"):
        record(
            Rule(attribute="last_name", sources=("sn",), transforms=(lambda texts: texts[0],)), sn=("Meier",)
        )


USES = st.lists(
    st.sampled_from(
        [
            "trim",
            "lower",
            "upper",
            "digits",
            "first",
            "last:3",
            "join",
            "split",
            "prefix:+",
            "default:d",
            "constant:c",
        ]
    ),
    max_size=3,
)
TEXTS = st.lists(st.text(alphabet=st.sampled_from("aB1, \x00\tß\ud800"), max_size=4), max_size=3).map(tuple)


@settings(max_examples=300, deadline=None)
@given(
    uses=USES,
    attributes=st.fixed_dictionaries({}, optional={"x": TEXTS, "y": TEXTS}),
    sources=st.sampled_from([("x",), ("x", "y")]),
    many=st.booleans(),
    illegal=st.sampled_from(["reject", "strip"]),
    default=st.sampled_from([None, "", "d", "long one"]),
    unknown=st.sampled_from([frozenset(), frozenset({"x"}), frozenset({"z"})]),
)
def test_mapping_is_total_pure_and_the_quick_way_says_what_the_whole_rule_says(
    uses, attributes, sources, many, illegal, default, unknown
):
    """A transform without ``one`` takes the long way; both must agree on everything."""
    before = copy.deepcopy(attributes)
    quick = via(*uses)
    slow = tuple(lambda texts, one=one: one(texts) for one in quick)
    records = [
        record(
            Rule(
                attribute="title",
                many=many,
                sources=sources,
                transforms=way,
                default=default,
                illegal=illegal,
                limit=5,
            ),
            unknown=unknown,
            **attributes,
        )
        for way in (quick, slow, quick)
    ]
    assert records[0] == records[1] == records[2]
    assert before == attributes
    value = records[0].values.get("title")
    for text in (value or ()) if many else (value,):
        assert text is None or (0 < len(text) <= 5 and all(legal(ord(character)) for character in text))


def test_values_stand_in_the_order_of_the_rules():
    rules = tuple(Rule(attribute=name, sources=(name,)) for name in ("title", "city", "company"))
    assert ["title", "city", "company"] == list(
        record(*rules, company=("a",), city=("b", "c"), title=("d",)).values
    )


def test_the_sources_of_a_mapping_are_named_once_in_the_order_of_its_rules():
    rules = (
        Rule(attribute="a", sources=("x", "y")),
        Rule(attribute="b", sources=("y", "z")),
        Rule(attribute="c"),
    )
    assert ("x", "y", "z") == AttributeMapping(rules, "").sources


def test_the_faults_on_the_page_are_what_is_really_said():
    faults = [
        *record(Rule(attribute="last_name", sources=("sn",)), sn=("Mei\x00er",)).faults,
        *record(Rule(attribute="title", sources=("t",)), t=("x" * 300,)).faults,
        *record(
            Rule(attribute="extension", sources=("p",), transforms=via("extension-of:+49401234")),
            p=("+49 30 99",),
        ).faults,
        *judge({}, (Check(attribute="last_name", required=True),)),
        *judge({"login": "pał"}, (Check(attribute="login", tests=(RULES["latin-1"](None),)),)),
    ]
    page = PAGE.read_text("utf-8")
    assert [] == [fault for fault in faults if f"| `{fault.code}` | `{fault.message}` |" not in page]
    (misfit,) = fits({"callerid": Field("display_name", limit=40)}, {"callerid": "x" * 52})
    assert f"`{misfit.message}`" in page


def test_the_configuration_on_the_page_is_toml_and_names_attributes_that_there_are():
    blocks = [block.partition("```")[0] for block in PAGE.read_text("utf-8").split("```toml\n")[1:]]
    hq = tomllib.loads("\n".join(blocks))["source"]["hq"]
    assert set(hq["map"]) | set(hq["rules"]) <= set(VOCABULARY)
