"""What ``[platform.NAME]`` may say when its type is ``ldap``; checked without touching the network."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from syncd import VOCABULARY
from syncd_bulk.columns import Column, Strict, columns_of

from . import dn
from .options import AttributeName, DistinguishedName, Filter, ServerOptions

PERSON = ["top", "person", "organizationalPerson", "inetOrgPerson"]
MEMBERSHIPS = "memberships"
"""The field that says which groups somebody is in."""
BY_NAME = "dn"
"""Instead of an attribute: a distinguished name."""

_PASSWORDS = frozenset(
    {"userpassword", "unicodepwd", "authpassword", "userpkcs12", "dbcspwd", "sambantpassword"}
)
_NOT_OURS = frozenset({"dn", "objectclass", "memberof", MEMBERSHIPS})

SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "ad": {"attribute": "userAccountControl", "bit": 2, "start": 512},
    "ppolicy": {"attribute": "pwdAccountLockedTime", "value": "000001010000Z"},
    "nsaccountlock": {"attribute": "nsAccountLock", "value": "true"},
    "delete": {"delete": True},
}
"""What ``disable`` may say in one word (vendors' rules): Active Directory's ADS_UF_ACCOUNTDISABLE in an account of
kind ADS_UF_NORMAL_ACCOUNT; the permanent lock of draft-behera-ldap-password-policy; that of 389 Directory Server."""


class Written(Column):
    """An attribute that is written. A text alone is the account attribute."""

    many: bool = Field(default=False, description="takes several values")


class Disable(Strict):
    """How an entry is disabled: by an attribute, by being moved, or by being deleted."""

    attribute: AttributeName | None = Field(default=None, description="the attribute that disables an entry")
    value: str | None = Field(default=None, description="its value in a disabled entry")
    enabled: str | None = Field(
        default=None, description="its value in an enabled entry; left out: an enabled entry has none"
    )
    bit: int | None = Field(
        default=None, ge=1, description="instead of value: what is set in the number that the attribute holds"
    )
    start: int = Field(
        default=0, ge=0, description="with bit: the number where an enabled entry has none yet"
    )
    base: DistinguishedName | None = Field(
        default=None, min_length=1, description="where disabled entries are moved to"
    )
    delete: bool = Field(default=False, description="a disabled account has no entry")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if [self.attribute is not None, self.base is not None, self.delete].count(True) != 1:
            raise ValueError("takes an attribute, or a base, or delete = true: one of the three")
        if self.attribute and (self.value is None) is (self.bit is None):
            raise ValueError(f"{self.attribute}: write the value that disables, or a bit")
        if not self.attribute and (self.value or self.enabled or self.bit):
            raise ValueError("value, enabled and bit belong to an attribute")
        if self.bit and self.enabled is not None:
            raise ValueError("with a bit there is no value for enabled entries: the bit is taken away")
        if self.value is not None and self.value == self.enabled:
            raise ValueError("a disabled entry would look like an enabled one")
        return self


class Groups(Strict):
    """Which groups follow the field ``memberships``: all below ``base``, and no others."""

    base: DistinguishedName = Field(min_length=1, description="the groups below this entry are kept")
    attribute: AttributeName = Field(
        default="member", description="the attribute of a group that holds the names of its members' entries"
    )
    name: AttributeName = Field(
        default="cn",
        description="what memberships are: values of this attribute of a group; dn: its distinguished name",
    )
    create: bool = Field(default=False, description="make a group that is missing, instead of refusing")
    object_class: str = Field(default="groupOfNames", description="with create: the class of a new group")


def _switch(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in SWITCHES:
        known = ", ".join(f'"{name}"' for name in SWITCHES)
        raise ValueError(f"must be {known}, or a table with attribute and value, or with base")
    return SWITCHES[value]


class PlatformOptions(ServerOptions):
    """The options of the platform ``ldap``."""

    base: DistinguishedName = Field(
        min_length=1, description="where new entries go; accounts are looked for here and below"
    )
    attributes: Annotated[dict[AttributeName, Written], BeforeValidator(columns_of)] = Field(
        min_length=1,
        description="LDAP attribute -> account attribute: what is written; a list means equal names",
    )
    rdn: AttributeName = Field(
        default="uid", description="the attribute that entries are named by; one of attributes"
    )
    object_classes: list[AttributeName] = Field(
        default=PERSON, min_length=1, description="the object classes of an entry, the most special one last"
    )
    key: list[AttributeName] = Field(
        default=[],
        description="the attributes by which an account is found, in this order; left out: rdn",
    )
    filter: Filter = Field(
        default="",
        validate_default=False,
        description="which entries may be accounts, as an LDAP filter; left out: those of the last object class",
    )
    anchor: AttributeName = Field(
        default="auto",
        description="the attribute that never changes; auto: objectGUID in Active Directory, nsUniqueId in 389 "
        "Directory Server, entryUUID elsewhere; dn: where a server has nothing better",
    )
    disable: Annotated[Disable, BeforeValidator(_switch)] = Field(
        description='how an account is disabled: "ad", "ppolicy", "nsaccountlock", "delete", or a table'
    )
    groups: Groups | None = Field(
        default=None, description="the groups that follow the field memberships; left out: none"
    )
    in_flight: int = Field(default=16, ge=1, le=100, description="deliveries that are under way at once")
    page_size: int = Field(
        default=1000, ge=0, le=100_000, description="verify: entries per page; 0: no pages"
    )
    deadline: int = Field(default=3600, ge=1, description="verify: seconds for reading everything")
    max_entries: int = Field(default=1_000_000, ge=1, description="verify: more entries than this fail")

    @field_validator("attributes")
    @classmethod
    def _writable(cls, attributes: dict[str, Written]) -> dict[str, Written]:
        seen: set[str] = set()
        for name, one in attributes.items():
            low = name.lower().partition(";")[0]
            if low in _PASSWORDS or one.attribute in VOCABULARY.secrets:
                raise ValueError(f"{name}: passwords and other secrets cannot be written yet; leave it out")
            if low in _NOT_OURS:
                raise ValueError(f"{name} cannot be written like this; object_classes and groups are options")
            if name.lower() in seen:
                raise ValueError(f"{name} stands twice; case means nothing here")
            seen.add(name.lower())
        return attributes

    @model_validator(mode="after")
    def _together(self) -> Self:
        spelled = {name.lower(): name for name in self.attributes}
        self.key = self.key or [self.rdn]
        for name in (self.rdn, *self.key):
            if name.lower() not in spelled:
                raise ValueError(f"{name} names or finds entries, so attributes must say what fills it")
        self.rdn, self.key = spelled[self.rdn.lower()], [spelled[name.lower()] for name in self.key]
        if self.attributes[self.rdn].many or ";" in self.rdn:
            raise ValueError(f"{self.rdn} names entries, so it has one value, and no options")
        taken = [self.disable.attribute, None if self.anchor == "auto" else self.anchor]
        for name in filter(None, taken):
            if name.lower() in spelled:
                raise ValueError(f"{name} is written by the platform itself, or by the server; leave it out")
        self.filter = self.filter or f"(objectClass={self.object_classes[-1]})"
        return self

    @property
    def places(self) -> list[str]:
        """Where accounts are looked for."""
        apart = self.disable.base is not None and not dn.within(self.disable.base, self.base)
        return [self.base, str(self.disable.base)] if apart else [self.base]
