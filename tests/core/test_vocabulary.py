"""The words that an account can say, and when two values of a key are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.model import RESERVED, VOCABULARY, Attribute, Vocabulary, fold

ALIAS = Attribute("alias", "further names", many=True, key=True)
WORDS = VOCABULARY.extended([ALIAS])
TEXTS = st.text() | st.text(st.characters(categories=["Lu", "Ll", "Lt", "Lm", "Mn", "So"]))


def test_the_words_are_those_that_mappings_may_name():
    assert {"login", "email", "extension", "softphone_extension", "did"} == set(VOCABULARY.keys_)
    assert {"login_code", "pin", "password"} == VOCABULARY.secrets
    assert {"secondary_phones", "groups", "object_class"} == {w.name for w in VOCABULARY.values() if w.many}
    assert len(VOCABULARY) == len(list(VOCABULARY))
    assert "login" == VOCABULARY["login"].name


def test_every_word_is_described_and_limited():
    assert [] == [word.name for word in VOCABULARY.values() if not (word.description and word.limit)]


def test_extending_makes_another_vocabulary_and_leaves_the_first_alone():
    assert "alias" in WORDS
    assert "alias" not in VOCABULARY
    assert (*VOCABULARY.keys_, "alias") == WORDS.keys_
    assert VOCABULARY == VOCABULARY.extended([])


def test_vocabularies_of_the_same_words_are_equal_and_have_one_hash():
    one, other = (Vocabulary(words) for words in (WORDS.values(), reversed(list(WORDS.values()))))

    assert one == other
    assert hash(one) == hash(other)


def test_a_word_cannot_be_there_twice():
    with pytest.raises(ValueError, match="the attribute 'login' is in the vocabulary already"):
        VOCABULARY.extended([Attribute("login", "again")])


@pytest.mark.parametrize("name", [*sorted(RESERVED), "two words", "", "1st", "a-b"])
def test_a_word_cannot_be_named(name):
    with pytest.raises(ValueError, match="cannot be the name of an attribute"):
        VOCABULARY.extended([Attribute(name, "x")])


def test_an_account_claims_the_values_of_its_keys_and_nothing_else():
    values = {"login": "Ann", "title": "Dr", "email": "", "alias": ("A@x", "b@x"), "did": ()}

    assert [("login", "ann"), ("alias", "a@x"), ("alias", "b@x")] == WORDS.claims(values)


def test_values_that_are_one_key_are_claimed_once():
    """Otherwise an account would be its own rival."""
    assert [("alias", "ann@x"), ("alias", "b")] == WORDS.claims({"alias": ("Ann@x", "ann@X", "b", "ANN@x")})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann", "aNN"),
        ("STRASSE", "straße"),
        ("Å", "å"),
        ("Å", "A\u030a"),
        ("ﬁn", "FIN"),
        ("４２", "42"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("\u212aelvin", "kelvin"),
    ],
)
def test_these_are_the_same_key(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("ann", "an"), ("аnn", "ann"), ("ann", "ann\u200b"), ("ö", "o")])
def test_these_are_different_keys(one, other):
    assert fold(one) != fold(other)


@given(TEXTS)
def test_folding_twice_is_folding_once(text):
    assert fold(text) == fold(fold(text))


@given(TEXTS)
def test_two_texts_are_one_key_exactly_where_unicode_says_so(text):
    """Definition D146, compatibility caseless match: https://www.unicode.org/versions/Unicode15.0.0/ch03.pdf."""

    def d146(one: str) -> str:
        for form in ("NFD", "NFKD"):
            one = unicodedata.normalize(form, one).casefold()
        return unicodedata.normalize("NFKD", one)

    assert d146(text) == d146(fold(text))
    for other in (text.upper(), text.lower(), unicodedata.normalize("NFKD", text)):
        assert (d146(text) == d146(other)) == (fold(text) == fold(other))
