"""What a value of the configuration may be: for each kind the function that reads it, and the type that tables name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic_core.core_schema import CoreSchema, no_info_plain_validator_function

from ..model import Numbers, Value
from ..schedules import Schedule
from ..schedules import parse as parse_schedule
from . import words


class ReadBy:
    """Marks a type whose values ``parse`` makes, or refuses by ValueError, all by itself.

    pydantic's own validators of functions would check what it returns once more, and take the time to make the schema for that.
    """

    def __init__(self, parse: Callable[[object], Any]) -> None:
        self.parse = parse

    def __get_pydantic_core_schema__(self, kind: object, inner: object) -> CoreSchema:
        return no_info_plain_validator_function(self.parse)


def _or_word(word: str, parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """Return a parser that takes ``word`` for None."""

    def parsed(value: object) -> Any:
        if value is None or value == word:
            return None
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "{word}"') from None

    return parsed


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or any(not isinstance(text, str) or not text.strip() for text in value):
        raise ValueError("must be a list of texts, none of them empty")
    once = tuple(dict.fromkeys(value))
    if len(once) < len(value):
        raise ValueError(f"names {next(text for text in once if value.count(text) > 1)!r} twice")
    return once


def _text_or_texts(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value.strip() else _texts(value)


def _value(value: object) -> Value:
    """Read what an attribute may hold: a text, or a list of texts."""
    if isinstance(value, list):
        return _texts(value)
    if isinstance(value, str):
        return value
    raise ValueError("must be a text or a list of texts; put numbers in quotes")


def profile_name(value: object) -> str:
    """Read the name of a feature profile, which is a vendor's rule."""
    if not isinstance(value, str) or not 1 <= len(value) <= 64 or "|" in value:
        raise ValueError("must be a text of 1 to 64 characters without |")
    return value


def _description(value: object) -> str:
    """Read what is said of a feature profile, which is a vendor's rule."""
    if not isinstance(value, str) or len(value) > 128 or "|" in value:
        raise ValueError("must be a text of at most 128 characters without |")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a whole number, 0 or more")
    return value


def _when(value: object) -> Schedule:
    return parse_schedule(_text(value))


Text: TypeAlias = Annotated[str, ReadBy(_text)]
Texts: TypeAlias = Annotated[tuple[str, ...], ReadBy(_texts)]
TextOrTexts: TypeAlias = Annotated[tuple[str, ...], ReadBy(_text_or_texts)]
AnyValue: TypeAlias = Annotated[Value, ReadBy(_value)]
Duration: TypeAlias = Annotated[timedelta, ReadBy(words.duration)]
DurationOrNever: TypeAlias = Annotated[timedelta | None, ReadBy(_or_word("never", words.duration))]
Percent: TypeAlias = Annotated[float | None, ReadBy(_or_word("off", words.percent))]
Whole: TypeAlias = Annotated[int, ReadBy(_count)]
Count: TypeAlias = Annotated[int | None, ReadBy(_or_word("off", _count))]
ProfileName: TypeAlias = Annotated[str, ReadBy(profile_name)]
Description: TypeAlias = Annotated[str, ReadBy(_description)]
Pool: TypeAlias = Annotated[Numbers, ReadBy(words.numbers)]
Recipe: TypeAlias = Annotated[tuple[str, int], ReadBy(words.secret_to_make)]
When: TypeAlias = Annotated[Schedule, ReadBy(_when)]
Fate: TypeAlias = Literal["disable", "delete", "keep"]
