"""Configuration, plugins and database of one installation, put together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .. import logs
from ..completion import Completion
from ..config import Settings, places_of
from ..config.settings import PlatformSettings, SourceSettings
from ..connector import Context, Platform, Source
from ..errors import ConfigError, SyncdError
from ..guard import Limits
from ..mapping import mapper
from ..model import Attribute, Entry, Template, Value, Vocabulary
from ..services import Service, Shared, serves
from ..store.database import Database
from ..store.retirement import make_room, start_anew
from ..store.runs import Connection, connection_of
from ..store.staging import stamp
from ..validation import Demand
from .turns import Turns, Waits

if TYPE_CHECKING:
    from ..distribution import LaneReport
    from ..plugins import Plugins


class Deliver(Protocol):
    """Brings all platforms to what is wanted and returns the reports; ends the pauses of ``forgiven`` ones first."""

    def __call__(
        self, beat: Callable[[str, int], None] | None, forgiven: Collection[str] = ()
    ) -> dict[str, LaneReport]: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Installation:
    """What every verb works on. ``clock`` returns an aware time; nothing else asks for the time.

    ``secret`` resolves a reference; ``actor`` is who is asking, as the journal records it. ``turns`` are
    shared by all that work on one database; ``patience`` (seconds, None without end) is how long one's turn
    is waited for. ``courier`` delivers in the place of the caller, where somebody else does that; see ``Deliver``.
    ``waits`` is told what one's turn is waited for.
    """

    settings: Settings
    plugins: Plugins
    database: Database
    actor: str
    secret: Callable[[str], str]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    stopping: threading.Event = field(default_factory=threading.Event)
    turns: Turns = field(default_factory=Turns)
    patience: float | None = None
    courier: Deliver | None = None
    waits: Waits | None = None

    def alone(self, name: str | None, what: str) -> AbstractContextManager[None]:
        """Hold a turn: an enterprise's, that of changing ACCOUNTS, or (None) everything. Raises Busy, Stopping."""
        return self.turns.take(
            name, what, patience=self.patience, stopping=self.stopping.is_set, waits=self.waits
        )

    def now(self) -> str:
        """Return the time as it is stored."""
        return stamp(self.clock())


class Line(NamedTuple):
    """Everything that shapes the runs of one connection."""

    settings: SourceSettings
    connection: Connection
    source: Source
    vocabulary: Vocabulary
    completion: Completion
    protected: tuple[tuple[str, str], ...]
    demands: tuple[Demand, ...]
    services: tuple[tuple[Service, Limits], ...]
    siblings: tuple[str, ...]
    salt: bytes
    secrets: frozenset[str] = frozenset()
    """The secret attributes that its source says."""


def line_of(here: Installation, name: str) -> Line:
    """Make one connection's line ready; touches the database, never the network.

    Raises SyncdError for a source that is not configured, PluginError if its constructor fails.
    """
    settings = source_settings(here, name)
    enterprise = here.settings.enterprises[settings.enterprise]
    source = here.plugins.sources[settings.type](settings.options, context_of(here, name))
    source.select(settings.mapping.sources)
    policies = {rule.attribute: rule.policy for rule in settings.mapping.rules if rule.policy != "always"}
    start_anew(here.database, name, settings.enterprise)
    make_room(here.database, name, settings.formerly, here.now())
    connection = connection_of(here.database, name, settings.enterprise, settings.type, settings.formerly)
    return Line(
        settings=settings,
        connection=connection,
        source=source,
        vocabulary=here.settings.vocabulary,
        completion=Completion(
            precedence=settings.precedence,
            owns=settings.terms.owns,
            adopts=settings.terms.owns and settings.terms.adopt,
            roles=here.settings.roles,
            default_role=settings.default_role,
            policies=policies,
        ),
        protected=enterprise.protected,
        demands=demands_of(here, settings.enterprise),
        services=services_of(here, settings.enterprise),
        siblings=enterprise.sources,
        salt=_salt(here, settings),
        secrets=here.settings.vocabulary.secrets.intersection(
            rule.attribute for rule in settings.mapping.rules
        ),
    )


