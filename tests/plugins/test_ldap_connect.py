"""The source ``ldap`` connects and binds: fail-over, TLS, passwords, and what is never sent."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import ldap3
import ldap3.utils.log
import pytest
from servers.certificates import Authority, Certificate
from servers.ldap_source import BIND, drain, ldap_source, lines
from servers.liar import Liar, done, ended, message
from servers.slapd import CROWD, PASSWORD, PEOPLE, READER, Slapd, StartSlapd, free_port, people
from servers.spoilers import Listener, Proxy

from syncd import Denied, Unavailable
from syncd_ldap import binding
from syncd_ldap.adapter import tls_context

pytest_plugins = ("servers.fixtures",)

READER_ONLY = (
    "access to attrs=userPassword by anonymous auth",
    f'access to * by dn.exact="{READER}" read by * none',
)


def number_of(request: bytes) -> int:
    """Return the number of a short message."""
    size = request[3]
    return int.from_bytes(request[4 : 4 + size], "big")


# --- fail-over


def test_the_second_server_is_used_when_the_first_is_down(crowd: Slapd) -> None:
    down = f"ldaps://localhost:{free_port()}"
    source = ldap_source(crowd, url=[down, crowd.ldaps_url])
    assert CROWD == len(drain(source).entries)
    ((level, event, fields),) = lines(source)
    assert ("warning", "server_passed_over", crowd.ldaps_url) == (level, event, fields["used"])
    assert fields["reason"].startswith(down)
    assert "Connection refused" in fields["reason"]


def test_the_second_server_is_used_when_the_first_does_not_speak_ldap(crowd: Slapd) -> None:
    with Proxy(crowd.port) as plain:
        source = ldap_source(crowd, url=[f"ldaps://localhost:{plain.port}", crowd.ldaps_url], read_timeout=1)
        assert CROWD == len(drain(source).entries)


def test_the_second_server_is_used_when_the_first_says_nothing(crowd: Slapd) -> None:
    with Listener() as silent:
        urls = [f"ldaps://localhost:{silent.port}", crowd.ldaps_url]
        source = ldap_source(crowd, url=urls, connect_timeout=1, read_timeout=1)
        assert CROWD == len(drain(source).entries)


def test_the_second_server_is_used_when_the_first_is_busy(crowd: Slapd) -> None:
    class Busy(Liar):
        def serve(self, client: Any) -> None:
            client.sendall(message(number_of(client.recv(4096)), ended(51, "try later", tag=0x61)))

    with Busy(lambda number, page: []) as busy:
        source = ldap_source(crowd.url, url=[busy.url, crowd.url])
        assert CROWD == len(drain(source).entries)
    ((_, _, fields),) = lines(source)
    assert "busy (51), it says 'try later'; the server is busy" in fields["reason"]


def test_when_all_servers_are_down_each_is_named() -> None:
    urls = [f"ldaps://localhost:{free_port()}", "ldaps://no-such-host.invalid"]
    with pytest.raises(Unavailable) as caught:
        ldap_source(urls[0], url=urls).open()
    first, second = str(caught.value).split("; ")
    assert first.startswith(f"{urls[0]}: ")
    assert "Connection refused" in first
    assert second.startswith(f"{urls[1]}: the name is not found: ")


def test_a_wrong_password_is_tried_at_one_server_only(crowd: Slapd) -> None:
    """A second try is a second step towards a locked account."""
    with Listener() as second:
        source = ldap_source(
            crowd, bind=BIND, secret="wrong", url=[crowd.ldaps_url, f"ldaps://localhost:{second.port}"]
        )
        with pytest.raises(Denied, match=r"bind as cn=reader.*: invalidCredentials \(49\); mend bind"):
            source.open()
        assert 0 == second.connections


# --- bind


def test_a_bind_shows_what_nobody_may_see(start_slapd: StartSlapd, certificate: Certificate) -> None:
    server = start_slapd(people(3), access=READER_ONLY, tls=certificate)
    assert ["u0", "u1", "u2"] == drain(ldap_source(server, bind=BIND)).values("uid")


def test_reading_without_the_right_to_is_denied(start_slapd: StartSlapd, certificate: Certificate) -> None:
    server = start_slapd(people(3), access=READER_ONLY, tls=certificate)
    with pytest.raises(Denied, match=rf"page 1 of {PEOPLE}.*noSuchObject \(32\).*right to read there"):
        drain(ldap_source(server))


def test_searching_without_the_right_to_is_denied(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(3), access=("access to * by * disclose",))
    with pytest.raises(Denied, match=r"insufficientAccessRights \(50\); give the bind identity the right"):
        drain(ldap_source(server))


def test_an_anonymous_bind_that_the_server_forbids_is_denied(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(3), lines=["disallow bind_anon"])
    with pytest.raises(Denied, match=r"bind as nobody \(anonymous\): inappropriateAuthentication \(48\)"):
        ldap_source(server).open()


def test_an_empty_password_is_refused_before_anything_is_sent() -> None:
    """RFC 4513, 5.1.2: a bind with a name and no password succeeds as anonymous, and reads less."""
    with Listener() as listener:
        source = ldap_source(f"ldaps://localhost:{listener.port}", bind=BIND, secret="")
        with pytest.raises(Denied, match=r"the password of cn=reader.* is empty; leave bind out"):
            source.open()
        assert 0 == listener.connections


def test_a_password_with_any_characters_arrives(start_slapd: StartSlapd, certificate: Certificate) -> None:
    password = "pä$$ \\ \" ' wörd{x}☃"
    server = start_slapd(people(1), tls=certificate)
    server.modify(f"dn: {READER}\nchangetype: modify\nreplace: userPassword\nuserPassword: {password}\n")
    assert 1 == len(drain(ldap_source(server, bind=BIND, secret=password)).entries)


def test_what_active_directory_means_by_invalid_credentials_is_said() -> None:
    """Only Active Directory writes this text: a scripted server says it."""

    class Locked(Liar):
        def serve(self, client: Any) -> None:
            number = number_of(client.recv(4096))
            text = "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 775, v2580"
            client.sendall(message(number, ended(49, text, tag=0x61)))

    with Locked(lambda number, page: []) as server:
        source = ldap_source(server.url, bind=BIND, allow_plaintext_bind=True)
        with pytest.raises(
            Denied, match="it says 'the account is locked'; see to that account in Active Directory"
        ):
            source.open()


def test_no_error_and_no_repr_holds_the_password(crowd: Slapd) -> None:
    for options in ({"secret": "Wr0ng-pass"}, {"secret": "Wr0ng-pass", "url": ["ldaps://localhost:1"]}):
        source = ldap_source(crowd, bind=BIND, **options)
        with pytest.raises((Denied, Unavailable)) as caught:
            source.open()
        chain: BaseException | None = caught.value
        while chain is not None:
            assert "Wr0ng-pass" not in f"{chain!r} {chain}"
            chain = chain.__cause__ or chain.__context__
        assert "Wr0ng-pass" not in f"{source!r} {vars(source)} {lines(source)}"
    source = ldap_source(crowd, bind=BIND)
    source.open()
    assert PASSWORD not in repr(source._session._connection)
    source.close()


# --- TLS


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "somebody else's CA")


def test_a_certificate_of_an_unknown_authority_is_refused(crowd: Slapd, stranger: Authority) -> None:
    with pytest.raises(Denied, match=r"its certificate is refused: .*(self-signed|issuer).*ca_file"):
        ldap_source(crowd, ca_file=stranger.path).open()


def test_the_authorities_of_the_system_are_used_without_ca_file(crowd: Slapd) -> None:
    with pytest.raises(Denied, match="its certificate is refused"):
        ldap_source(crowd.ldaps_url).open()


@pytest.mark.parametrize(
    ("names", "host", "good"),
    [
        (["DNS:localhost"], "localhost", True),
        (["DNS:localhost"], "127.0.0.1", False),
        (["IP:127.0.0.1"], "127.0.0.1", True),
        (["IP:127.0.0.1"], "localhost", False),
        (["DNS:ldap.example.test"], "localhost", False),
        (["DNS:*.example.test"], "localhost", False),
        (["DNS:l*"], "localhost", False),
        (["DNS:LOCALHOST"], "localhost", True),
    ],
)
@pytest.mark.parametrize("tls", ["ldaps", "starttls"])
def test_the_certificate_has_to_be_for_the_host_in_the_url(
    tls: str,
    names: list[str],
    host: str,
    good: bool,
    start_slapd: StartSlapd,
    authority: Authority,
) -> None:
    """By name or by address, and the same on every Python; half a name is no wildcard."""
    name = "".join(character if character.isalnum() else "-" for character in f"{tls}{host}{names[0]}")
    server = start_slapd(tls=authority.sign(name, *names))
    url = f"ldaps://{host}:{server.tls_port}" if tls == "ldaps" else f"ldap://{host}:{server.port}"
    source = ldap_source(url, tls=None if tls == "ldaps" else tls, ca_file=authority.path, bind=BIND)
    if good:
        assert [] == drain(source).entries
    else:
        with pytest.raises(Denied, match=r"its certificate is refused: .*mismatch.*correct the name in url"):
            source.open()


def test_an_expired_certificate_is_refused(start_slapd: StartSlapd, authority: Authority) -> None:
    server = start_slapd(tls=authority.sign("expired", "DNS:localhost", days=-1))
    with pytest.raises(Denied, match="its certificate is refused: certificate has expired; renew it"):
        ldap_source(server).open()


def test_after_a_bad_certificate_the_next_server_is_asked(
    crowd: Slapd, start_slapd: StartSlapd, stranger: Authority
) -> None:
    bad = start_slapd(tls=stranger.sign("bad", "DNS:localhost"))
    with Proxy(bad.tls_port) as proxy:
        source = ldap_source(crowd, bind=BIND, url=[f"ldaps://localhost:{proxy.port}", crowd.ldaps_url])
        assert CROWD == len(drain(source).entries)
    ((_, event, fields),) = lines(source)
    assert "server_passed_over" == event
    assert "its certificate is refused" in fields["reason"]


def test_a_ca_file_that_cannot_be_used_is_denied(crowd: Slapd, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for path in (tmp_path / "none.pem", tmp_path / "empty.pem"):
        with pytest.raises(Denied, match=f"ca_file {path} cannot be used"):
            ldap_source(crowd, ca_file=path).open()


def test_tls_is_1_2_or_newer_and_checks_everything() -> None:
    context = tls_context(ldap_source("ldaps://localhost").options)
    assert (ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED, True) == (
        context.minimum_version,
        context.verify_mode,
        context.check_hostname,
    )


def test_nothing_readable_crosses_the_wire(crowd: Slapd) -> None:
    for port, options in ((crowd.tls_port, {}), (crowd.port, {"tls": "starttls"})):
        with Proxy(port) as proxy:
            scheme = "ldap" if options else "ldaps"
            url = f"{scheme}://localhost:{proxy.port}"
            ca_file = crowd.certificate.authority
            source = ldap_source(url, bind=BIND, ca_file=ca_file, **{"tls": None} | options)
            assert CROWD == len(drain(source).entries)
            assert READER.encode() not in proxy.received
            assert PASSWORD.encode() not in proxy.received


def test_the_name_of_the_host_is_told_to_the_server(certificate: Certificate) -> None:
    """A server with several certificates chooses by it (RFC 6066, server name indication)."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    class Secure(Liar):
        def serve(self, client: Any) -> None:
            with context.wrap_socket(client, server_side=True) as secure:
                super().serve(secure)

    with Secure(lambda number, page: [done(number)]) as server:
        source = ldap_source(f"ldaps://localhost:{server.port}", ca_file=certificate.authority)
        assert [] == drain(source).entries
    assert ["localhost"] == asked


