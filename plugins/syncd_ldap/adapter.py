"""The one module that knows ldap3: TLS, bind, filters and requests come from it, the reading does not.

ldap3's own paged search ends without a word when the server cuts it short (a size or time limit, a referral,
a lost control), and decodes every value twice. So ``paging`` asks and judges, and ``wire`` reads.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from ldap3 import ANONYMOUS, BASE, DEREF_NEVER, LEVEL, NONE, SIMPLE, SUBTREE, SYNC, Connection, Server, Tls
from ldap3.core.exceptions import LDAPExceptionError, LDAPInvalidFilterError, LDAPStartTLSError
from ldap3.operation.search import FilterNode, parse_filter, search_operation
from ldap3.utils.asn1 import encode

from syncd import ConnectorError, Denied, Unavailable

from .failures import failure
from .options import ATTRIBUTE, Options

ACTIVE_DIRECTORY = {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1851"}
"""What Active Directory, and its Lightweight Directory Services, call themselves in supportedCapabilities."""
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"


class Root(NamedTuple):
    """What a server says of itself. ``label`` is for people; ``identity``: it can say who is bound."""

    kind: Literal["ad", "389", "other", "unknown"]
    label: str
    identity: bool


def escape_filter(value: str) -> str:
    """Return a value as it is written inside a filter (RFC 4515, section 3).

    White space is escaped too: ldap3 would take it away at both ends.
    """
    return "".join(
        "".join(f"\\{octet:02x}" for octet in character.encode())
        if character in "*()\\\x00" or character.isspace()
        else character
        for character in value
    )


def check_filter(text: str) -> None:
    """Raise ValueError if ``text`` is no filter; needs no server."""
    try:
        root = parse_filter(
            text, None, auto_escape=False, auto_encode=False, validator=None, check_names=False
        )
    except LDAPInvalidFilterError as error:
        example = "(&(objectClass=person)(mail=*))"
        raise ValueError(f"{text!r} is no LDAP filter ({error}); it looks like {example}") from error
    _check_nodes(root, text)


def _check_nodes(node: FilterNode, text: str) -> None:
    assertion = node.assertion or {}
    name = assertion.get("attr")
    if name is not False and name is not None and not ATTRIBUTE.fullmatch(name):
        raise ValueError(f"{text!r} is no LDAP filter: {name!r} is no name of an attribute")
    for part in ("value", "initial", "final", "any"):
        values = assertion.get(part) or []
        for value in values if isinstance(values, list) else [values]:
            for escaped in value.split(b"\\")[1:]:
                if len(escaped) < 2 or any(octet not in b"0123456789abcdefABCDEF" for octet in escaped[:2]):
                    raise ValueError(f"{text!r} is no LDAP filter: write a backslash as \\5c")
    for inner in node.elements:
        _check_nodes(inner, text)


class _CheckedTls(Tls):  # type: ignore[misc]
    """Checks certificate and name by OpenSSL alone; ldap3's own check knows no addresses from Python 3.12 on."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self.context = context
        self.host = host
        self.refused: ssl.SSLCertVerificationError | None = None

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        try:
            connection.socket = self.context.wrap_socket(connection.socket, server_hostname=self.host)
        except ssl.SSLCertVerificationError as error:
            self.refused = error
            raise


def tls_context(options: Options) -> ssl.SSLContext:
    """Return how servers are checked. Raises Denied if ``ca_file`` cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if options.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(options.ca_file)
    except OSError as error:
        raise Denied(
            f"ca_file {options.ca_file} cannot be used: {error}; it must hold certificates in PEM"
        ) from error
    return context


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Turn what ldap3 raises into Unavailable."""
    try:
        yield
    except ConnectorError:
        raise
    except (LDAPExceptionError, OSError) as error:
        raise Unavailable(f"{where}: {error}") from error
    except Exception as error:
        # ldap3's decoder raises whatever it trips over in bytes that are no LDAP.
        raise Unavailable(f"{where}: it does not answer in LDAP ({error!r})") from error


def connect(options: Options, password: str | None, log: Any) -> Session:
    """Return a session with the first server that answers.

    Raises Unavailable, naming every server, when none does; Denied when the bind is refused (the others are
    not tried then, or a wrong password would lock the account), or when no certificate is good.
    """
    context = None if options.tls == "none" else tls_context(options)
    failures: list[ConnectorError] = []
    for url in options.url:
        try:
            connection = _reach(url, options, context, password)
        except (Unavailable, Denied) as error:
            failures.append(error)
            continue
        try:
            _bind(connection, url, options)
            session = Session(connection, url)
        except Unavailable as error:
            failures.append(error)
            _drop(connection)
            continue
        except BaseException:
            _drop(connection)
            raise
        for passed in failures:
            log.warning("server_passed_over", used=url, reason=str(passed))
        return session
    kind = Denied if all(isinstance(passed, Denied) for passed in failures) else Unavailable
    raise kind("; ".join(map(str, failures)))


