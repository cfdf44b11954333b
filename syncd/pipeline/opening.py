"""From configuration files to loaded plugins and checked settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Catalog, Settings, load, wanted_plugins
from ..logs import get_log

if TYPE_CHECKING:
    from ..errors import PluginError
    from ..plugins import Plugins

log = get_log("syncd.opening")


def plugins_for(files: Sequence[Path] | None, environ: Mapping[str, str], *, whole: bool = False) -> Plugins:
    """Load the plugins that the configuration uses; those that fail stand in ``failures``.

    ``whole``: with all that they offer, not only with what the configuration uses of them. Raises nothing for a configuration that is wrong: ``settings_for`` does.
    """
    from ..plugins import load as load_plugins

    used, listed = wanted_plugins(files, environ)
    types = {word for _, word in used}
    return load_plugins(types, listed, report=_observer_failed, uses=None if whole else used)


def settings_for(files: Sequence[Path] | None, environ: Mapping[str, str], plugins: Plugins) -> Settings:
    """Return the checked configuration. Raises ConfigError with every problem at once."""
    return load(files, catalog_of(plugins), environ)


def catalog_of(plugins: Plugins) -> Catalog:
    """Return what the plugins offer to the configuration."""
    return Catalog(
        sources=plugins.sources,
        platforms=plugins.platforms,
        observers=plugins.observers,
        transforms=plugins.transforms,
        rules=plugins.rules,
        attributes=plugins.attributes,
        why_unknown=plugins.unknown_type,
    )


def _observer_failed(failure: PluginError) -> None:
    log.warning("observer_failed", plugin=failure.plugin, error=str(failure))
