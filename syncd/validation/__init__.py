"""Floor 3: the rules that judge a finished record, and a platform's demands on its fields."""

from .judging import Check, fits, judge
from .rules import RULES, Test, ascii_only, digits, e_mail, latin_1, length, one_of, pattern, plain_text
from .stage import Demand, Places, judged, lacking, validate

__all__ = [
    "RULES",
    "Check",
    "Demand",
    "Places",
    "Test",
    "ascii_only",
    "digits",
    "e_mail",
    "fits",
    "judge",
    "judged",
    "lacking",
    "latin_1",
    "length",
    "one_of",
    "pattern",
    "plain_text",
    "validate",
]
