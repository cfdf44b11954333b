"""The requirements on sources, platforms, observers, transforms and rules, a test each."""

from .functions import RuleConformance, TransformConformance
from .observers import ObserverConformance
from .platforms import PlatformConformance
from .sources import SourceConformance, SourceWorld

__all__ = [
    "ObserverConformance",
    "PlatformConformance",
    "RuleConformance",
    "SourceConformance",
    "SourceWorld",
    "TransformConformance",
]
