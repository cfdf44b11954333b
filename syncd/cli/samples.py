"""Some entries of a source as its mapping makes them: what ``check --show`` prints."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

from .output import counted, heading, pairs, shown, write

if TYPE_CHECKING:
    from ..connector import Source
    from ..mapping import AttributeMapping
    from ..model import Vocabulary

MOST = 10
"""How many entries are shown."""


def samples_of(source: Source, mapping: AttributeMapping, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Read the first entries of a source and map them; nothing is kept of it.

    Each has its anchor, the attributes that the mapping makes, and in words what is wrong with them. Secret
    values are not shown. Raises ConnectorError if the source cannot be read.
    """
    from ..hiding import codes_of, without_bad_codes
    from ..mapping import map_entries
    from ..model import Entry, Problem, Record

    with closing(source):
        source.open()
        wanted = (item for item in source.read(None) if isinstance(item, Entry | Problem))
        found = list(map_entries(islice(wanted, MOST), mapping, vocabulary))
    samples = []
    codes = codes_of((rule.attribute for rule in mapping.rules), vocabulary)
    for one in found:
        if isinstance(one, Record):
            one = without_bad_codes(one, codes)
            hidden = {name: "***" for name in one.values if vocabulary[name].secret}
            said = [fault.message for fault in (*one.faults, *one.warnings)]
            samples.append(
                {
                    "anchor": one.anchor,
                    "values": {**one.values, **hidden},
                    "enabled": one.enabled,
                    "said": said,
                }
            )
        elif isinstance(one, Problem):
            samples.append({"anchor": one.anchor, "values": {}, "enabled": True, "said": [one.message]})
    return samples


def print_samples(source: str, samples: list[dict[str, Any]]) -> None:
    """Write entries one after the other, an attribute a line."""
    write()
    heading(f"{source}: {counted(len(samples), 'entry', 'entries')} as mapped")
    for one in samples:
        write(
            shown(one["anchor"] or "an entry without an anchor") + ("" if one["enabled"] else " (disabled)")
        )
        pairs(one["values"].items(), indent=2)
        for message in one["said"]:
            write(f"  ! {shown(message)}")
