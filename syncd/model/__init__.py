"""Floor 0: the values of the line and the attribute vocabulary."""

from .values import (
    Account,
    Checkpoint,
    Delivery,
    Entry,
    Event,
    Fault,
    Item,
    Objection,
    Outcome,
    Present,
    Problem,
    Record,
    Removed,
    Value,
    Values,
)
from .vocabulary import RESERVED, VOCABULARY, Attribute, Vocabulary, fold

__all__ = [
    "RESERVED",
    "VOCABULARY",
    "Account",
    "Attribute",
    "Checkpoint",
    "Delivery",
    "Entry",
    "Event",
    "Fault",
    "Item",
    "Objection",
    "Outcome",
    "Present",
    "Problem",
    "Record",
    "Removed",
    "Value",
    "Values",
    "Vocabulary",
    "fold",
]
