"""What comes from ldap3: TLS and requests (bind in ``binding``, the parser in ``filters``); the reading does not.

ldap3's own paged search ends without a word when the server cuts it short (a size or time limit, a referral,
a lost control), and decodes every value twice. So ``paging`` asks and judges, and ``wire`` reads.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, TypeAlias, cast
from urllib.parse import urlsplit

from ldap3 import BASE, DEREF_NEVER, LEVEL, NONE, SUBTREE, SYNC, Connection, Server, Tls
from ldap3.core.exceptions import LDAPExceptionError, LDAPStartTLSError
from ldap3.operation.search import search_operation
from ldap3.utils.asn1 import encode

from syncd import ConnectorError, Denied, Unavailable

from .binding import identity, require_libraries, ticket_failures
from .failures import failure
from .options import ServerOptions

DOMAIN = "1.2.840.113556.1.4.800"
ACTIVE_DIRECTORY = {DOMAIN, "1.2.840.113556.1.4.1851"}
"""What Active Directory, and its Lightweight Directory Services, call themselves in supportedCapabilities."""
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"


Scope: TypeAlias = Literal["base", "one", "subtree"]
"""What of a tree a search is about: the entry itself, those right below it, or it and everything below."""

_LEVELS: Mapping[Scope, str] = {"base": BASE, "one": LEVEL, "subtree": SUBTREE}


class Root(NamedTuple):
    """What a server says of itself.

    ``label`` is for people; ``identity``: it can say who is bound; ``contexts`` are the names that its
    databases begin with; ``controls`` are the OIDs of what it can be asked for. ``domain``: it is a controller of
    a domain, so that every user has an account that can be disabled.
    """

    kind: Literal["ad", "389", "openldap", "other", "unknown"]
    label: str
    identity: bool
    contexts: tuple[str, ...] = ()
    controls: frozenset[str] = frozenset()
    domain: bool = False


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


def tls_context(options: ServerOptions) -> ssl.SSLContext:
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


def connect(options: ServerOptions, password: str | None, log: Any) -> Session:
    """Return a session with the first server that answers.

    Raises Unavailable, naming every server, when none does; Denied when the bind is refused (the others are
    not tried then, or a wrong password would lock the account), or when no certificate is good.
    """
    require_libraries(options.bind)
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


def _reach(
    url: str, options: ServerOptions, context: ssl.SSLContext | None, password: str | None
) -> Connection:
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
            return _opened(url, tls, _connection(server, options, identity(options.bind, password, host)))
        except Unavailable as error:
            reasons.append(str(error).removeprefix(f"{url}: "))
    raise Unavailable(f"{url}: {', '.join(dict.fromkeys(reasons))}")


def _opened(url: str, tls: _CheckedTls | None, connection: Connection) -> Connection:
    """Open the connection. Raises Denied for a bad certificate, or where StartTLS does not start."""
    try:
        with _translated(url):
            connection.open(read_server_info=False)
            # The bind stands right behind the end of the handshake: it would wait for that to be acknowledged.
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


def _connection(server: Server, options: ServerOptions, who: dict[str, Any]) -> Connection:
    """Return a connection that is not open yet, follows nothing and nobody, and repeats nothing."""
    return Connection(
        server,
        **who,
        client_strategy=SYNC,
        auto_referrals=False,
        auto_range=False,
        check_names=False,
        raise_exceptions=False,
        read_only=True,
        receive_timeout=options.read_timeout,
        return_empty_attributes=False,
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


def _bind(connection: Connection, url: str, options: ServerOptions) -> None:
    """Say who asks. Nothing is sent over a connection that should be protected and is not."""
    if options.tls != "none" and not isinstance(connection.socket, ssl.SSLSocket):
        raise Denied(f"{url}: the connection is not protected; nothing was sent")
    who = options.bind.who if options.bind else "nobody (anonymous)"
    with _translated(f"{url}: bind as {who}"), ticket_failures(f"{url}: bind as {who}"):
        connection.bind(read_server_info=False)
        connection.password = None
        result = connection.result
    if result["result"] != 0:
        raise failure(result["result"], result["message"], f"{url}: bind as {who}")


ROOT = (
    "objectClass",
    "vendorName",
    "vendorVersion",
    "supportedCapabilities",
    "supportedExtension",
    "supportedControl",
    "namingContexts",
)


def _root(session: Session) -> Root:
    """Ask what kind of server it is."""
    told = session.entry("", *ROOT)
    found = {
        name: tuple(v.decode("utf-8", "replace") for v in values) for name, values in (told or {}).items()
    }
    texts = {name: found.get(name.lower(), ()) for name in ROOT}
    label = " ".join(texts["vendorName"][:1] + texts["vendorVersion"][:1])
    kind: Literal["ad", "389", "openldap", "other", "unknown"] = "other" if told is not None else "unknown"
    if ACTIVE_DIRECTORY & set(texts["supportedCapabilities"]):
        kind, label = "ad", f"Active Directory ({label})" if label else "Active Directory"
    elif "389" in label:
        kind = "389"
    elif "OpenLDAProotDSE" in texts["objectClass"]:
        kind, label = "openldap", "OpenLDAP"
    return Root(
        kind,
        label or "a server that does not name its maker",
        WHO_AM_I in texts["supportedExtension"],
        texts["namingContexts"],
        frozenset(texts["supportedControl"]),
        DOMAIN in texts["supportedCapabilities"],
    )


class Session:
    """A connection with a server, bound. ``root`` is what the server says of itself."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.url = url
        self._connection = connection
        self.root = _root(self)

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

    def search(
        self, base: str, text: str, scope: Scope, *attributes: str, controls: tuple[str, ...] = ()
    ) -> list[dict[str, list[bytes]]]:
        """Return the attributes of what a search finds that has a small answer. Raises Unavailable or Denied.

        ``controls`` are OIDs of controls without a value.
        """
        where = f"{self.url}: search of {base or 'the root'}"
        wanted = [(oid, True, None) for oid in controls]
        with _translated(where):
            self._connection.search(
                base, text, _LEVELS[scope], DEREF_NEVER, attributes=list(attributes), controls=wanted
            )
            result, response = self._connection.result, self._connection.response or []
        if result["result"] != 0:
            raise failure(result["result"], result["message"], where)
        return [dict(one["raw_attributes"]) for one in response if one["type"] == "searchResEntry"]

    def entry(
        self, name: str, *attributes: str, controls: tuple[str, ...] = ()
    ) -> dict[str, list[bytes]] | None:
        """Return attributes of one entry, their names in lower case; None if there is none, or none to be seen."""
        try:
            found = self.search(name, "(objectClass=*)", "base", *attributes, controls=controls)
        except Denied:
            return None
        return {key.lower(): list(values) for key, values in found[0].items()} if found else None

    def identity(self) -> str | None:
        """Return who the server takes us for (RFC 4532), if it can say so."""
        with _translated(f"{self.url}: who am I"):
            return self._connection.extend.standard.who_am_i() if self.root.identity else None


def search_request(base: str, text: str, scope: Scope, attributes: list[str]) -> bytes:
    """Return an encoded searchRequest that follows no alias; ``text`` is its filter."""
    no = False
    return bytes(
        encode(search_operation(base, text, _LEVELS[scope], DEREF_NEVER, attributes, 0, 0, no, no, no))
    )
