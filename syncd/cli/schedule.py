"""The verb ``schedule``: what is read by itself, when next, and in a whole year."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .completing import source_names
from .options import all_option, examples, json_option
from .output import counted, say, table, write, write_json
from .session import session_of

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..pipeline.installation import Installation
    from ..pipeline.scheduling import Outlook
    from ..schedules import Mode, Slot


class Turn(NamedTuple):
    """One slot of a simulated year, in the order of ``at`` and the source's ``place``.

    ``swallowed``: a full read of the source is due at the same time and takes its place.
    """

    at: datetime
    place: int
    mode: Mode
    source: str
    slot: Slot
    begins: datetime
    swallowed: bool = False


@click.command(
    epilog=examples(
        "syncd schedule                          what is due next, and what the last slot became",
        "syncd schedule hq --simulate 2027       every slot of a year",
        "syncd schedule --simulate 2027 --all    intervals too, slot by slot",
    )
)
@click.argument("sources", nargs=-1, shell_complete=source_names)
@click.option(
    "--simulate", "year", metavar="YEAR", type=click.IntRange(1970, 9998), help="Show a whole year instead."
)
@all_option("With --simulate: show each slot of an interval, not their number.")
@json_option
@click.pass_context
def schedule(
    ctx: click.Context, /, *, sources: tuple[str, ...], year: int | None, everything: bool, as_json: bool
) -> None:
    """Show when SOURCES (all if none is named) are read by themselves.

    Times are local, with their distance from UTC. Works while another process is at work, and --simulate
    needs no database.
    """
    session = session_of(ctx)
    names = _named(session.settings, sources)
    if year is not None:
        _show_year(session.settings, names, year, everything=everything, as_json=as_json)
        return
    from ..pipeline.scheduling import next_due

    here = session.looking
    found = [one for one in next_due(here) if one.source in names]
    if as_json:
        write_json({"schedules": [_document(one) for one in found]})
        return
    table(
        ("source", "mode", "schedule", "next", "in UTC", "last slot", "run", "state"),
        (_row(here, one) for one in found),
        empty="nothing is read by itself; [source.NAME] schedule says when",
    )
    rest = [name for name in names if all(one.source != name for one in found)]
    if found and rest:
        say(f"read only when a person asks: {', '.join(rest)}")


def _named(settings: Settings, sources: Iterable[str]) -> list[str]:
    from ..errors import SyncdError
    from ..pipeline.scheduling import sources_in_order

    known = list(sources_in_order(settings))
    unknown = sorted(set(sources) - set(known))
    if unknown:
        there_are = ", ".join(known) or "none"
        raise SyncdError(
            f"there is no source {', '.join(unknown)} in the configuration; configured are: {there_are}"
        )
    return [name for name in known if name in sources or not sources]


def _row(here: Installation, one: Outlook) -> tuple[Any, ...]:
    zone, last = here.settings.timezone, one.last
    if one.begins is None:
        coming: tuple[Any, ...] = (None, None)
    elif one.begins <= here.clock():
        coming = ("now", _utc(one.begins))
    else:
        coming = (_local(one.begins.astimezone(zone)), _utc(one.begins))
    if last is None:
        return one.source, one.mode, one.schedule, *coming, None, None, None
    slot = datetime.fromisoformat(last.slot).astimezone(zone)
    return one.source, one.mode, one.schedule, *coming, _local(slot), last.run, last.state


def _local(at: datetime) -> str:
    return at.isoformat(" ", "minutes")


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _document(one: Outlook) -> dict[str, Any]:
    last = one.last
    return {
        "source": one.source,
        "mode": one.mode,
        "schedule": one.schedule,
        "next": None if one.next is None else _utc(one.next.at),
        "begins": None if one.begins is None else _utc(one.begins),
        "last": last
        and {
            "slot": last.slot,
            "state": last.state,
            "run": last.run,
            "started_at": last.started_at,
            "ended_at": last.ended_at,
        },
    }


def _show_year(settings: Settings, names: list[str], year: int, *, everything: bool, as_json: bool) -> None:
    from ..schedules import MODES

    streams, intervals = [], []
    for place, name in enumerate(names):
        for mode in MODES:
            stream = _turns(settings, name, place, mode, year)
            if settings.sources[name].schedule.of(mode).every is None or everything:
                streams.append(stream)
            else:
                intervals.append((name, mode, _text(settings, name, mode), sum(1 for _ in stream)))
    turns = _one_stream(streams)
    if as_json:
        keys = ("source", "mode", "schedule", "slots")
        summed = [dict(zip(keys, one, strict=True)) for one in intervals]
        write_json({"year": year, "slots": [_turn_document(turn) for turn in turns], "intervals": summed})
        return
    late = any(settings.sources[name].schedule.jitter for name in names)
    table(
        ("slot", "mode", "source", *(["begins"] if late else [])),
        (_turn_row(settings, turn, late=late) for turn in turns),
        empty=f"there is no slot in {year}"
        if not intervals
        else f"{year} has intervals only; --all shows each",
    )
    for name, mode, text, count in intervals:
        write(f"{text}, {mode}, {name}: {counted(count, 'slot')}")


def _text(settings: Settings, name: str, mode: Mode) -> str:
    return str(settings.sources[name].schedule.of(mode))


def _turns(settings: Settings, name: str, place: int, mode: Mode, year: int) -> Iterator[Turn]:
    from ..schedules import begins, slots

    zone, timetable = settings.timezone, settings.sources[name].schedule
    first, end = (datetime(number, 1, 1, tzinfo=zone).astimezone(UTC) for number in (year, year + 1))
    for slot in slots(timetable.of(mode), zone, first - timedelta(seconds=1)):
        if slot.at >= end:
            return
        yield Turn(slot.at, place, mode, name, slot, begins(slot, timetable.jitter, name))


def _one_stream(streams: Iterable[Iterator[Turn]]) -> Iterator[Turn]:
    """Yield the turns of all streams in their order; those that a full read replaces say so."""
    full = None
    for turn in merge(*streams):
        if turn.mode == "full":
            full = (turn.at, turn.place)
        yield turn._replace(swallowed=turn.mode != "full" and full == (turn.at, turn.place))


def _turn_row(settings: Settings, turn: Turn, *, late: bool) -> list[str]:
    mode = f"{turn.mode}, by the full one" if turn.swallowed else turn.mode
    slot, begins = (_local(at.astimezone(settings.timezone)) for at in (turn.at, turn.begins))
    return [slot, mode, turn.source, *([begins] if late else [])]


def _turn_document(turn: Turn) -> dict[str, Any]:
    return {
        "slot": _utc(turn.at),
        "local": turn.slot.text,
        "begins": _utc(turn.begins),
        "mode": turn.mode,
        "source": turn.source,
        "swallowed": turn.swallowed,
    }
