"""The benchmark directory: N people with about twenty attributes each, always the same ones.

    python tests/bench/directory.py 100000 /var/tmp/bench

writes ``people.ldif`` and loads it into a slapd there; ``serve`` starts that slapd.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from servers.slapd import PEOPLE, Slapd, record

GIVEN = ("Anna", "Jörg", "Zoë", "José", "Mary Ann", "Łukasz", "Ólafur", "Nguyễn", "Çelik", "Peter")
FAMILY = (
    "Müller",
    "Smith",
    "O'Neill",
    "García",
    "Øster",
    "Björnsdóttir",
    "Kovačević",
    "Brown",
    "Tremblay",
    "李",
)
UNITS = ("Sales", "Support", "Research", "Production", "Finance", "Purchase", "Legal", "Logistics")
CITIES = ("Hamburg", "München", "Lyon", "Montréal", "København", "Kraków", "Leeds", "Sevilla")
ATTRIBUTES = ("uid", "cn", "sn", "givenName", "mail", "telephoneNumber", "departmentNumber", "employeeNumber")
"""What the benchmark asks for, besides entryUUID."""


def people(count: int) -> Iterator[str]:
    """Yield the LDIF of the units, then of every person."""
    for unit in UNITS:
        yield record(f"ou={unit},{PEOPLE}", objectClass="organizationalUnit", ou=unit)
    for number in range(count):
        yield person(number)


def person(number: int) -> str:
    """Return the LDIF of one person; every fourth has a second mail address."""
    # Multiplying by a prime spreads the combinations, so that neighbours differ.
    spread = number * 7919
    given, family = GIVEN[spread % 10], FAMILY[spread // 10 % 10]
    unit, city = UNITS[spread // 100 % 8], CITIES[spread // 1000 % 8]
    uid = f"u{number:07d}"
    mails = [f"{uid}@example.test"] + ([f"{uid}.second@example.test"] if number % 4 == 0 else [])
    return record(
        f"uid={uid},ou={unit},{PEOPLE}",
        objectClass=["top", "person", "organizationalPerson", "inetOrgPerson"],
        uid=uid,
        cn=f"{given} {family}",
        sn=family,
        givenName=given,
        initials=given[0] + family[0],
        displayName=f"{family}, {given}",
        mail=mails,
        telephoneNumber=f"+49 40 {number:07d}",
        mobile=f"+49 170 {number:07d}",
        facsimileTelephoneNumber=f"+49 40 9{number:07d}",
        employeeNumber=f"{number:08d}",
        employeeType="staff" if number % 9 else "contractor",
        departmentNumber=f"{number % 400:03d}",
        ou=unit,
        title=f"{unit} specialist {number % 7}",
        l=city,
        street=f"Street {number % 300}",
        postalCode=f"{10000 + number % 80000}",
        roomNumber=f"{number % 60}.{number % 20}",
        preferredLanguage="de" if number % 2 else "en",
        description=f"Number {number} of the benchmark, {city}",
    )


def build(count: int, directory: Path) -> Slapd:
    """Make the directory anew and return its slapd, loaded but not started."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return Slapd(directory, people(count), tls=True)


def serve(directory: Path) -> Slapd:
    """Return the slapd of a directory that ``build`` made; use it in a ``with``."""
    return Slapd(directory, tls=True)


if __name__ == "__main__":
    build(int(sys.argv[1]), Path(sys.argv[2]))
