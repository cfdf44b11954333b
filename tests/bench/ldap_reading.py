"""Reads the benchmark directory with ldapsearch and with the source ``ldap``, whole processes, round by round.

python tests/bench/directory.py 100000 /var/tmp/bench
python tests/bench/ldap_reading.py /var/tmp/bench [rounds]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from directory import ATTRIBUTES, serve
from servers.slapd import PEOPLE, Slapd

FILTER = "(objectClass=inetOrgPerson)"


def read(url: str, authority: str, mode: str) -> int:
    """Read everybody as the engine does: fingerprints only, or everything of each entry."""
    from syncd import Context, Entry
    from syncd_ldap.source import LdapSource

    protection = {"tls": "none"} if url.startswith("ldap:") else {"ca_file": authority}
    options = LdapSource.Options(url=[url], base=[PEOPLE], filter=FILTER, **protection)  # type: ignore[arg-type]
    source = LdapSource(options, Context("bench", None, str))
    source.select(ATTRIBUTES)
    source.open()
    count = 0
    for item in source.read(None):
        if isinstance(item, Entry):
            count += 1
            _ = item.fingerprint if mode == "fingerprints" else item.attributes
    return count


def commands(server: Slapd) -> dict[str, list[str]]:
    """Return what is measured, by name; ``ldapsearch`` is the yardstick of each connection."""
    authority = str(server.certificate.authority) if server.certificate else ""
    found = {}
    # By address, because ldapsearch takes "localhost" for the name of the machine.
    for name, url in (("plain", server.url), ("TLS", f"ldaps://127.0.0.1:{server.tls_port}")):
        search = ["ldapsearch", "-x", "-LLL", "-H", url, "-b", PEOPLE, "-E", "pr=1000/noprompt", FILTER]
        found[f"{name}: ldapsearch"] = [
            "env",
            f"LDAPTLS_CACERT={authority}",
            *search,
            *ATTRIBUTES,
            "entryUUID",
        ]
        for mode in ("fingerprints", "decoded"):
            found[f"{name}: {mode}"] = [sys.executable, __file__, "--read", url, authority, mode]
    return found


def measure(server: Slapd, rounds: int) -> None:
    """Run everything ``rounds`` times, in turn, and print medians and ratios within a round."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, command in commands(server).items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.setdefault(name, []).append(time.perf_counter() - begun)
    for name, taken in times.items():
        yardstick = times[f"{name.split(':')[0]}: ldapsearch"]
        ratios = [one / other for one, other in zip(taken, yardstick, strict=True)]
        spread = f"[{min(taken):.2f}-{max(taken):.2f}]"
        print(f"{name:22} {statistics.median(taken):5.2f} s {spread}  x {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        read(*sys.argv[2:5])
    else:
        with serve(Path(sys.argv[1])) as slapd:
            measure(slapd, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
