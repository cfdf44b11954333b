"""What directories and nodes usually call things: rows of a map, match keys and settings, as data.

The rows of ``ad-user`` are the vendors' published default field mappings of Active Directory; those of
``openldap-inetorgperson`` are the attributes of RFC 2798 (inetOrgPerson), RFC 4519 and RFC 4524. Roles are in
neither: which attribute holds them is for the company to say. ``ids`` is the vendors' default mapping of
Integrated Directory Services: what its telephony fields say counts once, when an account is made, three
fields take ASCII only, and every plan waits for a person, until the configuration says otherwise. ``asterisk``
and ``kamailio`` are what the sources of these types make of the tables of a node. ``mivoice`` has the columns of a
MiVoice's export; people are found by their numbers first, as the vendor pairs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """Rows for a map, match keys, keys of a source, and options for a plugin that has options of these names."""

    map: Mapping[str, Any]
    match: tuple[str, ...] = ()
    keys: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}


def _once(name: str) -> dict[str, str]:
    """Return the row of what an update of the entry leaves alone."""
    return {"from": name, "policy": "create-only"}


_ASCII = {"also": ["ascii"]}


PRESETS: Mapping[str, Preset] = {
    "ad-user": Preset(
        options={
            "filter": "(&(objectCategory=person)(objectClass=user))",
            "anchor": "objectGUID",
        },
        match=("login", "email"),
        map={
            "login": "sAMAccountName",
            "email": "mail",
            "first_name": "givenName",
            "middle_name": "initials",
            "last_name": "sn",
            "display_name": "displayName",
            "title": "title",
            "department": "department",
            "location": "physicalDeliveryOfficeName",
            "company": "company",
            "description": "description",
            "info": "info",
            "street": "streetAddress",
            "city": "l",
            "state": "st",
            "postal_code": "postalCode",
            "country": "co",
            "language": "preferredLanguage",
            "phone": "telephoneNumber",
            "secondary_phones": "otherTelephone",
            "mobile": "mobile",
            "mobile2": "otherMobile",
            "home_phone": "homePhone",
            "fax": "facsimileTelephoneNumber",
            "pager": "pager",
            "extension": "ipPhone",
            "im_address": "msRTCSIP-PrimaryUserAddress",
            "website": "wWWHomePage",
            "manager": "manager",
            "distinguished_name": "distinguishedName",
            "object_class": "objectClass",
        },
    ),
    "openldap-inetorgperson": Preset(
        options={
            "filter": "(objectClass=inetOrgPerson)",
            "anchor": "entryUUID",
        },
        match=("login", "email"),
        map={
            "login": "uid",
            "email": "mail",
            "first_name": "givenName",
            "middle_name": "initials",
            "last_name": "sn",
            "display_name": {"from": ["displayName", "cn"]},
            "title": "title",
            "department": "departmentNumber",
            "location": "physicalDeliveryOfficeName",
            "company": "o",
            "description": "description",
            "street": "street",
            "city": "l",
            "state": "st",
            "postal_code": "postalCode",
            "language": "preferredLanguage",
            "phone": "telephoneNumber",
            "mobile": "mobile",
            "home_phone": "homePhone",
            "fax": "facsimileTelephoneNumber",
            "pager": "pager",
            "website": {"from": "labeledURI", "via": ["split: "]},
            "employee_number": "employeeNumber",
            "manager": "manager",
            "distinguished_name": "entryDN",
            "object_class": "objectClass",
        },
    ),
    "ids": Preset(
        options={
            "filter": "(&(objectCategory=person)(objectClass=user))",
            "anchor": "objectGUID",
        },
        keys={
            "detain": "always",
            "rules": {"email": _ASCII, "department": _ASCII, "location": _ASCII},
        },
        match=("email", "login"),
        map={
            "login": "sAMAccountName",
            "email": "mail",
            "first_name": "givenName",
            "last_name": "sn",
            "title": "title",
            "department": "department",
            "location": "physicalDeliveryOfficeName",
            "company": "company",
            "street": "streetAddress",
            "city": "l",
            "postal_code": "postalCode",
            "country": "co",
            "language": "preferredLanguage",
            "phone": _once("telephoneNumber"),
            "secondary_phones": _once("otherTelephone"),
            "mobile": _once("mobile"),
            "mobile2": "ipPhone",
            "fax": "facsimileTelephoneNumber",
            "home_element": _once("ipPhone"),
            "secondary_element": "otherIpPhone",
            "role": _once("employeeType"),
            "distinguished_name": "distinguishedName",
            "object_class": "objectClass",
        },
    ),
    "asterisk": Preset(
        match=("extension",),
        map={
            "extension": "extension",
            "softphone_extension": "softphone_extension",
            "secondary_phones": "secondary_extensions",
            "display_name": "name",
            "mailbox": "mailbox",
        },
    ),
    "kamailio": Preset(
        match=("extension",),
        map={
            "extension": "extension",
            "softphone_extension": "softphone_extension",
            "secondary_phones": "secondary_extensions",
            "sip_address": "sip_address",
        },
    ),
    "mivoice": Preset(
        options={"anchor": "Login ID"},
        match=("extension", "login", "email"),
        map={
            "login": "Login ID",
            "email": "Email Address",
            "first_name": "First Name",
            "last_name": "Last Name",
            "department": "Department",
            "location": "Location",
            "extension": "Desk Phone",
            "softphone_extension": "Soft Phone",
            "secondary_phones": "Further Numbers",
            "home_element": _once("Home Element"),
        },
    ),
}
"""Every preset by its name."""