def source_settings(here: Installation, name: str) -> SourceSettings:
    """Return a source's settings; raises SyncdError naming those that there are."""
    settings = here.settings.sources.get(name)
    if settings is None:
        known = ", ".join(sorted(here.settings.sources)) or "none"
        raise SyncdError(f"there is no source {name!r} in the configuration; configured are: {known}")
    return settings


def require_unconfigured(here: Installation, connection: int | None) -> None:
    """Refuse to retire a connection that is still to be read. Raises SyncdError that says where it is configured."""
    name, enterprise = here.database.conn.execute(
        "SELECT name, enterprise FROM connections WHERE id = ?", (connection,)
    ).fetchone()
    for one in here.settings.sources.values():
        if name in (one.name, one.formerly) and one.enterprise == enterprise:
            known = f"still configured{f' as {one.name}' if one.name != name else ''}"
            raise SyncdError(
                f"source {name} is {known} ({here.settings.origins[f'source.{one.name}.type']}), and its next "
                f"read would bring everybody back: take [source.{one.name}] out of the configuration and its "
                f"name out of the sources of [enterprise.{enterprise}], then syncd retire {name}"
            )


def context_of(here: Installation, name: str) -> Context:
    """Return what a connector is given."""
    return Context(name, logs.get_log(f"connector.{name}"), here.secret, here.stopping)


def begin_observing(here: Installation) -> None:
    """Let the configured observers see what happens from now on; once for each set of loaded plugins."""
    for settings in here.settings.observers.values():
        kind = here.plugins.observers[settings.type]
        make = partial(kind, settings.options, context_of(here, settings.name))
        here.plugins.hooks.add_observer(settings.name, kind.__module__.partition(".")[0], make)


def platform_of(here: Installation, settings: PlatformSettings) -> Platform:
    """Make a platform; never touches the network."""
    return here.plugins.platforms[settings.type](settings.options, context_of(here, settings.name))


def services_of(here: Installation, enterprise: str) -> tuple[tuple[Service, Limits], ...]:
    """Return the platforms that serve an enterprise, with their limits."""
    return tuple(
        (service_of(here, settings)._replace(told=_told_of(here, settings)), settings.limits)
        for settings in here.settings.platforms.values()
        if settings.enterprises is None or enterprise in settings.enterprises
    )


def keys_of(settings: PlatformSettings, platform: Platform) -> dict[str, frozenset[str]]:
    """Return the key fields of a platform, each with the attributes that fill it."""
    mapped = {rule.attribute: frozenset(rule.sources) for rule in settings.mapping.rules}
    return {
        name: mapped.get(name, frozenset({field.attribute}))
        for name, field in platform.fields.items()
        if field.key
    }


def shared_of(here: Installation, enterprise: str) -> tuple[Shared, ...]:
    """Return the platforms that an enterprise is on together with others."""
    found = []
    for settings in here.settings.platforms.values() if len(here.settings.enterprises) > 1 else ():
        served = here.settings.enterprises.keys() if settings.enterprises is None else settings.enterprises
        if enterprise in served and len(served) > 1:
            keys = keys_of(settings, platform_of(here, settings)).values()
            found.append(Shared(service_of(here, settings), frozenset().union(*keys)))
    return tuple(found)


def service_of(here: Installation, settings: PlatformSettings) -> Service:
    """Return a configured platform's place in the line."""
    kinds = here.plugins.platforms[settings.type].kinds
    return Service(
        name=settings.name,
        kinds=kinds,
        enterprises=settings.enterprises,
        accept=settings.accept,
        roles=here.settings.roles,
    )


