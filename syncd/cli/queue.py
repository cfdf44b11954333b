"""The verb ``queue``: what waits for a person, and what a person can do with it."""

from __future__ import annotations

from .lazy import LazyGroup
from .options import examples

_LISTS = "syncd.cli.queue_lists"
_DECISIONS = "syncd.cli.queue_decisions"

queue = LazyGroup(
    "queue",
    default="list",
    lazy={
        "list": (f"{_LISTS}:list_", "List everything that waits."),
        "show": (_LISTS, "Show all that is known of one operation."),
        "release": (_DECISIONS, "Do operations now, by your word."),
        "edit": (_DECISIONS, "Correct a proposal by hand."),
        "retry": (_DECISIONS, "Judge proposals again by the rules as they are now."),
        "discard": (_DECISIONS, "Refuse operations, until the source's value changes."),
        "ignore": (_DECISIONS, "Leave an entry alone for good."),
        "unignore": (_DECISIONS, "Heed an entry again."),
    },
    help="""See to the operations that wait for a person.

    An operation is "detained" when a person has to agree to it, "failed" when a person has to mend
    something, "waiting" when its time has not come, "held" when a guard holds its whole run, and
    "planned" when preview has shown it and nobody has applied it. Without a command: list.""",
    epilog=examples(
        "syncd queue                                    everything that waits",
        "syncd queue list --state failed",
        "syncd queue show 17                            all that is known of it",
        "syncd queue release 17 18                      do them now",
        "syncd queue release --all --connection hq      do all that is detained",
        "syncd queue edit 17 email=ada@example.org      correct a proposal",
        'syncd queue discard 17 --why "a test account"  not this proposal',
        "syncd queue ignore hq 7f9c3a                   nothing of this entry, ever",
    ),
)
