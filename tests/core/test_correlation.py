"""What is unchanged is dropped unread, and every record finds the account that it belongs to."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import record, standing, stranger

from syncd import correlation
from syncd.correlation import BATCH, correlate, skip_unchanged
from syncd.model import Candidates, Checkpoint, Correlated, Entry, Present, Problem, Record, Removed

SALT = b"salt"
END = Checkpoint("c", full=True)
OTHERS = st.sampled_from([Present("p"), Removed("r"), Problem(None, "x", "y"), "of another stage"])


def nothing(_):
    return set()


def unknown(records):
    return [Candidates(None)] * len(records)


def entry(anchor: str, fingerprint: bytes | None = None, **attributes: tuple[str, ...]) -> Entry:
    return Entry(anchor, attributes, fingerprint=fingerprint)


def salted(one: Entry) -> bytes:
    """Return the fingerprint that an entry leaves the stage with when nothing is known."""
    (passed,) = skip_unchanged([one], nothing, SALT)
    return passed.fingerprint


class Batches:
    """Wraps a look-up and notes how much it is asked for at a time."""

    def __init__(self, answer):
        self.answer, self.sizes = answer, []

    def __call__(self, asked):
        self.sizes.append(len(asked))
        return self.answer(asked)


def test_an_entry_whose_fingerprint_is_stored_is_dropped_and_the_others_go_on():
    stream = [entry("1", b"one"), entry("2", b"two"), entry("3", b"three"), END]
    passed = list(skip_unchanged(stream, {b"two" + SALT}.intersection, SALT))

    assert ["1", "3"] == [one.anchor for one in passed[:-1]]
    assert END is passed[-1]


def test_what_passes_carries_its_salted_fingerprint():
    assert b"one" + SALT == salted(entry("1", b"one"))


def test_an_unchanged_entry_is_never_decoded():
    class Sealed(Entry):
        __slots__ = ()

        def __init__(self, fingerprint):
            self.fingerprint = fingerprint

        def __getattr__(self, name):
            raise AssertionError(f"{name} was asked for")

    stream = [Sealed(b"1"), Sealed(b"2"), END]

    assert [END] == list(skip_unchanged(stream, set, SALT))


def test_another_salt_makes_every_entry_count_as_changed():
    stored = {b"one" + SALT}
    passed = list(skip_unchanged([entry("1", b"one"), END], stored.intersection, b"other"))

    assert [b"oneother"] == [one.fingerprint for one in passed[:-1]]


def test_an_entry_without_a_fingerprint_gets_one_of_what_it_says():
    made = salted(entry("1", sn=("Lee",), mail=("a", "b")))

    assert made == salted(entry("1", b"", mail=("a", "b"), sn=("Lee",))), "in any order of its attributes"
    assert 16 + len(SALT) == len(made)


@pytest.mark.parametrize(
    "other",
    [
        Entry("2", {"sn": ("Lee",)}),
        Entry("1", {"sn": ("Li",)}),
        Entry("1", {"sn": ("Lee", "Li")}),
        Entry("1", {"cn": ("Lee",)}),
        Entry("1", {"sn": ("Lee",)}, enabled=False),
        Entry("1", {"sn": ("Lee",)}, unknown=frozenset({"mail"})),
        Entry("1", {"sn": ("\udcff",)}),
    ],
    ids=["anchor", "value", "more values", "attribute", "enabled", "unknown", "undecodable"],
)
def test_every_part_of_an_entry_counts_in_its_fingerprint(other):
    assert salted(Entry("1", {"sn": ("Lee",)})) != salted(other)


def test_what_is_unknown_counts_in_any_order():
    names = [f"attribute{number}" for number in range(20)]
    prints = {salted(Entry("1", {}, unknown=frozenset(some))) for some in (names, reversed(names))}

    assert 1 == len(prints)


def test_entries_with_one_fingerprint_are_judged_each_for_itself():
    """A source may give two entries the same digest by mistake: neither is lost."""
    stream = [entry("1", b"same"), entry("2", b"same"), END]

    assert ["1", "2"] == [one.anchor for one in list(skip_unchanged(stream, nothing, SALT))[:-1]]


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 3])
def test_entries_and_records_are_looked_up_in_batches(count):
    known, lookup = Batches(nothing), Batches(unknown)
    entries = [entry(str(number), b"f") for number in range(count)]
    list(skip_unchanged([*entries, END], known, SALT))
    list(correlate([*(record(str(number)) for number in range(count)), END], lookup))

    assert known.sizes == lookup.sizes
    assert count == sum(known.sizes)
    assert all(size == BATCH for size in known.sizes[:-1])


def test_an_entry_behind_the_checkpoint_passes_so_that_it_can_be_refused():
    """Even one that is unchanged, which would be dropped before it."""
    stream = [END, entry("1", b"one")]

    assert stream == list(skip_unchanged(stream, set, SALT))


ENTRIES = st.builds(entry, st.sampled_from("abc"), st.sampled_from([b"1", b"2", None]))
RECORDS = st.builds(record, st.sampled_from("abc"))


@given(st.lists(ENTRIES | OTHERS), st.sets(st.sampled_from([b"1" + SALT, b"2" + SALT])), st.booleans())
def test_skipping_passes_everything_else_on_and_the_checkpoint_last(items, stored, whole):
    """A torn read loses nothing either: it just has no checkpoint."""
    expected = [
        one.anchor
        for one in items
        if isinstance(one, Entry) and (one.fingerprint or b"") + SALT not in stored
    ]
    with patch.object(correlation, "BATCH", 3):
        passed = list(skip_unchanged([*items, *([END] if whole else [])], stored.intersection, SALT))

    assert [END][:whole] == [one for one in passed[-1:] if isinstance(one, Checkpoint)]
    assert expected == [one.anchor for one in passed if isinstance(one, Entry)]
    assert [one for one in items if not isinstance(one, Entry)] == [
        one for one in passed if not isinstance(one, Entry | Checkpoint)
    ]


@given(st.lists(RECORDS | OTHERS), st.booleans())
def test_correlating_passes_everything_on_and_the_checkpoint_last(items, whole):
    with patch.object(correlation, "BATCH", 3):
        passed = list(correlate([*items, *([END] if whole else [])], unknown))

    assert [END][:whole] == [one for one in passed[-1:] if isinstance(one, Checkpoint)]
    assert [one for one in items if isinstance(one, Record)] == [
        one.record for one in passed if isinstance(one, Correlated)
    ]
    assert [one for one in items if not isinstance(one, Record)] == [
        one for one in passed if not isinstance(one, Correlated | Checkpoint)
    ]


ADOPTABLE, LINKED = stranger(), standing(anchor="old")
OTHER = stranger(account=8)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (Candidates(LINKED), Correlated(record(), "linked", LINKED)),
        (
            Candidates(LINKED, (("login", LINKED), ("email", OTHER))),
            Correlated(
                record(),
                "linked",
                LINKED,
                ("email is that of account 8", "the entry is linked to account 7"),
            ),
        ),
        (Candidates(None), Correlated(record(), "new", None)),
        (Candidates(None, (("login", ADOPTABLE),)), Correlated(record(), "adoptable", ADOPTABLE)),
        (
            Candidates(None, (("login", ADOPTABLE), ("email", ADOPTABLE))),
            Correlated(record(), "adoptable", ADOPTABLE),
        ),
        (
            Candidates(None, (("login", LINKED),)),
            Correlated(record(), "relink", LINKED, ("account 7 is linked to old",)),
        ),
        (
            Candidates(None, (("login", ADOPTABLE), ("email", OTHER))),
            Correlated(
                record(),
                "ambiguous",
                ADOPTABLE,
                ("login is that of account 7", "email is that of account 8"),
            ),
        ),
        (
            Candidates(None, (("login", LINKED), ("email", OTHER))),
            Correlated(
                record(),
                "ambiguous",
                LINKED,
                (
                    *("login is that of account 7", "email is that of account 8"),
                    f"account 7 is linked to {LINKED.anchor}",
                ),
            ),
        ),
    ],
    ids=[
        *("linked", "the link beats the keys", "new", "adoptable", "by two keys", "relink", "ambiguous"),
        "ambiguous, and linked",
    ],
)
def test_a_record_belongs_to(candidates, expected):
    assert [expected] == list(correlate([record()], lambda records: [candidates]))