def _told_of(here: Installation, settings: PlatformSettings) -> frozenset[str]:
    """Return the attributes that fill the fields of a platform."""
    rules = settings.mapping.rules
    mapped = {rule.attribute for rule in rules}
    fields = platform_of(here, settings).fields
    own = {field.attribute for name, field in fields.items() if name not in mapped}
    return frozenset(own.union(*(rule.sources for rule in rules)))


def demands_of(here: Installation, enterprise: str) -> tuple[Demand, ...]:
    """Return what the platforms of an enterprise demand of the accounts that they serve."""
    found = []
    for settings in here.settings.platforms.values():
        if settings.enterprises is not None and enterprise not in settings.enterprises:
            continue
        platform = platform_of(here, settings)
        demanding = {
            name: field
            for name, field in platform.fields.items()
            if field.required or field.limit is not None or field.pattern is not None
        }
        if demanding:
            serving = partial(serves, service_of(here, settings), enterprise)
            found.append(Demand(settings.name, serving, demanding, fields_of(settings, platform)))
    return tuple(found)


def fields_of(
    settings: PlatformSettings, platform: Platform
) -> Callable[[Mapping[str, Value]], dict[str, Value]]:
    """Return the function from an account's attributes to the platform's fields.

    Without a ``map`` every field takes the attribute that the platform declares for it. Raises ConfigError
    for a mapped field that the platform has not; the function raises ValueError for values that cannot be
    transformed.
    """
    declared = platform.fields
    if not settings.mapping.rules:
        pairs = [(name, field.attribute) for name, field in declared.items()]
        return lambda values: {name: values[source] for name, source in pairs if source in values}
    unknown = sorted({rule.attribute for rule in settings.mapping.rules} - set(declared))
    if unknown:
        raise ConfigError(
            f"platform {settings.name} has no field {', '.join(unknown)}; it has {', '.join(sorted(declared))}"
        )
    rules = tuple(rule._replace(many=declared[rule.attribute].many) for rule in settings.mapping.rules)
    words = {
        name: Attribute(name, field.description, many=field.many, limit=None)
        for name, field in declared.items()
    }
    map_entry = mapper(settings.mapping._replace(rules=rules), words)
    mapped = {rule.attribute for rule in rules}
    rest = [(name, field.attribute) for name, field in declared.items() if name not in mapped]

    def made(values: Mapping[str, Value]) -> dict[str, Value]:
        texts = {name: (value,) if isinstance(value, str) else value for name, value in values.items()}
        fields = {name: values[source] for name, source in rest if source in values}
        record = map_entry(Entry("", texts))
        if record.faults:
            raise ValueError("; ".join(fault.message for fault in record.faults))
        return {**fields, **record.values}

    return made


def resolver(plugins: Plugins, environ: Mapping[str, str], settings: Settings) -> Callable[[str], str]:
    """Return the function that resolves references and lets no secret reach a log afterwards."""
    from ..credentials import resolve

    def secret(reference: str) -> str:
        where = places_of(settings, reference)
        value = resolve(reference, environ, plugins.hooks.resolve_secret, where=where)
        logs.remember_secret(value)
        return value

    return secret


def _salt(here: Installation, settings: SourceSettings) -> bytes:
    """Return a digest of what shapes a record: another one means that every entry is read anew."""
    terms, roles = settings.terms, here.settings.roles
    told: Iterable[Any] = (
        settings.mapping.text,
        settings.match,
        settings.default_role,
        sorted(terms.operations),
        (terms.kind, terms.adopt, terms.owns, terms.leavers.disabled),
        sorted(here.settings.locations.items()),
        here.settings.departments,
        sorted(here.settings.licences.profiles),
        settings.precedence,
        [_told(roles[name].template) for name in sorted(roles)],
    )
    return blake2b(repr(told).encode(), digest_size=8).digest()


def _told(template: Template) -> tuple[Any, ...]:
    """Return what a template says, in an order that every process agrees on."""
    numbers = [(name, str(pool)) for name, pool in sorted(template.allocate.items())]
    return template.name, template.services, sorted(template.defaults.items()), sorted(template.wins), numbers
