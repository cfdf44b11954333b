"""What ``[platform.NAME]`` of the type ``mivoice`` may say: the product, its columns, and where they go in LDIF."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

import syncd
from syncd_bulk.columns import Strict, columns_of
from syncd_bulk.shared import OutputOptions, Template, alone, check_dn, check_names, template_of

Product = Literal["business", "office-400", "mx-one", "5000"]

TEXT = r"(?![=+\-@])[^\x00-\x1f\x7f]+"
"""One line, and nothing that a spreadsheet takes for a formula: an apostrophe before it would be imported too."""

_ASCII = r"(?![=+\-@])[ -~]+"


_PHONE = re.compile(r"\+[0-9][0-9 ()./-]*")
_LINE = re.compile(TEXT)


def suspicious(text: str) -> str:
    """Return why a text cannot stand in a cell, or nothing."""
    if _LINE.fullmatch(text) or _PHONE.fullmatch(text):
        return ""
    if text[:1] in "=+-@":
        return "begins like a formula, which a spreadsheet would compute"
    return "has more than one line, or a control character"


class Known(NamedTuple):
    """A column of the vendor's: the rule for its values, and the attribute that IDS fills it from by default."""

    attribute: str
    ldif: str
    pattern: str
    limit: int | None = 256
    required: bool = False
    key: bool = False


KNOWN = {
    "First Name": Known("first_name", "givenName", TEXT),
    "Last Name": Known("last_name", "sn", TEXT, required=True),
    "Login ID": Known(
        "login", "sAMAccountName", r"(?![=+\-])[!-+\--?A-~]{2,}", limit=21, required=True, key=True
    ),
    "Email Address": Known("email", "mail", r"(?![=+\-@])[!-?A-~]+@[!-?A-~]+", limit=254, key=True),
    "Role": Known("role", "employeeType", TEXT, required=True),
    "Primary Phone Directory Number": Known("extension", "telephoneNumber", r"[0-9*#]+", limit=26, key=True),
    "Department": Known("department", "department", _ASCII),
    "Location": Known("location", "physicalDeliveryOfficeName", _ASCII),
    "Home Element": Known("home_element", "ipPhone", TEXT),
}
"""The vendor's columns (bulk user provisioning; the rules for ASCII are those of IDS), in the order of the file."""

_BY_HAND = {
    "office-400": "in MiCollab's Users and Services, or with the tool of the MiVoice Office 400",
    "mx-one": "in the MX-ONE's Provisioning Manager",
}


class More(Strict):
    """One further column. A text alone is the account attribute."""

    attribute: str = Field(
        description="the account attribute that fills it, unless the platform's map says otherwise"
    )
    ldif: str | None = Field(default=None, description="the attribute of the same in LDIF")
    required: bool = Field(default=False, description="an account without it cannot be delivered")
    limit: int | None = Field(default=256, ge=1, description="characters at most")
    pattern: str = Field(
        default=rf"{_PHONE.pattern}|{TEXT}",
        description="a regular expression that the whole value must match",
    )
    key: bool = Field(default=False, description="two accounts never share a value")