def test_ldap3_is_told_to_follow_nothing_and_to_repeat_nothing(crowd: Slapd) -> None:
    source = ldap_source(crowd, bind=BIND)
    source.open()
    connection = source._session._connection
    assert (ldap3.SYNC, False, False, True) == (
        connection.strategy_type,
        connection.auto_referrals,
        connection.raise_exceptions,
        connection.read_only,
    )
    assert ([], ldap3.NONE) == (connection.server.allowed_referral_hosts, connection.server.get_info)
    assert (10, 10) == (connection.receive_timeout, connection.server.connect_timeout)
    assert ldap3.utils.log.OFF == ldap3.utils.log.get_library_log_detail_level()
    other = ldap_source(crowd)
    other.open()
    assert other._session._connection.server is not connection.server
    other.close()
    source.close()


# --- StartTLS taken away


def test_no_bind_is_sent_when_the_server_does_not_start_tls(start_slapd: StartSlapd) -> None:
    """A server without StartTLS looks like one robbed of it on the way."""
    server = start_slapd(people(1))
    with Proxy(server.port) as proxy:
        source = ldap_source(f"ldap://localhost:{proxy.port}", tls="starttls", bind=BIND)
        with pytest.raises(
            Denied, match=r"startTLS failed - protocolError; nothing was sent; write ldaps://"
        ):
            source.open()
        assert proxy.received.startswith(b"\x30")
        assert b"1.3.6.1.4.1.1466.20037" in proxy.received
        assert READER.encode() not in proxy.received
        assert PASSWORD.encode() not in proxy.received