def _reach(url: str, options: Options, context: ssl.SSLContext | None, password: str | None) -> Connection:
    """Open a connection, protected as the options say, but not bound."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (636 if parts.scheme == "ldaps" else 389)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"{url}: the name is not found: {error.strerror}") from error
    reasons: list[str] = []
    # Address by address, because ldap3 leaves a socket open for each that does not answer.
    for address in dict.fromkeys(str(place[4][0]) for place in found):
        tls = _CheckedTls(context, host) if context else None
        server = Server(
            address,
            port=port,
            use_ssl=parts.scheme == "ldaps",
            get_info=NONE,
            tls=tls,
            allowed_referral_hosts=[],
            connect_timeout=options.connect_timeout,
        )
        try:
            return _opened(url, tls, _connection(server, options, password))
        except Unavailable as error:
            reasons.append(str(error).removeprefix(f"{url}: "))
    raise Unavailable(f"{url}: {', '.join(dict.fromkeys(reasons))}")


def _opened(url: str, tls: _CheckedTls | None, connection: Connection) -> Connection:
    """Open the connection. Raises Denied for a bad certificate, or where StartTLS does not start."""
    try:
        with _translated(url):
            connection.open(read_server_info=False)
            if tls and not connection.server.ssl:
                _start_tls(connection, url)
    except ConnectorError as error:
        _drop(connection)
        if tls and tls.refused:
            reason = tls.refused.verify_message
            cure = "renew it, correct the name in url, or name its authority in ca_file"
            raise Denied(f"{url}: its certificate is refused: {reason}; {cure}") from error
        raise
    return connection


def _connection(server: Server, options: Options, password: str | None) -> Connection:
    """Return a connection that is not open yet, follows nothing and nobody, and repeats nothing."""
    return Connection(
        server,
        user=options.bind.dn if options.bind else None,
        password=password,
        authentication=SIMPLE if options.bind else ANONYMOUS,
        client_strategy=SYNC,
        auto_referrals=False,
        auto_range=False,
        check_names=False,
        raise_exceptions=False,
        read_only=True,
        receive_timeout=options.read_timeout,
    )


def _start_tls(connection: Connection, url: str) -> None:
    """Protect the connection, or raise; a server without StartTLS cannot be told from one robbed of it."""
    try:
        connection.start_tls(read_server_info=False)
    except LDAPStartTLSError as error:
        cure = "write ldaps://, or find out who takes StartTLS away"
        raise Denied(f"{url}: {error}; nothing was sent; {cure}") from error


def _drop(connection: Connection) -> None:
    """Close at once, without a good-bye that might wait."""
    if connection.socket is not None:
        connection.socket.close()


def _bind(connection: Connection, url: str, options: Options) -> None:
    """Say who asks. Nothing is sent over a connection that should be protected and is not."""
    if options.tls != "none" and not isinstance(connection.socket, ssl.SSLSocket):
        raise Denied(f"{url}: the connection is not protected; nothing was sent")
    who = options.bind.dn if options.bind else "nobody (anonymous)"
    with _translated(f"{url}: bind as {who}"):
        connection.bind(read_server_info=False)
        connection.password = None
        result = connection.result
    if result["result"] != 0:
        raise failure(result["result"], result["message"], f"{url}: bind as {who}")


def _root(connection: Connection, url: str) -> Root:
    """Ask what kind of server it is."""
    names = ["objectClass", "vendorName", "vendorVersion", "supportedCapabilities", "supportedExtension"]
    with _translated(f"{url}: root DSE"):
        connection.search("", "(objectClass=*)", BASE, DEREF_NEVER, attributes=names)
        found = [part for part in connection.response or [] if part["type"] == "searchResEntry"]
        told = {name.lower(): values for name, values in found[0]["raw_attributes"].items()} if found else {}
    texts = {
        name: [value.decode("utf-8", "replace") for value in told.get(name.lower(), ())] for name in names
    }
    label = " ".join(texts["vendorName"][:1] + texts["vendorVersion"][:1])
    identity = WHO_AM_I in texts["supportedExtension"]
    if ACTIVE_DIRECTORY & set(texts["supportedCapabilities"]):
        return Root("ad", f"Active Directory ({label})" if label else "Active Directory", identity)
    if "389" in label:
        return Root("389", label, identity)
    if "OpenLDAProotDSE" in texts["objectClass"]:
        return Root("other", "OpenLDAP", identity)
    return Root("other" if found else "unknown", label or "a server that does not name its maker", identity)


class Session:
    """A connection with a server, bound. ``root`` is what the server says of itself."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.url = url
        self.root = _root(connection, url)
        self._connection = connection

    @property
    def socket(self) -> socket.socket:
        """What requests are written to, and answers read from; TLS is on top of it already."""
        return cast(socket.socket, self._connection.socket)

    def next_number(self) -> int:
        """Return the number for the next message."""
        return int(self._connection.server.next_message_id())

    def close(self) -> None:
        """End the connection; never raises."""
        _drop(self._connection)

    def identity(self) -> str | None:
        """Return who the server takes us for (RFC 4532), if it can say so."""
        with _translated(f"{self.url}: who am I"):
            return self._connection.extend.standard.who_am_i() if self.root.identity else None


def search_request(base: str, text: str, scope: Literal["subtree", "one"], attributes: list[str]) -> bytes:
    """Return an encoded searchRequest that follows no alias; ``text`` is its filter."""
    level = SUBTREE if scope == "subtree" else LEVEL
    no = False
    return bytes(encode(search_operation(base, text, level, DEREF_NEVER, attributes, 0, 0, no, no, no)))
