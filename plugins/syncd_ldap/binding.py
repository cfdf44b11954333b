"""Who asks: nobody, a name with a password, or a Kerberos ticket (RFC 4752), in the words of ldap3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from ldap3 import ANONYMOUS, KERBEROS, SASL, SIMPLE

from syncd import Denied, Unavailable

from .options import Bind

LIBRARIES = ("gssapi", "cryptography")
"""What ldap3 makes use of for a ticket: the second to bind it to the TLS connection (RFC 5929)."""


def require_libraries(bind: Bind | None) -> None:
    """Raise Denied, with the extra to install, if a ticket is to be used and cannot be."""
    missing = [name for name in LIBRARIES if bind and bind.mechanism == "gssapi" and find_spec(name) is None]
    if missing:
        what, cure = " and ".join(missing), "pip install 'syncd[kerberos]'"
        raise Denied(f'bind: mechanism = "gssapi" needs {what}, not installed: {cure}')


def identity(bind: Bind | None, password: str | None, host: str) -> dict[str, Any]:
    """Return the options of ldap3's Connection; ``host`` is the server's name, which a ticket is for."""
    if bind is None:
        return {"authentication": ANONYMOUS}
    if bind.mechanism == "gssapi":
        service = {"sasl_mechanism": KERBEROS, "sasl_credentials": (host,)}
        return {"authentication": SASL, "user": bind.dn, **service}
    return {"authentication": SIMPLE, "user": bind.dn, "password": password}


@contextmanager
def ticket_failures(where: str) -> Iterator[None]:
    """Turn what the library gssapi raises into Denied without a good ticket, Unavailable otherwise."""
    try:
        yield
    except Exception as error:
        # Its classes cannot be named here: the library is an extra.
        if not type(error).__module__.startswith("gssapi"):
            raise
        kind = Denied if "Credentials" in type(error).__name__ else Unavailable
        cure = "get a ticket (kinit, k5start), or name a keytab in KRB5_CLIENT_KTNAME"
        raise kind(f"{where}: Kerberos: {error}; {cure}") from error


def principal() -> str:
    """Return whose ticket there is. Raises Denied or Unavailable where there is none."""
    from gssapi.creds import Credentials

    with ticket_failures("bind"):
        return str(Credentials(usage="initiate").name)
