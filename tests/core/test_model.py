"""The values of the line, and how the layers of an account are folded into what it says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import MONDAY, TUESDAY, layer

from syncd.model import Checkpoint, Entry, Layer, Present, fold_layers, speaking

NAMES = st.sampled_from(["login", "email", "title", "groups"])
SAID = st.dictionaries(NAMES, st.sampled_from(["", "a", "b", (), ("x",), ("x", "y")]), max_size=4)
LAYERS = st.lists(
    st.builds(
        Layer,
        st.integers(0, 50),
        SAID,
        st.booleans(),
        st.sampled_from([None, MONDAY, TUESDAY]),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda one: one.precedence,
)


def test_the_local_layer_beats_the_links_and_the_first_link_beats_the_second_and_the_template():
    template = {"title": "template", "city": "template", "company": "template", "street": "template"}
    first = layer(0, title="first", city="first")
    second = layer(1, title="second", city="second", company="second")

    assert {
        "title": "local",
        "city": "first",
        "company": "second",
        "street": "template",
    } == fold_layers(template, [second, first], {"title": "local"})


def test_an_empty_value_of_a_higher_layer_takes_the_value_away():
    assert {"login": "ann"} == fold_layers(
        {"title": "x"}, [layer(login="ann", groups=("a",))], {"title": "", "groups": ()}
    )


@given(SAID, LAYERS, SAID)
def test_of_each_attribute_the_highest_layer_that_speaks_of_it_counts(template, layers, local):
    ranked = [local, *(one.record for one in sorted(speaking(layers))), template]
    names = {name for said in ranked for name in said}
    expected = {name: next(said[name] for said in ranked if name in said) for name in names}

    assert {n: value for n, value in expected.items() if value} == fold_layers(template, layers, local)


@given(SAID, LAYERS, SAID, st.randoms(use_true_random=False))
def test_the_order_in_which_layers_are_told_does_not_matter(template, layers, local, random):
    shuffled = random.sample(layers, len(layers))

    assert fold_layers(template, layers, local) == fold_layers(template, shuffled, local)


@given(SAID, LAYERS, SAID)
def test_folding_changes_none_of_its_layers(template, layers, local):
    told = repr((template, layers, local))
    fold_layers(template, layers, local)

    assert told == repr((template, layers, local))


@pytest.mark.parametrize(
    ("layers", "heard"),
    [
        ([], []),
        ([layer(0), layer(1, gone=MONDAY)], [0]),
        ([layer(0, gone=MONDAY), layer(1, owner=False)], [0, 1]),
        ([layer(0, gone=MONDAY), layer(1, owner=False, gone=MONDAY)], [0, 1]),
        ([layer(0, owner=False, gone=MONDAY), layer(1, owner=False)], [1]),
        ([layer(0, owner=False, gone=MONDAY)], []),
        ([layer(0, gone=MONDAY), layer(1, gone=TUESDAY), layer(2, owner=False, gone=TUESDAY)], [1, 2]),
        ([layer(0, gone=TUESDAY), layer(1, owner=False, gone=MONDAY)], [0]),
    ],
    ids=[
        "nobody",
        "an owner is left",
        "a leaver",
        "a leaver of all",
        "no owner",
        "a manual account",
        "the last of two owners",
        "whoever had gone before the owner",
    ],
)
def test_whoever_is_gone_is_heard_only_when_every_owner_is_gone_and_was_there_until_then(layers, heard):
    assert heard == [one.precedence for one in speaking(layers)]


def test_an_entry_names_only_its_anchor_where_it_is_shown():
    assert "Entry('a1')" == repr(Entry("a1", {"userPassword": ("secret",)}))


def test_what_a_source_yields_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Present("a").anchor = "b"
    with pytest.raises(FrozenInstanceError):
        Checkpoint(None, full=True).full = False


PURE = (
    *("model", "errors", "connector", "mapping", "transforms", "correlation", "completion"),
    *("validation", "planning", "guard", "services"),
)
HEAVY = {
    *("sqlite3", "socket", "logging"),
    *(
        "click",
        "ldap3",
        "phonenumbers",
        "pluggy",
        "pydantic",
        "rich",
        "schedule",
        "sqlite_utils",
        "structlog",
    ),
}


def test_the_pure_floors_load_without_a_database_a_network_or_a_command_line():
    """What is loaded is asked of a new process, because this one has everything."""
    script = f"import sys; {'; '.join(f'import syncd.{name}' for name in PURE)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert {f"syncd.{name}" for name in PURE} <= loaded
    assert set() == HEAVY & loaded
