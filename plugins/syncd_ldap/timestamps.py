"""Changes by their modifyTimestamp, removals by a list of all who are there: for every LDAP server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from syncd import CursorExpired

from . import sweeping, witnesses
from .adapter import Session
from .cursors import Increment, Mark
from .entries import Shape
from .paging import Reading


class Timestamps:
    """Finds changes by the servers' clock, to whole seconds; who is gone is not on the list of all anchors."""

    name = "timestamps"

    def __init__(self, session: Session, reading: Reading, shape: Shape) -> None:
        self.session = session
        self.reading = reading
        self.shape = shape
        self.server = session.url

    def mark(self) -> Mark:
        """Return the time to ask from the next time: ours, less the overlap that clocks and replicas may differ by."""
        since = datetime.now(UTC) - timedelta(seconds=self.reading.options.overlap)
        return {"since": since.strftime("%Y%m%d%H%M%SZ")}

    def since(self, mark: Mark) -> Increment:
        """Yield what has changed, then all who are there; return where to go on, and that this is the whole."""
        fresh = self.mark()
        if fresh["since"] < mark["since"]:
            # The last read began at a time that has not come yet; what changed since then is older than that.
            raise CursorExpired(
                "the clock of this machine was set back since the last read, or overlap was raised"
            )
        self._refuse_moves(mark["since"])
        named: set[str] = set()
        for base in self.reading.options.base:
            only = f"(modifyTimestamp>={mark['since']})"
            for page in self.reading.pages(base, self.shape.requested, only):
                for one in self.shape.entries(page.entries):
                    named.add(one.anchor or "")
                    yield one
        yield from sweeping.present(self.reading, self.shape, named)
        return fresh, True

    def unusable(self) -> str | None:
        """Return why this server does not offer it: it has to find bases, and people in them, by what is asked here."""
        if self.session.root.kind == "ad":
            return "Active Directory does not search by modifyTimestamp"
        ever = "(modifyTimestamp>=19700101000000Z)"
        return witnesses.blind(
            self.reading,
            self.reading.options.base,
            f"(&{ever}(|(hasSubordinates=TRUE)(hasSubordinates=FALSE)))",
        ) or witnesses.overlooked(self.reading, ever)

    def _refuse_moves(self, since: str) -> None:
        text = f"(&(modifyTimestamp>={since})(hasSubordinates=TRUE))"
        for context in witnesses.contexts_of(self.reading.options.base, self.session.root.contexts):
            for name, values in witnesses.found(self.reading, context, text, "createTimestamp"):
                witnesses.refuse(name, values.get("createtimestamp", ""), since)