class MivoiceOptions(OutputOptions):
    """Every setting of a platform of ``type = "mivoice"``."""

    path: str = Field(description="the folder that the files are put into, as an absolute path")
    product: Product = Field(
        description="'business' takes imports and changes; 'office-400' and 'mx-one' take the first import alone; "
        "'5000' takes none"
    )
    format: Literal["csv+ldif", "ldif", "csv"] | None = Field(
        default=None,
        description="'csv+ldif': new users in CSV, changes and removals in LDIF; 'ldif': all in LDIF; 'csv': new "
        "users, and nothing else; left out: csv+ldif for 'business', csv for others",
    )
    columns: Annotated[dict[str, More], BeforeValidator(columns_of)] = Field(
        default={}, description="further columns -> account attribute"
    )
    headers: dict[str, str] = Field(
        default={}, description="a column of the vendor's -> what your release calls it in the header"
    )
    attributes: dict[str, str] = Field(
        default={}, description="a column of the vendor's -> its attribute in LDIF, if not that of IDS"
    )
    dn: str | None = Field(
        default=None,
        description="the name of an entry in LDIF, with LDIF attributes in braces: "
        "'CN={sAMAccountName},OU=users,DC=acme,DC=example'",
    )
    object_class: tuple[str, ...] = Field(
        default=("top", "person", "organizationalPerson", "user"),
        min_length=1,
        description="the classes of an entry in LDIF, the most general first",
    )
    user_id: str | None = Field(
        default=None,
        description="the attribute in LDIF that holds the account's key, which never changes; left out: none",
    )
    max_entries: int = Field(default=5000, ge=2, le=5000, description="users in one file, at most")

    @model_validator(mode="after")
    def _fits(self) -> MivoiceOptions:
        _check_product(self)
        _check_columns(self)
        if not self.changes:
            if self.dn or self.attributes or self.user_id:
                raise ValueError("dn, attributes and user_id are for LDIF, which this format has not")
            return self
        if self.dn is None:
            raise ValueError(
                "dn: is missing; LDIF needs names, 'CN={sAMAccountName},OU=users,DC=acme,DC=example'"
            )
        for name, column in self.columns.items():
            if column.ldif is None:
                raise ValueError(
                    f"columns.{name}: say which attribute it is in LDIF, as changes go there: ldif = '...'"
                )
        names = [*self.ldif.values(), *([self.user_id] if self.user_id else []), *self.naming]
        check_names(names)
        check_dn(self.dn, [*self.ldif.values()], names)
        return self

    @property
    def kind(self) -> str:
        """Return the format, the product's where none is said."""
        return self.format or ("csv+ldif" if self.product == "business" else "csv")

    @property
    def changes(self) -> bool:
        """Tell whether there is a file for changes and removals."""
        return self.kind != "csv"

    @cached_property
    def ldif(self) -> dict[str, str]:
        """Return the attribute in LDIF of each column."""
        known = {name: self.attributes.get(name, one.ldif) for name, one in KNOWN.items()}
        return {**known, **{name: one.ldif or "" for name, one in self.columns.items()}}

    @property
    def by_hand(self) -> str:
        """Return where a person changes or removes a user."""
        return _BY_HAND.get(self.product, "in the MiVoice Business itself, or set format = 'csv+ldif'")

    @cached_property
    def naming(self) -> dict[str, str]:
        """Return the attribute that only the name has ('CN={sn}'): an entry must hold it, as what it is made from."""
        literal, source = self.template[0] if self.dn else ("", None)
        name = literal.removesuffix("=").strip()
        known = {one.lower() for one in (*self.ldif.values(), self.user_id or "")}
        return {name: source} if source and literal.endswith("=") and name.lower() not in known else {}

    @cached_property
    def template(self) -> Template:
        """Return the pieces of an entry's name."""
        return template_of(self.dn or "")

    def fields(self) -> dict[str, syncd.Field]:
        """Return the declaration of all columns; what an entry is named by must be there."""
        ldif = self.ldif
        columns: dict[str, Known | More] = {**KNOWN, **self.columns}
        needed = {name for _, name in self.template if name}
        return {
            name: syncd.Field(
                attribute=one.attribute,
                description=f"the column {self.headers.get(name, name)}",
                required=one.required or ldif[name] in needed,
                limit=one.limit,
                pattern=one.pattern,
                key=one.key or ldif[name] in alone(self.template),
            )
            for name, one in columns.items()
        }


def _check_product(options: MivoiceOptions) -> None:
    if options.product == "5000":
        raise ValueError(
            "product: a MiVoice 5000 takes no bulk import: its users are made in MiVoice 5000 Manager; take "
            "this platform out, and read them with a source of type 'mivoice' and owns = false"
        )
    if options.product != "business" and options.kind != "csv":
        raise ValueError(
            f"format: an {options.product} takes the first import of users as CSV, and no changes or removals; "
            f"leave format out, and make them {options.by_hand}"
        )


def _check_columns(options: MivoiceOptions) -> None:
    for name in (*options.headers, *options.attributes):
        if name not in KNOWN:
            raise ValueError(f"{name!r} is none of the vendor's columns, which are: {', '.join(KNOWN)}")
    headers = [options.headers.get(name, name) for name in (*KNOWN, *options.columns)]
    for header in headers:
        if not header or header != header.strip() or headers.count(header) > 1:
            raise ValueError(
                f"column {header!r}: names are not empty, have no blanks around them, and stand once"
            )
