"""Writes people into an empty slapd with ldapadd and with the platform ``ldap``, round by round.

python tests/bench/ldap_writing.py /var/tmp/bench [people] [rounds]

``ldapadd`` is the yardstick: it sends one add for each and looks for nobody. The platform looks for each by
key, adds, and reads what the server calls the entry: three requests. Both speak without TLS; slapd does not
wait for the disk, so this is what the programs cost.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from servers.ldap_platform import ATTRIBUTES, UNITS, WRITABLE, account, ldap_platform
from servers.slapd import PASSWORD, PEOPLE, READER, Slapd, record

from syncd import Account, Delivery
from syncd_ldap.platform import LdapPlatform
from syncd_ldap.platformoptions import PERSON

WIDTHS = (1, 16, 100)


def wanted(number: int, description: str = "") -> Account:
    """Return an account that fills every attribute of the platform."""
    return account(number, mail=(f"u{number}@example.test",), description=description or f"number {number}")


def ldapadd(server: Slapd, count: int) -> float:
    """Return the seconds that ldapadd takes."""
    file = server.directory / "people.ldif"
    people = (wanted(number).fields for number in range(count))
    file.write_text(
        "\n".join(
            record(f"uid={fields['uid']},{PEOPLE}", objectClass=PERSON, **dict(fields)) for fields in people
        )
    )
    command = ["ldapadd", "-x", "-H", server.url, "-D", READER, "-w", PASSWORD, "-f", str(file)]
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def timed(platform: LdapPlatform, deliveries: Iterable[Delivery]) -> tuple[float, list[str]]:
    """Return the seconds of some deliveries, and the remote ids; every one must succeed."""
    begun = time.perf_counter()
    outcomes = list(platform.deliver(deliveries))
    taken = time.perf_counter() - begun
    assert not [one.error for one in outcomes if one.error]
    return taken, [str(one.remote_id) for one in outcomes]


def platform(server: Slapd, count: int, width: int) -> Iterator[tuple[str, float]]:
    """Yield what the platform takes for adding, changing, listing and deleting everybody."""
    writer = ldap_platform(server, in_flight=width)
    writer.open()
    taken, ids = timed(writer, (Delivery(n, "add", 1, None, wanted(n)) for n in range(count)))
    yield "add", taken
    changed = frozenset({"description"})
    yield (
        "update",
        timed(writer, (Delivery(n, "update", 1, ids[n], wanted(n, "new"), changed) for n in range(count)))[0],
    )
    begun = time.perf_counter()
    assert count == len(list(writer.list()))
    yield "list", time.perf_counter() - begun
    yield "delete", timed(writer, (Delivery(n, "delete", 1, ids[n], wanted(n)) for n in range(count)))[0]
    writer.close()


def once(directory: Path, measure: Callable[[Slapd], None]) -> None:
    """Measure with an empty server."""
    shutil.rmtree(directory, ignore_errors=True)
    with Slapd(directory, UNITS, access=WRITABLE) as server:
        measure(server)


def main(directory: Path, count: int, rounds: int) -> None:
    """Run everything ``rounds`` times, in turn, and print medians, and adds as a ratio to ldapadd's."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        once(directory, lambda server: times.setdefault("ldapadd", []).append(ldapadd(server, count)))
        for width in WIDTHS:

            def measure(server: Slapd, width: int = width) -> None:
                for what, taken in platform(server, count, width):
                    times.setdefault(f"{what}, {width} at once", []).append(taken)

            once(directory, measure)
    print(f"{count} people, {len(ATTRIBUTES)} attributes, {rounds} rounds")
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(taken, times["ldapadd"], strict=True))
        middle = statistics.median(taken)
        print(f"{name:24} {middle:6.2f} s {count / middle:8.0f} /s   x {ratio:.2f}")


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else 10_000,
        int(sys.argv[3]) if len(sys.argv) > 3 else 3,
    )
