"""The configuration in force: its settings, its plugins and its platforms, replaced as a whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..config import Settings
from ..distribution import Lane
from ..errors import ConfigError, PluginError
from ..logs import get_log
from ..pipeline.delivering import lanes_of
from ..pipeline.installation import Installation, resolver
from ..pipeline.opening import plugins_for, settings_for
from ..places import socket_of
from ..plugins import Plugins

log = get_log("syncd.daemon")


@dataclass(frozen=True, slots=True)
class Generation:
    """One configuration. ``settled``: what it changes for platforms has been planned, so sources may be read."""

    settings: Settings
    plugins: Plugins
    secret: Callable[[str], str]
    settled: threading.Event = field(default_factory=threading.Event)

    def lanes(self, here: Installation, before: list[Lane]) -> list[Lane]:
        """Return the platforms; each is as well as it was ``before``."""
        health = {lane.name: lane.health for lane in before}
        return [replace(lane, health=health.get(lane.name, lane.health)) for lane in lanes_of(here)]


def load(
    files: tuple[Path, ...] | None, state_directory: Path | None, environ: Mapping[str, str]
) -> Generation:
    """Load configuration and plugins. Raises ConfigError with all that is wrong with the former."""
    plugins = plugins_for(files, environ)
    try:
        settings = settings_for(files, environ, plugins)
    except BaseException:
        plugins.hooks.close(0)
        raise
    if state_directory is not None:
        place = state_directory.absolute()
        settings = settings._replace(state_directory=place, socket=socket_of(place))
    for failure in plugins.failures:
        log.error("plugin_failed", plugin=failure.plugin, error=str(failure))
    plugins.hooks.report = _told
    return Generation(settings, plugins, resolver(plugins, environ, settings))


def require_same_place(old: Settings, new: Settings) -> None:
    """Refuse what cannot change while the service runs. Raises ConfigError."""
    for name in ("state_directory", "socket"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            raise ConfigError(f"{name} was {before} and is {now}: that takes a restart")


def _told(failure: PluginError) -> None:
    log.warning("observer_failed", plugin=failure.plugin, error=str(failure))
