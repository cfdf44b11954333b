"""The last stretch: what a run leaves to be done, and bringing the configured platforms to what is wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import SyncdError
from ..logs import get_log
from ..store.runs import Run
from .installation import Installation, context_of, fields_of, keys_of, service_of
from .line import Beat
from .sealing import revealer
from .turns import ACCOUNTS

if TYPE_CHECKING:
    from ..config.settings import PlatformSettings
    from ..connector import Platform
    from ..distribution import Difference, Lane, LaneReport

log = get_log("syncd.distribution")


def finish(here: Installation, run: Run) -> Run:
    """Do what follows from an applied run, and return it: a policy is in force, a licence goes to who waits for one.

    Whom a platform could not take as a policy wanted, and can by now, goes there.

    To be called after every apply; harmless for all other runs, and when repeated.
    """
    from .licences import grant
    from .policy import finish_policy

    finish_policy(here, run)
    if here.settings.platforms:
        from .fitting import reconsider

        reconsider(here)
    grant(here)
    return run


def lanes_of(here: Installation, names: Iterable[str] = ()) -> list[Lane]:
    """Return the configured platforms (or those named) as distribution wants them.

    Keep them as long as the configuration lasts: a platform's health lives with its lane. Never touches
    the network. Raises SyncdError for a platform that is not configured.
    """
    wanted = list(dict.fromkeys(names)) or list(here.settings.platforms)
    unknown = [name for name in wanted if name not in here.settings.platforms]
    if unknown:
        known = ", ".join(sorted(here.settings.platforms)) or "none"
        raise SyncdError(
            f"there is no platform {', '.join(unknown)} in the configuration; configured are: {known}"
        )
    if not wanted:
        return []
    from ..distribution import Lane

    lanes, reveal = [], revealer(here)
    for name in wanted:
        settings = here.settings.platforms[name]
        context = context_of(here, name)
        platform = here.plugins.platforms[settings.type](settings.options, context)
        lanes.append(
            Lane(
                name=name,
                platform=platform,
                service=service_of(here, settings),
                fields_of=fields_of(settings, platform),
                reveal=reveal,
                context=context,
                batch=platform.batch,
                **_claims(here, settings, platform),
            )
        )
    return lanes


def _claims(here: Installation, settings: PlatformSettings, platform: Platform) -> dict[str, Any]:
    """Return what a lane has to know of the platform's keys."""
    return {
        "keys": keys_of(settings, platform),
        "allocated": frozenset(
            name for role in here.settings.roles.values() for name in role.template.allocate
        ),
        # Those whom it serves no more may be there still.
        "shared": len(here.settings.enterprises) > 1,
    }


def deliver(
    here: Installation,
    beat: Beat | None = None,
    *,
    lanes: Iterable[Lane] | None = None,
    forgiven: Collection[str] = (),
    wait: bool = False,
    deadline: datetime | None = None,
) -> dict[str, LaneReport]:
    """Bring every platform to what is wanted, as far as it goes now; return a report by its name.

    A platform whose new policy nobody has applied yet gets nothing, and has no report. ``lanes`` are all
    that are configured unless they are given; where somebody else keeps them, the pauses of those ``forgiven``
    are ended first. ``wait`` sits out short pauses; nothing new begins after ``deadline``. It gives way to whoever waits
    to change accounts: what is left is then said to be ``stopping``.
    """
    from .policy import unsettled

    if here.courier is not None and lanes is None:
        return here.courier(beat, forgiven)
    closed = set(unsettled(here))
    every = lanes_of(here) if lanes is None else [*lanes]
    ready = [lane for lane in every if lane.name not in closed]
    if not ready:
        return {}
    from ..distribution import distribute

    with here.alone(ACCOUNTS, "deliveries to platforms"):
        return distribute(
            here.database,
            ready,
            apart=[lane for lane in every if lane.name in closed],
            clock=here.clock,
            log=log,
            stopping=lambda: here.stopping.is_set() or here.turns.wanted(ACCOUNTS),
            beat=None if beat is None else lambda count: beat("deliver", count),
            wait=wait,
            deadline=deadline,
        )


def verify_platforms(
    here: Installation, names: Iterable[str] = ()
) -> Iterator[tuple[str, Iterator[Difference]]]:
    """Yield each platform (all, or those named) with its differences; these are found while they are read.

    Reading the differences raises ConnectorError when the platform cannot be asked.
    """
    from ..distribution import verify

    for lane in lanes_of(here, names):
        yield lane.name, verify(here.database, lane)