@pytest.mark.parametrize("lie", ["success", "nonsense", "silence", "bind answer"])
def test_no_bind_is_sent_when_somebody_plays_with_start_tls(lie: str) -> None:
    """Whoever sits in the way says that TLS has started, or anything else: a scripted server."""

    class Thief(Liar):
        def serve(self, client: Any) -> None:
            number = number_of(client.recv(4096))
            answers = {
                "success": message(number, ended(tag=0x78)),
                "nonsense": b"HTTP/1.1 400 Bad Request\r\n\r\n",
                "silence": b"",
                "bind answer": message(number, ended(tag=0x78)) + message(number, ended(tag=0x61)),
            }
            client.sendall(answers[lie])
            Listener.serve(self, client)

    with Thief(lambda number, page: [done(number)]) as thief:
        source = ldap_source(thief.url, tls="starttls", bind=BIND, read_timeout=1)
        with pytest.raises((Denied, Unavailable)):
            source.open()
        assert READER.encode() not in thief.received
        assert PASSWORD.encode() not in thief.received


# --- without TLS


def test_a_plaintext_bind_works_only_where_it_is_allowed(crowd: Slapd) -> None:
    with pytest.raises(ValueError, match="would send the password for every listener to read"):
        ldap_source(crowd.url, bind=BIND)
    source = ldap_source(crowd.url, bind=BIND, allow_plaintext_bind=True)
    assert CROWD == len(drain(source).entries)


