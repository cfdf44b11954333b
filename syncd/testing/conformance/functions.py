"""What is required of transforms and of validation rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from ...mapping import Transform
from ...validation import Test

AWKWARD = (
    "",
    " ",
    "plain",
    " two  words ",
    "Zoë Ångström",
    "Zoe\u0308",
    "王小明",
    "עברית",
    "\U0001f642",
    'O\'Brien, "Bob"; a=b\\c',
    "first line\nsecond line\r\n",
    "tab\tand\x00nul",
    "+49 (0)40 / 123-45",
    "٠١٢٣",
    "=1+1",
    "<a&b>",
    "x" * 4096,
)
"""Texts that sources really have, and that code which was written for plain ones trips over."""


class TransformConformance:
    """Subclass it and give the fixture ``transform``: what the factory returns, for some argument."""

    examples: ClassVar[Mapping[tuple[str, ...], tuple[str, ...]]] = {}
    """What goes in -> what comes out."""

    def test_the_examples_hold(self, transform: Transform) -> None:
        """Each example comes out as this class says."""
        if not self.examples:
            pytest.skip("no examples")

        assert dict(self.examples) == {texts: transform(texts) for texts in self.examples}

    def test_it_is_total(self, transform: Transform) -> None:
        """Whatever goes in, texts in a tuple come out, or a ValueError that says something."""
        for texts in _inputs():
            answer = _answer(transform, texts)

            assert isinstance(answer, str | tuple)
            assert all(isinstance(text, str) for text in answer)
            assert answer != "", f"{texts!r} was refused without a message"

    def test_it_is_pure(self, transform: Transform) -> None:
        """The same texts give the same answer every time, whatever came in between."""
        first = {texts: _answer(transform, texts) for texts in _inputs()}
        second = {texts: _answer(transform, texts) for texts in reversed(_inputs())}

        assert first == second


class RuleConformance:
    """Subclass it and give the fixture ``rule``: what the factory returns, for some argument."""

    accepts: ClassVar[tuple[str, ...]] = ()
    refuses: ClassVar[tuple[str, ...]] = ()

    def test_it_accepts_what_is_right(self, rule: Test) -> None:
        """Every value of ``accepts`` is right."""
        if not self.accepts:
            pytest.skip("nothing in `accepts`")

        assert {value: rule(value) for value in self.accepts} == dict.fromkeys(self.accepts)

    def test_it_refuses_what_is_wrong(self, rule: Test) -> None:
        """Every value of ``refuses`` is wrong, and the rule says why."""
        if not self.refuses:
            pytest.skip("nothing in `refuses`")

        assert [value for value in self.refuses if not rule(value)] == []

    def test_it_is_total(self, rule: Test) -> None:
        """A rule never raises: it returns None, or a text that says what is wrong."""
        for value in AWKWARD:
            answer = rule(value)

            assert answer is None or (isinstance(answer, str) and answer), f"{value!r} gave {answer!r}"

    def test_it_is_pure(self, rule: Test) -> None:
        """The same value gives the same answer every time, whatever came in between."""
        assert {value: rule(value) for value in AWKWARD} == {
            value: rule(value) for value in reversed(AWKWARD)
        }


def _inputs() -> list[tuple[str, ...]]:
    return [(), *((text,) for text in AWKWARD), ("b", "a", "b"), AWKWARD]


def _answer(transform: Transform, texts: tuple[str, ...]) -> tuple[str, ...] | str:
    try:
        return transform(texts)
    except ValueError as refusal:
        return str(refusal)
