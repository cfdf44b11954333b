"""The metrics of syncd, and their text in Prometheus' exposition format (version 0.0.4).

docs/monitoring.md explains each of them. No label ever names a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from ..store import watching as store
from ..store.database import Database
from ..store.watching import KINDS
from .watching import Standing

OUTCOMES = ("ended", "failed", "superseded")
"""The states that a run does not leave any more."""

OPEN_STATES = ("detained", "failed", "waiting")
LICENCE_STATES = ("count", "used", "waiting")
UNDELIVERED = ("pending", "waiting", "failed")

Sample = tuple[Mapping[str, str], float]
"""Labels and a value."""


class Family(NamedTuple):
    """One metric with all its samples; the name of a counter ends in ``_total``."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: tuple[Sample, ...]


class Counters:
    """What the journal's runs come to: the same totals in every process, as they all count the same rows.

    The first ``look`` reads every run, each later one those that are new or were not over.
    """

    def __init__(self) -> None:
        self.runs: Counter[tuple[str, str]] = Counter()
        """(connection, outcome) -> how many; the connection is "" for runs that read no source."""
        self.operations: Counter[tuple[str, str]] = Counter()
        """(connection, kind) -> how many were applied."""
        self._after = 0
        self._open: frozenset[int] = frozenset()

    def look(self, database: Database) -> None:
        """Count what was not counted yet."""
        unfinished: set[int] = set()
        for one in store.counted(database, self._after, self._open):
            self._after = max(self._after, *one.runs)
            if one.state not in OUTCOMES:
                unfinished.update(one.runs)
                continue
            self.runs[one.connection, one.state] += len(one.runs)
            for kind, count in zip(KINDS, one.applied, strict=True):
                self.operations[one.connection, kind] += count
        self._open = frozenset(unfinished)


def families(standing: Standing, counters: Counters, *, reload_ok: bool = True) -> tuple[Family, ...]:
    """Return every metric, in the order of docs/monitoring.md; ``reload_ok``: the last reload was taken."""
    connections = standing.connections
    configured = [one.name for one in connections if one.configured]
    names = sorted({"", *configured, *(name for name, _ in counters.runs)})
    operations = [*((one.name, one.operations) for one in connections), ("", standing.by_hand)]
    return (
        _gauge(
            "syncd_heartbeat_timestamp_seconds",
            "When these numbers were looked up.",
            [({}, standing.at.timestamp())],
        ),
        _gauge(
            "syncd_last_success_timestamp_seconds",
            "When the last read ended whose plan was applied.",
            (
                ({"connection": one.name, "mode": mode}, datetime.fromisoformat(time).timestamp())
                for one in connections
                for mode, time in one.success.items()
            ),
        ),
        _gauge(
            "syncd_source_late",
            "1 if a source was not read as its schedule says.",
            (({"connection": one.name}, float(bool(one.late))) for one in connections if one.configured),
        ),
        _gauge(
            "syncd_source_entries",
            "Entries that the last complete read had.",
            (({"connection": one.name}, one.entries) for one in connections if one.entries is not None),
        ),
        _counter(
            "syncd_runs_total",
            "Runs that are over.",
            (
                ({"connection": name, "outcome": state}, counters.runs[name, state])
                for name in names
                for state in OUTCOMES
            ),
        ),
        _gauge("syncd_held_runs", "Runs that a guard holds.", [({}, len(standing.held))]),
        _gauge(
            "syncd_operations",
            "Operations that wait for somebody.",
            (
                ({"connection": name, "state": state}, counts.get(state, 0))
                for name, counts in operations
                for state in OPEN_STATES
            ),
        ),
        _counter(
            "syncd_operations_total",
            "Operations that were applied.",
            (
                ({"connection": name, "kind": kind}, counters.operations[name, kind])
                for name in names
                for kind in KINDS
            ),
        ),
        *_of_platforms(standing),
        _gauge(
            "syncd_licences",
            "Licences of a feature: those that there are, those in use, and users who wait for one.",
            (
                ({"feature": one.feature, "state": state}, getattr(one, state))
                for one in standing.licences
                for state in LICENCE_STATES
            ),
        ),
        _gauge("syncd_config_reload_ok", "0 if the last reload was refused.", [({}, float(reload_ok))]),
        _gauge(
            "syncd_broken_plugins", "Plugins that could not be loaded.", [({}, len(standing.broken_plugins))]
        ),
        _gauge(
            "syncd_database_bytes", "Size of the database and its journal.", [({}, standing.database_bytes)]
        ),
        _gauge(
            "syncd_disk_free_bytes",
            "What is free where the database lies.",
            [] if standing.free_bytes is None else [({}, standing.free_bytes)],
        ),
    )


def _of_platforms(standing: Standing) -> tuple[Family, ...]:
    platforms = standing.platforms
    return (
        _gauge(
            "syncd_deliveries",
            "Accounts that a platform does not have as it should.",
            (
                ({"platform": one.name, "state": state}, one.deliveries.get(state, 0))
                for one in platforms
                for state in UNDELIVERED
            ),
        ),
        _gauge(
            "syncd_oldest_delivery_seconds",
            "Age of the oldest delivery that is still to be done; 0 if there is none.",
            (({"platform": one.name}, seconds_since(one.oldest, standing.at)) for one in platforms),
        ),
        _gauge(
            "syncd_platform_breaker_open",
            "1 while a platform is left alone: it does not answer, refuses to be used, or failed too often.",
            (({"platform": one.name}, float(one.state != "well")) for one in platforms),
        ),
    )


def text_of(found: Iterable[Family]) -> str:
    """Return metrics as text."""
    lines: list[str] = []
    for family in found:
        lines += [f"# HELP {family.name} {_escaped(family.help)}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return "".join(f"{line}\n" for line in lines)


def seconds_since(stamp: str | None, now: datetime) -> int:
    """Return how long ago a stored time is; 0 for none, and for one that has not come."""
    return 0 if stamp is None else max(0, int((now - datetime.fromisoformat(stamp)).total_seconds()))


def _gauge(name: str, told: str, samples: Iterable[Sample]) -> Family:
    return Family(name, "gauge", told, tuple(samples))


def _counter(name: str, told: str, samples: Iterable[Sample]) -> Family:
    return Family(name, "counter", told, tuple(samples))


def _labels(labels: Mapping[str, str]) -> str:
    told = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{told}}}" if told else ""


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