def test_an_anonymous_read_may_go_without_tls(crowd: Slapd) -> None:
    assert CROWD == len(drain(ldap_source(crowd.url)).entries)


def test_a_server_that_wants_tls_is_denied_with_the_cure(start_slapd: StartSlapd) -> None:
    server = start_slapd(people(1), lines=["security simple_bind=64"])
    source = ldap_source(server.url, bind=BIND, allow_plaintext_bind=True)
    with pytest.raises(Denied, match=r"confidentialityRequired \(13\).*write ldaps://, or tls = starttls"):
        source.open()


# --- the root DSE


def test_a_hidden_root_dse_needs_a_named_anchor(start_slapd: StartSlapd) -> None:
    access = ('access to dn.base="" by * none', "access to * by * read")
    server = start_slapd(people(2), lines=access)
    with pytest.raises(Denied, match="its root DSE cannot be read, so set anchor"):
        ldap_source(server).open()
    assert ["u0", "u1"] == drain(ldap_source(server, anchor="entryUUID")).values("uid")


@pytest.mark.parametrize(
    ("root", "anchor", "label"),
    [
        (
            {"vendorName": ["389 Project"], "vendorVersion": ["389-Directory/2.4.5"]},
            "nsUniqueId",
            "389 Project",
        ),
        ({"supportedCapabilities": ["1.2.840.113556.1.4.1851"]}, "objectGUID", "Active Directory"),
        ({"VENDORNAME": ["Acme"]}, "entryUUID", "Acme"),
        ({"objectClass": ["top"]}, "entryUUID", "a server that does not name its maker"),
    ],
)
def test_the_anchor_follows_the_kind_of_server(root: dict[str, list[str]], anchor: str, label: str) -> None:
    """The makers' root DSEs, told by a scripted server."""
    with Liar(lambda number, page: [done(number)], root) as server:
        source = ldap_source(server.url)
        first = next(iter(source.check()))
        source.close()
        assert first.startswith(f"{server.url}: {label}")
        assert first.endswith(f"; the anchor is {anchor}")


# --- Kerberos


def test_a_ticket_without_its_libraries_is_denied_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "find_spec", lambda name: None)
    expected = r"needs gssapi and cryptography, not installed: pip install 'syncd\[kerberos\]'"
    with pytest.raises(Denied, match=expected):
        ldap_source("ldaps://dc1.example", bind={"mechanism": "gssapi"}).open()
