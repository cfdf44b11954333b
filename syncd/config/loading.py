"""From configuration files and the environment to ``Settings``: the ways into this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .catalog import Catalog
from .settings import Origin, Settings

CONNECTORS = ("source", "platform", "observer")
"""The tables whose ``type`` a plugin registers."""


def wanted_plugins(
    files: Sequence[Path] | None, environ: Mapping[str, str]
) -> tuple[frozenset[tuple[str, str]], tuple[str, ...]]:
    """Return which types are used, as ("source", "ldap"), and the third-party plugins.

    The first step of two: it looks at nothing else and complains about nothing, as ``load`` will.
    """
    from .environment import override
    from .files import read

    document = read(files, environ)
    override(document, environ, ("plugins", *CONNECTORS))
    plugins = document.tree.get("plugins")
    return (
        frozenset((what, word) for what in CONNECTORS for word in _types(document.tables(what))),
        tuple(name for name in plugins if isinstance(name, str)) if isinstance(plugins, list) else (),
    )


def _types(tables: Mapping[str, Any]) -> frozenset[str]:
    found = (table.get("type") for table in tables.values() if isinstance(table, dict))
    return frozenset(word for word in found if isinstance(word, str))


def load(files: Sequence[Path] | None, catalog: Catalog, environ: Mapping[str, str]) -> Settings:
    """Return the whole configuration, checked and compiled.

    ``files`` are those named on the command line; without any it is ``$SYNCD_CONFIG``, else
    ``/etc/syncd/syncd.toml``. The ``conf.d/*.toml`` beside each belong to it. Raises ConfigError with
    every problem of every file at once, each as ``file:line: key: what is wrong``.
    """
    from .compiling import (
        TOP_KEYS,
        Draft,
        compile_enterprises,
        compile_locations,
        compile_templates,
        compile_top,
        compile_vocabulary,
    )
    from .effective import Effective
    from .environment import override
    from .files import read
    from .licences import compile_licences
    from .observers import compile_metrics, compile_observers
    from .platforms import compile_platforms
    from .sources import compile_sources

    document = read(files, environ)
    override(document, environ, TOP_KEYS)
    draft = Draft(document, catalog, environ, Effective(document))
    top, state_directory, socket, timezone = compile_top(draft)
    steps = (compile_vocabulary, compile_licences, compile_locations, compile_templates, compile_enterprises)
    for step in steps:
        step(draft)
    sources, platforms = compile_sources(draft), compile_platforms(draft)
    observers, metrics = compile_observers(draft), compile_metrics(draft, top.metrics)
    if document.problems:
        raise ConfigError(document.report())
    return Settings(
        state_directory=state_directory,
        timezone=timezone,
        socket=socket,
        operators=top.control.operators,
        readers=top.control.readers,
        plugins=top.plugins,
        vocabulary=draft.vocabulary,
        locations=draft.locations,
        departments=top.departments,
        licences=draft.licences,
        templates=draft.templates,
        roles=draft.roles,
        enterprises=draft.enterprises,
        sources=sources,
        platforms=platforms,
        observers=observers,
        metrics=metrics,
        secrets_key=top.secrets_key,
        keep_values=top.keep.values,
        purge_after=top.purge_after,
        origins=draft.effective.origins,
        plain=draft.effective.plain,
    )


def show(settings: Settings) -> list[tuple[str, Any, Origin]]:
    """Return every effective value as (dotted path, value, where it was written), by path.

    Of a secret it is the reference, or ``***`` where the reference is of a kind that only a plugin knows.
    """
    return [(path, settings.plain[path], settings.origins[path]) for path in sorted(settings.plain)]


def places_of(settings: Settings, reference: str) -> str:
    """Return where a secret's reference was configured, for the message that it cannot be resolved."""
    found = [
        f"{path} ({settings.origins[path]})"
        for path, value in settings.plain.items()
        if reference == value or (isinstance(value, list) and reference in value)
    ]
    return ", ".join(found)
