"""Floor 3: when something is due by itself, as people write it and as instants."""

from .due import Slot, begins, begun, latest, slot_at, slots
from .grammar import WEEKDAYS, Schedule, parse
from .timetable import MODES, OFF, CatchUp, Mode, Timetable, longest, shortest

__all__ = [
    "MODES",
    "OFF",
    "WEEKDAYS",
    "CatchUp",
    "Mode",
    "Schedule",
    "Slot",
    "Timetable",
    "begins",
    "begun",
    "latest",
    "longest",
    "parse",
    "shortest",
    "slot_at",
    "slots",
]
