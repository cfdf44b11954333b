"""The verb ``check``: everything that is wrong, at once, before anything is started."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from .failures import exit_code_of, worst
from .inventory import configured, still_used
from .options import examples, json_option
from .output import counted, say, shown, write, write_json
from .samples import print_samples, samples_of
from .session import Session, session_of
from .status import frozen_text

if TYPE_CHECKING:
    from ..config import Settings
    from ..config.settings import ObserverSettings, PlatformSettings, SourceSettings
    from ..connector import Connector, Source

    Configured = SourceSettings | PlatformSettings | ObserverSettings

_PRIVATE = 0o077


class Finding(NamedTuple):
    """One thing to tell of what was looked at; a problem has the exit code that goes with it."""

    about: str
    message: str
    code: int = 0


@click.command(
    epilog=examples(
        "syncd check                           files, plugins, secrets, state directory",
        "syncd check --connect                 and ask each source, platform and observer",
        "syncd check --connect --show          and show ten entries of each source as they are mapped",
        "syncd --config draft.toml check       before it is put in place",
    )
)
@click.option("--connect", is_flag=True, help="Also speak to every source, platform and observer.")
@click.option("--show", is_flag=True, help="Also read ten entries of every source, and show them mapped.")
@json_option
@click.pass_context
def check(ctx: click.Context, /, *, connect: bool, show: bool, as_json: bool) -> None:
    """Find every mistake of the configuration at once, each with file and line.

    Ends with 78 for the configuration, 77 where a password or a right is missing, 69 where something
    does not answer, 0 if all is well. Works while another process is at work, and changes nothing.
    """
    found: list[Finding] = []
    samples: dict[str, list[dict[str, Any]]] = {}
    session = session_of(ctx)
    session.begin_log()
    for one in _findings(session, connect=connect or show, samples=samples if show else None):
        if one in found:  # a secret that is not there is missed by the connector, too
            continue
        found.append(one)
        if not as_json and (one.code or connect or show):
            write(f"{'! ' if one.code else '  '}{one.about}: {shown(one.message)}")
    problems = [one for one in found if one.code]
    counts = {} if any(one.about == "configuration" for one in problems) else configured(session.settings)
    if as_json:
        write_json(
            {
                "configured": counts,
                "problems": [
                    {"about": one.about, "message": one.message, "exit_code": one.code} for one in problems
                ],
                "notes": [{"about": one.about, "message": one.message} for one in found if not one.code],
                **({"samples": samples} if show else {}),
            }
        )
    else:
        for source, entries in samples.items():
            print_samples(source, entries)
        if not (connect or show):
            for one in found:
                if not one.code:
                    say(f"note: {one.about}: {shown(one.message)}")
        if counts:
            say(f"configured: {', '.join(counted(count, what) for what, count in counts.items())}")
        say(counted(len(problems), "problem") if problems else "no problem was found")
    ctx.exit(worst([one.code for one in problems]))


def _findings(
    session: Session, *, connect: bool, samples: dict[str, list[dict[str, Any]]] | None
) -> Iterator[Finding]:
    from ..errors import ConfigError

    for failure in session.plugins.failures:
        yield Finding("plugin", str(failure), exit_code_of(failure))
    for warning in session.plugins.warnings:
        yield Finding("plugin", warning)
    try:
        settings = session.settings
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("configuration", _redacted(problem), error.exit_code)
        return
    yield from _state(session)
    yield from _key(session)
    yield from _frozen(session)
    for kind, one in _connectors(settings):
        about = f"{kind} {one.name}"
        yield from _secrets(session, about, one.options)
        good = True
        for finding in _tried(session, kind, one, connect=connect):
            good = good and not finding.code
            yield finding
        if samples is not None and good and kind == "source":
            yield from _sampled(session, settings.sources[one.name], samples)


def _redacted(text: str) -> str:
    from ..logs import redact

    return redact(text)


def _connectors(settings: Settings) -> Iterator[tuple[str, Configured]]:
    yield from (("source", one) for one in settings.sources.values())
    yield from (("platform", one) for one in settings.platforms.values())
    yield from (("observer", one) for one in settings.observers.values())


def _state(session: Session) -> Iterator[Finding]:
    """Look at the state directory and at the database in it, as their owner would find them."""
    from ..errors import StoreError
    from ..store.database import BROKEN, open_reading

    place, about = session.settings.state_directory, "state directory"
    try:
        status = place.stat()
    except FileNotFoundError:
        yield Finding(about, f"{place} does not exist yet; the first preview or sync makes it")
        return
    except OSError as error:
        yield Finding(about, f"{place} cannot be looked at: {error.strerror}", 77)
        return
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        yield Finding(about, f"{place} belongs to user {status.st_uid}, and this is {os.geteuid()}", 77)
    elif mode & _PRIVATE:
        yield Finding(about, f"{place} can be entered by others (mode {mode:04o}): chmod 700 it", 77)
    if not session.database.exists():
        return
    try:
        with closing(open_reading(session.database)) as database:
            yield from (Finding(*told) for told in still_used(session.settings, database))
    except (StoreError, *BROKEN) as error:
        yield Finding("database", str(error), exit_code_of(error))


def _frozen(session: Session) -> Iterator[Finding]:
    """Tell of the sources that this configuration leaves out, as far as the database can be read from here."""
    from ..errors import StoreError
    from ..pipeline.retiring import frozen

    try:
        here = session.looking
    except (StoreError, OSError):
        return  # told with the state directory
    for one in frozen(here):
        yield Finding(f"source {one.name}", frozen_text(one))


def _secrets(session: Session, about: str, options: Any) -> Iterator[Finding]:
    from ..errors import SyncdError

    resolve = session.secret()
    for reference in dict.fromkeys(references_of(options)):
        if reference.startswith("credential:") and not session.environ.get("CREDENTIALS_DIRECTORY"):
            yield Finding(
                about, f"{reference} cannot be looked at here: systemd passes it to the service alone"
            )
            continue
        try:
            resolve(reference)
        except SyncdError as error:
            yield Finding(about, _redacted(str(error)), exit_code_of(error))


def _key(session: Session) -> Iterator[Finding]:
    """Look at the key that secrets are sealed with, as far as it can be seen from here."""
    from ..errors import SyncdError
    from ..sealing import Keys

    reference = session.settings.secrets_key
    if reference is None:
        return
    found = [*_secrets(session, "secrets_key", {"secret": reference})]
    yield from found
    if not found:
        try:
            keys = Keys(session.secret()(reference))
            for known in _sealed_with(session):
                keys.require(known)
        except SyncdError as error:
            yield Finding("secrets_key", str(error), exit_code_of(error))


def _sealed_with(session: Session) -> list[bytes]:
    """Return which keys the secrets of the database were sealed with, as far as it can be read from here."""
    from ..errors import StoreError
    from ..store.sealed import kinds_of_key

    try:
        return kinds_of_key(session.looking.database.conn) if session.database.exists() else []
    except (StoreError, OSError):
        return []  # told with the state directory


def references_of(options: Any, *, secret: bool = False) -> Iterator[str]:
    """Yield the references to secrets that options hold: in secret fields, and in those named like one."""
    from pydantic import BaseModel, SecretStr

    from ..config.words import is_secret_key

    if isinstance(options, SecretStr):
        yield options.get_secret_value()
    elif isinstance(options, str):
        if secret:
            yield options
    elif isinstance(options, BaseModel | Mapping):
        for name, value in dict(options).items():
            yield from references_of(value, secret=is_secret_key(name))
    elif isinstance(options, Iterable):
        for value in options:
            yield from references_of(value, secret=secret)


def _tried(session: Session, kind: str, settings: Configured, *, connect: bool) -> Iterator[Finding]:
    """Make a connector and, if it is to ``connect``, open it and let it check itself."""
    from ..errors import SyncdError

    about = f"{kind} {settings.name}"
    try:
        connector = _made(session, kind, settings)
        if getattr(connector, "incremental", False):
            yield from _full_reads(about, cast("SourceSettings", settings))
        if connect:
            yield from (Finding(about, _redacted(line)) for line in _asked(connector.open, connector))
    except SyncdError as error:
        yield Finding(about, _redacted(str(error)), exit_code_of(error))
    except Exception as error:  # noqa: BLE001 - a plugin's own error must not hide what is wrong elsewhere
        message = f"the plugin of type {settings.type!r} raised {type(error).__name__}: {error}"
        yield Finding(about, _redacted(message), exit_code_of(error))


def _full_reads(about: str, settings: SourceSettings) -> Iterator[Finding]:
    """Say if no schedule of full reads stands behind the incremental ones."""
    from ..pipeline.line import FULL_AGAIN
    from ..schedules import OFF, longest

    schedule = settings.schedule
    between = longest(schedule.full)
    if schedule.incremental != OFF and (between is None or between > FULL_AGAIN):
        yield Finding(
            about,
            f'schedule.full is "{schedule.full}": behind what a source tells of its changes stands a full read at '
            f"least every {FULL_AGAIN.days} days. It is made then in the place of an incremental one, whatever the "
            'time; write full = "sunday at 02:30", or more often',
        )


def _sampled(
    session: Session, settings: SourceSettings, samples: dict[str, list[dict[str, Any]]]
) -> Iterator[Finding]:
    """Read some entries of a source and keep them as they are mapped."""
    from ..errors import SyncdError

    try:
        source = cast("Source", _made(session, "source", settings))
        samples[settings.name] = samples_of(source, settings.mapping, session.settings.vocabulary)
    except SyncdError as error:
        yield Finding(f"source {settings.name}", _redacted(str(error)), exit_code_of(error))


def _made(session: Session, kind: str, settings: Configured) -> Connector:
    from ..connector import Context, Source
    from ..logs import get_log

    context = Context(settings.name, get_log(f"connector.{settings.name}"), session.secret())
    plugins = session.plugins
    types: dict[str, Mapping[str, type[Connector]]] = {
        "source": plugins.sources,
        "platform": plugins.platforms,
        "observer": plugins.observers,
    }
    connector = types[kind][settings.type](settings.options, context)
    if isinstance(connector, Source):
        connector.select(cast("SourceSettings", settings).mapping.sources)
    return connector


def _asked(open_it: Callable[[], None], connector: Connector) -> Iterator[str]:
    try:
        open_it()
        yield from connector.check()
        yield "answers"
    finally:
        connector.close()
