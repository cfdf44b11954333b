"""Floor 5: plugins are found, loaded, blamed by name, and called through a typed facade."""

from .hooks import Hooks
from .loading import Plugins, Row, load

__all__ = ["Hooks", "Plugins", "Row", "load"]
