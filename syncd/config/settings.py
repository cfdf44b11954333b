"""The configuration as the rest of syncd sees it: checked, compiled, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ..guard import Limits
from ..mapping import AttributeMapping
from ..model import VOCABULARY, Licences, Role, Template, Vocabulary
from ..places import SOCKET
from ..planning import Terms
from ..schedules import Timetable
from ..validation import Check


class Origin(NamedTuple):
    """Where a value was written: a file and a line, an environment variable, or nowhere (a default)."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class SourceSettings(NamedTuple):
    """One configured source. ``options`` is an instance of its plugin's ``Options``."""

    name: str
    type: str
    enterprise: str
    precedence: int
    options: Any
    mapping: AttributeMapping
    match: tuple[str, ...]
    terms: Terms
    limits: Limits
    checks: tuple[Check, ...] = ()
    default_role: str | None = None
    schedule: Timetable = Timetable()
    formerly: str | None = None


class PlatformSettings(NamedTuple):
    """One configured platform.

    ``accept`` maps attributes to the values that are let in; ``mapping`` makes its fields from account
    attributes (rules' ``sources`` are attributes, ``attribute`` is the field), empty: the same names.
    """

    name: str
    type: str
    enterprises: frozenset[str] | None
    options: Any
    accept: Mapping[str, frozenset[str]]
    mapping: AttributeMapping
    limits: Limits
    formerly: str | None = None


class ObserverSettings(NamedTuple):
    """One configured observer. ``options`` is an instance of its plugin's ``Options``."""

    name: str
    type: str
    options: Any


class MetricsSettings(NamedTuple):
    """Where the metrics go: a file, an address and port of this machine alone, both, or nowhere."""

    textfile: Path | None = None
    listen: tuple[str, int] | None = None


class EnterpriseSettings(NamedTuple):
    """One tenant: the scope in which keys are unique."""

    name: str
    synchronizer: str = "directory"
    sources: tuple[str, ...] = ()
    protected: tuple[tuple[str, str], ...] = ()
    """(attribute, shell pattern) pairs, such as ("login", "svc-*")."""


class Settings(NamedTuple):
    """The whole configuration."""

    state_directory: Path
    timezone: ZoneInfo
    socket: Path = SOCKET
    operators: tuple[str, ...] = ("syncd-admin",)
    readers: tuple[str, ...] = ()
    """The groups whose members may have the service do something, and those that may only look."""

    plugins: tuple[str, ...] = ()
    vocabulary: Vocabulary = VOCABULARY
    locations: Mapping[str, tuple[str, ...]] = {}
    departments: tuple[str, ...] = ()
    licences: Licences = Licences()
    templates: Mapping[str, Template] = {}
    roles: Mapping[str, Role] = {}
    enterprises: Mapping[str, EnterpriseSettings] = {}
    sources: Mapping[str, SourceSettings] = {}
    platforms: Mapping[str, PlatformSettings] = {}
    observers: Mapping[str, ObserverSettings] = {}
    metrics: MetricsSettings = MetricsSettings()
    secrets_key: str | None = None
    """The reference of the key that secrets are sealed with."""

    keep_values: timedelta | None = timedelta(days=400)
    purge_after: timedelta | None = timedelta(days=90)
    origins: Mapping[str, Origin] = {}
    """Dotted path of every value -> where it was written."""

    plain: Mapping[str, Any] = {}
    """Every effective value by dotted path, secrets' references included, for ``config show``."""
