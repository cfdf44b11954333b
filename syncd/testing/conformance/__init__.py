"""The requirements on sources, platforms, transforms and rules, a test each."""

from .functions import RuleConformance, TransformConformance
from .platforms import PlatformConformance
from .sources import SourceConformance, SourceWorld

__all__ = [
    "PlatformConformance",
    "RuleConformance",
    "SourceConformance",
    "SourceWorld",
    "TransformConformance",
]
