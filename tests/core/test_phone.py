"""``e164``: what is certainly a public number becomes E.164, and nothing else does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.plugins.phone import e164

REGIONS = st.sampled_from([None, "DE", "AT", "CH", "FR", "GB", "IT", "US", "FI", "NO", "RU"])


def test_phonenumbers_is_imported_by_the_first_use_and_not_before():
    code = (
        "import sys, syncd.plugins.phone as p; assert 'phonenumbers' not in sys.modules; "
        "p.e164('DE'); assert 'phonenumbers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("region", "written", "expected"),
    [
        ("DE", "030 1234567", "+49301234567"),
        ("de", "(030) 123-4567", "+49301234567"),
        ("DE", "0049 (0)30 1234567", "+49301234567"),
        ("DE", "٠٣٠١٢٣٤٥٦٧", "+49301234567"),
        ("DE", "\u202a+49 30 1234567\u202c", "+49301234567"),
        ("DE", "tel:+49-30-1234567", "+49301234567"),
        ("US", "011 49 30 1234567", "+49301234567"),
        ("US", "1 (425) 538-8797", "+14255388797"),
        ("IT", "06 69812345", "+390669812345"),
        ("DE", "+39 (0)6 69812345", "+390669812345"),
        ("NO", "22 33 44 55", "+4722334455"),
        ("RU", "8 495 1234567", "+74951234567"),
        (None, "+44 20 7946 0958", "+442079460958"),
    ],
)
def test_a_public_number_becomes_e164(region, written, expected):
    assert (expected,) == e164(region)((written,))


@pytest.mark.parametrize("region", ["DE", "AT", "FI", "IT", "US", "GB", "NO"])
@pytest.mark.parametrize(
    "extension", ["7", "42", "567", "4711", "1640", "01640", "12000", "19100", "016400", "471100"]
)
def test_an_internal_extension_never_becomes_a_public_number(region, extension):
    """Some of these are valid by the numbering plan alone: 1640 in Germany, 12000 in Austria, 19100 in Finland."""
    with pytest.raises(ValueError, match="if it is an internal extension, map it without e164"):
        e164(region)((extension,))


@pytest.mark.parametrize(
    "written",
    [
        *("30 1234567", "49301234567", "+49 1", "+999 1234567", "116117", "0000000", "+49301234567890123456"),
        *("abc 030 1234567", "0800 FLOWERS", "030 1234567 or 030 7654321", "anna@acme.example", "+", "n/a"),
    ],
)
def test_what_is_not_certainly_one_number_is_refused_with_a_cure(written):
    with pytest.raises(ValueError, match="in the source") as refused:
        e164("DE")((written,))
    assert repr(written) in str(refused.value)


def test_an_extension_part_is_dropped_only_where_the_number_ends_with_it():
    assert ("+14255388797",) == e164("US")(("tel:+14255388797;ext=8797",))
    for written in ("+49 30 1234567 x89", "030 1234567;ext=12", "030 1234567 ext. 5"):
        with pytest.raises(ValueError, match=r"E\.164 cannot hold"):
            e164("DE")((written,))


def test_without_a_region_a_national_number_is_refused_and_the_cure_names_one():
    with pytest.raises(ValueError, match=r"name a region: e164:DE"):
        e164(None)(("030 1234567",))


@pytest.mark.parametrize("argument", ["", "XX", "UK", "Germany", "49", "DE,AT", "001"])
def test_a_region_that_there_is_not_is_refused_with_a_cure(argument):
    with pytest.raises(ValueError, match="such as e164:DE"):
        e164(argument)


def test_all_values_are_taken_and_blank_ones_are_no_values():
    assert ("+49301234567", "+14255388797") == e164("DE")(("030 1234567", " ", "", "+1 425 538 8797"))
    assert () == e164("DE")(())


@settings(max_examples=200, deadline=None)
@given(
    region=REGIONS,
    texts=st.lists(
        st.one_of(
            st.text(max_size=20),
            st.text(alphabet=st.characters(codec=None), max_size=4),
            st.text(alphabet="+0123456789 ()-/.x#;ext=tel:", max_size=20),
            st.from_regex(r"\A(\+|0|00)?[1-9][0-9]{3,14}\Z"),
        ),
        max_size=3,
    ).map(tuple),
)
def test_it_is_total_and_pure_and_its_results_stay_as_they_are(region, texts):
    transform = e164(region)
    try:
        made = transform(texts)
    except ValueError:
        return
    assert all(number[0] == "+" and number[1:].isascii() and number[1:].isdecimal() for number in made)
    assert made == transform(texts) == transform(made) == e164(None)(made)
