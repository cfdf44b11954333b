"""The verb ``accounts``: list, show, and change them by hand."""

from __future__ import annotations

from .lazy import LazyGroup
from .options import examples

_LISTS = "syncd.cli.account_lists"
_CHANGES = "syncd.cli.account_changes"

accounts = LazyGroup(
    "accounts",
    default="list",
    lazy={
        "list": (f"{_LISTS}:list_", "List accounts."),
        "show": (_LISTS, "Show one account, and who says what of it."),
        "add": (_CHANGES, "Add an account by hand."),
        "edit": (_CHANGES, "Set attributes by hand."),
        "reset": (_CHANGES, "Take back what was set by hand."),
        "disable": (_CHANGES, "Disable an account by hand."),
        "enable": (_CHANGES, "Take back that it was disabled by hand."),
        "delete": (_CHANGES, "Delete an account by hand."),
        "link": (_CHANGES, "Link an account to an entry of a source."),
        "unlink": (_CHANGES, "Take a link away."),
        "erase": (_CHANGES, "Forget a person for good."),
    },
    help="""List, show and change accounts.

    ACCOUNT is a number, or the value of a key such as login, email or extension. A change is an
    operation like any other: it stands in the journal, and "syncd undo" takes it back. Without a
    command: list.""",
    epilog=examples(
        "syncd accounts list lovelace                    whoever says this anywhere",
        "syncd accounts show ada",
        "syncd accounts add acme login=ada --role sales  by hand; no source will remove it",
        "syncd accounts edit ada phone=+4940123          by hand; beats every source",
        "syncd accounts reset ada phone                  the sources' value returns",
        "syncd accounts disable ada",
    ),
)
