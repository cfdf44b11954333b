"""The platform ``kamailio``: subscribers, as the module auth_db reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from syncd import Account, Context, Field

from .batches import Node
from .marks import digest
from .options import KamailioOptions, fields_of
from .platform import ACCEPTABLE, NodePlatform, number_of, text_of

if TYPE_CHECKING:
    from .rows import Lookup, Rows


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

    def lookups(self) -> Mapping[str, Lookup]:
        from .references import lookups_of
        from .rows import Lookup

        within = {"domain": self.options.domain}
        return {
            "subscriber": Lookup(
                "subscriber", "username", {"id", "ha1", "ha1b", *self.options.columns}, within
            ),
            "disabled": Lookup("subscriber", "username", within=within),
            **lookups_of(self.options.references),
        }

    def node(self, rows: Rows) -> Node:
        from .subscribers import Subscribers

        return Subscribers(rows, self.options)

    def fingerprint(self, account: Account) -> str:
        more = [text_of(account, name) or "" for name in sorted(self.options.columns)]
        return digest(number_of(account, self.options.extensions), more, bool(account.enabled))
