"""Floor 7: the service: what keeps everything going by itself.

``service`` is the process: its start, its signals, its clock, its end. It never works itself: ``lines``
reads sources, a thread for each enterprise; ``courier`` brings platforms to what is wanted, in one; ``house``
lets people's verbs in between. ``generation`` is the configuration in force; ``beats`` tells who is alive.
"""

from .service import Service

__all__ = ["Service"]
