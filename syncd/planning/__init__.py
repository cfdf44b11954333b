"""Floor 3: from what is known of a person to the one operation that it asks for."""

from .arrivals import plan
from .departures import departure, final_deletion, parting
from .operations import (
    claims_of,
    encode,
    is_protected,
    kind_of,
    operation,
    permit,
    touched,
    way_back,
    words,
)
from .terms import Leavers, Terms

__all__ = [
    "Leavers",
    "Terms",
    "claims_of",
    "departure",
    "encode",
    "final_deletion",
    "is_protected",
    "kind_of",
    "operation",
    "parting",
    "permit",
    "plan",
    "touched",
    "way_back",
    "words",
]
