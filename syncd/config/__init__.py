"""Floor 4: the configuration, from TOML files to checked and frozen settings.

``wanted_plugins`` tells which plugins to load, the caller loads them, and ``load`` does the rest. What
comes out is ``settings.Settings``; pydantic is imported only when something is loaded.
"""

from .catalog import Catalog
from .loading import load, places_of, show, wanted_plugins
from .settings import Settings

__all__ = ["Catalog", "Settings", "load", "places_of", "show", "wanted_plugins"]
