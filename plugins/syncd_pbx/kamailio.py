"""The platform ``kamailio``: subscribers, as the module auth_db reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from syncd import Account, Context, Field

from .marks import digest
from .options import KamailioOptions, fields_of
from .platform import ACCEPTABLE, Node, NodePlatform, number_of, text_of

if TYPE_CHECKING:
    from .rows import Rows


class KamailioPlatform(NodePlatform):
    """One row of ``subscriber`` for each account."""

    Options: ClassVar[type[KamailioOptions]] = KamailioOptions
    options: KamailioOptions
    users = "subscriber"

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        number = "number, and name to log in with"
        self.fields = {
            "extension": Field(
                "extension", number, required=True, limit=40, pattern=options.extensions, key=True
            ),
            "password": Field(
                "password", "password of the telephone", limit=80, pattern=ACCEPTABLE, secret=True
            ),
            **fields_of(options.columns, "subscriber"),
        }

    def needed(self) -> Mapping[str, Collection[str]]:
        return {"subscriber": {"id", "username", "domain", "ha1", "ha1b", *self.options.columns}}

    def node(self, rows: Rows) -> Node:
        from .subscribers import Subscribers

        return Subscribers(rows, self.options)

    def fingerprint(self, account: Account) -> str:
        more = [text_of(account, name) or "" for name in sorted(self.options.columns)]
        return digest(number_of(account, self.options.extensions), more, bool(account.enabled))
