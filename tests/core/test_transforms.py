"""The built-in transforms: what they make, that they are total and pure, and that their page is true."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from syncd.plugins.phone import e164
from syncd.transforms import TRANSFORMS, number_range, shown, written_number

PAGE = Path(__file__).parents[2] / "docs" / "mapping.md"
KNOWN = {**TRANSFORMS, "e164": e164}
USES = [
    *("trim", "lower", "upper", "digits", "last:4", "first", "join", "join:, ", "join:", "split", "split:;"),
    *(
        "filetime",
        "prefix:+49",
        "mask:+49 40 XX-X",
        "default:x",
        "constant:x",
        "extension-of:+49401234,+49401235/2-3",
        "extension-of:+1/3",
    ),
]
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.text(alphabet="+0123456789 ()-/x;ext=tel:,\u202a\u0660", max_size=24),
        st.text(alphabet=st.characters(codec=None), max_size=4),
        st.from_regex(r"\A(\+|00)4940123[45][ -]?[0-9]{0,4}\Z"),
    ),
    max_size=4,
).map(tuple)


def via(use: str):
    name, colon, argument = use.partition(":")
    return KNOWN[name](argument if colon else None)


def outcome(transform, texts):
    try:
        return transform(texts)
    except ValueError as error:
        return "fault" if str(error) else "a fault without a message"


def documented() -> list[tuple[str, str, str]]:
    row = re.compile(
        r"^\| `(?P<use>[^|]+)` \| `(?P<before>\[.*?\])` \| (?P<after>`\[.*?\]`|fault) \|", re.MULTILINE
    )
    return [
        (one["use"], one["before"], one["after"].strip("`")) for one in row.finditer(PAGE.read_text("utf-8"))
    ]


@pytest.mark.parametrize(("use", "before", "after"), documented())
def test_every_example_of_the_page_is_true(use, before, after):
    expected = after if after == "fault" else tuple(json.loads(after))
    assert expected == outcome(via(use), tuple(json.loads(before)))


def test_every_transform_stands_on_the_page():
    assert set(KNOWN) == {use.partition(":")[0] for use, _, _ in documented()}


@pytest.mark.parametrize(
    "use",
    [
        *("trim:x", "lower:", "upper:1", "digits:4", "first:2", "filetime:utc"),
        *("last", "last:", "last:0", "last:-1", "last:four", "last:٤", "last:99999"),
        *("mask", "mask:", "mask:+49401234", "mask:xxx"),
        *("prefix", "prefix:", "split:", "default", "default:", "constant", "constant:"),
        *(
            "extension-of",
            "extension-of:",
            "extension-of:49401234",
            "extension-of:+49401234/",
            "extension-of:+0",
        ),
        *(
            "extension-of:+49401234/0",
            "extension-of:+49401234/4-2",
            "extension-of:+49401234/3,",
            "extension-of:+",
        ),
        *("extension-of:+4940123412345/4", "extension-of:+49401234/x", "extension-of:+49٤"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_with_a_cure(use):
    with pytest.raises(ValueError, match=r"such as|write|must"):
        via(use)


@pytest.mark.parametrize("use", USES)
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_a_transform_is_total_and_pure(use, texts):
    """It makes a tuple of texts or raises ValueError, and the same every time, from another instance too."""
    transform = via(use)
    made = outcome(transform, texts)
    assert made == "fault" or (type(made) is tuple and all(type(text) is str for text in made))
    assert made == outcome(transform, texts) == outcome(via(use), texts)


@pytest.mark.parametrize(
    "use", ["trim", "lower", "upper", "digits", "last:4", "first", "join", "split", "default:x"]
)
@settings(max_examples=60, deadline=None)
@given(texts=TEXTS)
def test_doing_it_twice_changes_nothing_more(use, texts):
    once = via(use)(texts)
    assert once == via(use)(once)


@pytest.mark.parametrize("use", [use for use in USES if hasattr(via(use), "one")])
@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=20))
def test_what_a_transform_says_of_one_text_alone_is_what_it_does(use, text):
    """The mapping calls ``one`` instead, so it must agree; nothing stays nothing."""
    transform = via(use)
    assert tuple(filter(None, transform((text,)))) == tuple(filter(None, (transform.one(text),)))
    assert transform.one("") == ""
    assert transform(()) == ()


@settings(max_examples=200)
@given(
    st.lists(st.one_of(st.just("X"), st.text(st.characters(exclude_characters="X"), max_size=4)), max_size=9),
    st.text(st.one_of(st.characters(), st.sampled_from("0123456789")), max_size=12),
)
def test_a_mask_takes_digits_from_the_right_and_keeps_all_else(parts, text):
    pattern, wanted = "".join(parts), parts.count("X")
    assume(wanted)
    digits = via("digits")((text,))[0]
    made = outcome(via(f"mask:{pattern}"), (text,) if text else ("x",))

    if len(digits) < wanted:
        assert made == "fault"
        return
    filled = list(zip(pattern, made[0], strict=True))
    assert all(was in ("X", now) for was, now in filled)
    assert digits[-wanted:] == "".join(now for was, now in filled if was == "X")


def test_too_few_digits_for_a_mask_are_told_with_both():
    with pytest.raises(ValueError, match=r"'12': 2 digits, the mask '\+4940XXX' takes 3"):
        via("mask:+4940XXX")(("12",))


@settings(max_examples=200)
@given(st.integers(1, 2650467743999999999))
def test_a_filetime_is_that_point_in_time_to_the_second(ticks):
    moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    expected = moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    assert (expected,) == via("filetime")((str(ticks),))


@pytest.mark.parametrize(
    "text", ["", "0", "9223372036854775807", "9223372032559808511", "2650467744000000000"]
)
def test_never_is_no_point_in_time(text):
    assert () == via("filetime")((text,))


@pytest.mark.parametrize("text", ["-1", "1.5", " 1", "٣", "20240101000000.0Z", "9" * 20, "never"])
def test_what_is_no_filetime_is_refused_with_a_cure(text):
    with pytest.raises(ValueError, match=r"is no FILETIME.*such as accountExpires"):
        via("filetime")((text,))


def test_digits_of_other_scripts_are_written_as_ascii():
    assert ("4711",) == via("digits")(("٤٧-１1",))
    assert ("",) == via("digits")(("x²",))


@pytest.mark.parametrize(
    "written",
    [
        *("+49401234567", "+49 40 1234 567", "+49 (0)40 1234-567", "+49 ( 0 ) 40/1234567", "0049401234567"),
        *(
            "00 49 40 12 34 567",
            "tel:+49-40-1234567",
            "TEL:+49401234567",
            "(+49) 40 1234567",
            "+49.40.1234.567",
        ),
        *(
            "\u202a+49 40 1234567\u202c",
            "+49\u00a040\u00a01234567",
            "+49 40 1234–567",
            "＋４９４０１２３４５６７",
        ),
        *(
            "+49 40 1234 x567",
            "+49401234;ext=567",
            "+49 40 1234-0 ext. 567",
            "+49 40 1234567 #567",
            " +49401234567 ",
        ),
        *("+٤٩٤٠١٢٣٤٥٦٧",),
    ],
)
def test_an_extension_is_found_however_the_number_is_written(written):
    assert ("567",) == via("extension-of:+49401234")((written,))


@pytest.mark.parametrize(
    "written",
    [
        *(
            "567",
            "0401234567",
            "+49301234567",
            "+49401234",
            "49401234567",
            "+1 49401234567",
            "call +49401234567",
        ),
        *(
            "+49401234567 / +49401234568",
            "+49401234567, 568",
            "++49401234567",
            "x567",
            "-",
            "+",
            "()",
            "9" * 100,
        ),
    ],
)
def test_a_number_outside_of_the_ranges_is_a_problem_and_not_a_guess(written):
    with pytest.raises(ValueError, match=r"no number of the ranges \+49401234; correct it in the source"):
        via("extension-of:+49401234")((written,))


def test_a_range_with_a_length_takes_the_bare_extension_of_that_length_only():
    three = via("extension-of:+49401234/3")
    assert ("567",) == three(("567",))
    for written in ("56", "5678", "+567", "567x8"):
        assert outcome(three, (written,)) == "fault"


def test_an_extension_may_have_two_to_four_digits():
    some = via("extension-of:+49401234/2-4")
    for rest, expected in (("1", "fault"), ("12", ("12",)), ("0123", ("0123",)), ("12345", "fault")):
        assert expected == outcome(some, (f"+4940 1234 {rest}",)) == outcome(some, (rest,))


def test_the_longest_beginning_counts_where_ranges_overlap_whatever_their_order():
    for use in ("extension-of:+4940,+49401234", "extension-of:+49401234,+4940"):
        assert ("567",) == via(use)(("+49401234567",))
        assert ("9567",) == via(use)(("+49409567",))


def test_a_zero_in_brackets_is_kept_where_only_that_reading_is_in_the_range():
    """Italian numbers keep their zero behind the country code."""
    assert ("12",) == via("extension-of:+39061234")(("+39 (0)6 1234 12",))


def test_no_values_have_no_extension_and_blank_ones_are_no_values():
    assert () == via("extension-of:+49401234")(())
    assert () == via("extension-of:+49401234")((" ", "\t"))


def test_a_range_is_shown_as_it_is_written():
    for text in ("+49401234", "+49401234/3", "+49401234/2-4"):
        assert text == str(number_range(text))


def test_a_message_holds_a_foreign_text_short_and_without_control_characters():
    assert "'a\\x1b[31m\\ud800'" == shown("a\x1b[31m\ud800")
    assert 70 > len(shown("x" * 10_000))


def test_a_hostile_number_is_read_in_no_time():
    assert written_number("( " * 100_000) is None
    assert written_number("\ufdfa" * 64) is None
