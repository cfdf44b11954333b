"""How long it takes to read a domain of Active Directory, and what has changed in it, against ldapsearch.

    python tests/bench/bench_domain.py --rounds 7
    python tests/bench/bench_domain.py --rounds 3 --size 100000

Over ldaps, from the test suite's own domain (Samba): the people of the unit Crowd with four attributes. A domain of
another size than the suite's is made first, and kept for the next time: 100,000 people take nine minutes.
*Work* is a read inside an open and bound connection; *whole* is that with the connection, against a process of
``ldapsearch`` that asks the same.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from servers.ldap_source import AD_FILTER, ad_source
from servers.samba import CROWD, CROWD_UNIT, DOMAIN, SHOW_DELETED, WATCHER, Samba, template
from servers.slapd import PASSWORD

from syncd import Checkpoint
from syncd_ldap.dirsync import EVERYBODY, DirSync
from syncd_ldap.paging import Reading
from syncd_ldap.source import LdapSource

ATTRIBUTES = ["sAMAccountName", "sn", "mail", "telephoneNumber"]
CHANGED, REMOVED = 100, 10


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the milliseconds that ``work`` takes, and what it returns."""
    begin = time.perf_counter()
    found = work()
    return (time.perf_counter() - begin) * 1000, found


def ldapsearch(domain: Samba, base: str, text: str, *more: str) -> float:
    """Return the milliseconds of a whole ldapsearch."""
    command = ["ldapsearch", "-x", "-LLL", "-H", domain.ldaps_url, "-D", WATCHER, "-w", PASSWORD]
    command += ["-E", "pr=1000/noprompt", *more, "-b", base, text, *ATTRIBUTES]
    environment = {**os.environ, "LDAPTLS_CACERT": str(domain.authority.path)}
    return timed(lambda: subprocess.run(command, env=environment, check=True, capture_output=True))[0]


def asking(domain: Samba, **options: Any) -> LdapSource:
    """Return a source of the crowd, as patient as one is without being told: Samba collects all before the first page."""
    return ad_source(domain, CROWD_UNIT, who=WATCHER, read_timeout=60, **options)


def read(source: LdapSource, cursor: str | None) -> tuple[float, float, str | None]:
    """Return the milliseconds of connecting, those of reading, and the cursor."""
    opening, _ = timed(source.open)
    working, last = timed(lambda: deque(source.read(cursor), maxlen=1))
    assert isinstance(last[0], Checkpoint)
    return opening, working, last[0].cursor


def change(domain: Samba, number: int) -> None:
    """Change a hundred people, and remove ten that were added before."""
    for who in range(CHANGED):
        domain.modify(f"CN=u{who},{CROWD_UNIT}", telephoneNumber=f"+49 30 {number}")
    domain.delete(*(f"CN=x{who},{CROWD_UNIT}" for who in range(REMOVED)))


def first_cookie(source: LdapSource, text: str, names: list[str]) -> float:
    """Return the milliseconds of a DirSync search without a cookie."""
    source.open()
    session = source._opened()
    reading = Reading(session, source.options, source.context.stopping)
    strategy = DirSync(session, reading, source._shape(session))
    milliseconds, _ = timed(lambda: strategy._told(DOMAIN, text, names))
    source.close()
    return milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=CROWD)
    given = parser.parse_args()
    found: dict[str, list[float]] = {}

    def note(name: str, milliseconds: float) -> None:
        found.setdefault(name, []).append(milliseconds)

    made = template(given.size)
    with tempfile.TemporaryDirectory() as folder, Samba(Path(folder) / "dc1", of=made) as domain:
        for number in range(given.rounds):
            for strategy in ("off", "usn", "dirsync"):
                source = asking(domain, incremental=strategy, select=ATTRIBUTES)
                domain.add_all(CROWD_UNIT, [f"x{who}" for who in range(REMOVED)])
                opening, working, cursor = read(source, None)
                note(f"{strategy}: full, work", working)
                note(f"{strategy}: full, whole", opening + working)
                if cursor is not None:
                    _, working, cursor = read(source, cursor)
                    note(f"{strategy}: nothing changed, work", working)
                change(domain, number)
                if cursor is not None:
                    opening, working, cursor = read(source, cursor)
                    note(f"{strategy}: 100 changed and 10 removed, work", working)
                    note(f"{strategy}: 100 changed and 10 removed, whole", opening + working)
            shown = ("-E", f"!{SHOW_DELETED}")
            note("ldapsearch: full", ldapsearch(domain, CROWD_UNIT, AD_FILTER))
            highest = f"(uSNChanged>={int(domain.value('', 'highestCommittedUSN')) + 1})"
            note("ldapsearch: nothing changed", ldapsearch(domain, DOMAIN, highest, *shown))
            recent = f"(uSNChanged>={int(domain.value('', 'highestCommittedUSN')) - CHANGED - REMOVED + 1})"
            note("ldapsearch: 100 changed and 10 removed", ldapsearch(domain, DOMAIN, recent, *shown))
            source = asking(domain)
            note("first cookie, everybody's name", first_cookie(source, EVERYBODY, ["name"]))
            note("first cookie, everybody's isDeleted", first_cookie(source, EVERYBODY, ["isDeleted"]))
            note("first cookie, one entry", first_cookie(source, "(cn=Deleted Objects)", ["isDeleted"]))
    for name, values in found.items():
        print(f"{name:45} {statistics.median(values):8.1f} ms ({min(values):.1f}-{max(values):.1f})")


main()
