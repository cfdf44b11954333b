"""The mail observer against a real mail server: what it sends, and what it does when it cannot."""

from __future__ import annotations

import time

import pytest
from servers.certificates import Authority
from servers.smtp import PASSWORD, USER, MailServer, free_port

from syncd import Denied, Event, Unavailable
from syncd.testing import ObserverConformance, context
from syncd_mail import observer as observer_module
from syncd_mail.observer import Mail
from syncd_mail.options import Options
from syncd_mail.writing import letter

NOTICE = Event(
    "plan_held",
    "2026-01-05T08:00:00Z",
    {
        "connection": "hq",
        "severity": "warning",
        "subject": "source hq",
        "text": "run 7 (sync) is held with 3 changes: first-run",
        "next": "syncd runs 7",
        "since": "2026-01-05T08:00:00Z",
        "again": False,
    },
)
DOWN = Event(
    "platform_failed",
    "2026-01-05T08:00:00Z",
    {
        **NOTICE.fields,
        "severity": "critical",
        "subject": "platform pbx",
        "text": "does not answer; 4 deliveries wait",
    },
)
OVER = Event(
    "plan_settled", "2026-01-06T08:00:00Z", {**NOTICE.fields, "severity": "ok", "was": "warning", "next": ""}
)


pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
"""What aiosmtpd says of a server that has TLS from the first byte."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.sign("mail", "IP:127.0.0.1", "DNS:localhost")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Gather for a moment only, and try again soon."""
    monkeypatch.setattr(observer_module, "_GATHER", 0.2)
    monkeypatch.setattr(observer_module, "_PAUSES", (0.05, 0.05))


def options(port, **given):
    told = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "sender": "syncd@acme.example",
        "to": ["ops@acme.example"],
    }
    return Options.model_validate({**told, **given})


@pytest.fixture
def made():
    """Make observers that are closed at the end."""
    all_of_them = []

    def make(port, **given):
        one = Mail(options(port, **given), context("ops", secrets={"file:/password": PASSWORD}))
        one.open()
        all_of_them.append(one)
        return one

    yield make
    for one in all_of_them:
        one.close()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def events_of(one):
    return [event for _, event, _ in one.context.log.lines]


class TestSending:
    def test_what_comes_together_is_one_mail_the_worst_first(self, made):
        with MailServer() as server:
            one = made(server.port)
            for event in (NOTICE, DOWN, OVER):
                one.observe(event)
            wait_for(lambda: server.mails)
            (mail,) = server.mails

        text = mail.get_content().replace("\r\n", "\n")
        assert mail["Subject"].endswith(
            "] CRITICAL: platform pbx: does not answer; 4 deliveries wait (and 2 more)"
        )
        assert ("syncd@acme.example", "ops@acme.example") == (mail["From"], mail["To"])
        assert "auto-generated" == mail["Auto-Submitted"]
        assert (
            text.index("CRITICAL  platform pbx")
            < text.index("WARNING  source hq")
            < text.index("OK  source hq")
        )
        assert "  begin with: syncd runs 7\n" in text
        assert "  since 2026-01-05T08:00:00Z\n" in text
        wait_for(lambda: events_of(one) == ["mail_sent"])

    def test_what_is_no_notice_is_not_sent(self, made):
        with MailServer() as server:
            one = made(server.port)
            one.observe(Event("run_planned", "2026-01-05T08:00:00Z", {"run": 7, "add": 3}))
            one.observe(Event("run_applied", "2026-01-05T08:00:00Z", {}))

            assert None is one._thread

    @pytest.mark.parametrize(("was", "sent"), [("warning", ["critical"]), ("critical", ["critical", "ok"])])
    def test_only_what_does_not_work_if_that_is_wanted_and_its_end(self, made, was, sent):
        one = made(free_port(), least="critical")
        over = OVER._replace(fields={**OVER.fields, "was": was})

        assert sent == [event.fields["severity"] for event in (NOTICE, DOWN, over) if one._is_wanted(event)]

    def test_a_notice_that_came_twice_stands_there_once_with_its_last_words(self):
        later = NOTICE._replace(fields={**NOTICE.fields, "text": "run 8 is held", "again": True})
        text = letter(options(25), [NOTICE, later]).get_content()

        assert (0, 1) == (text.count("run 7 (sync)"), text.count("run 8 is held"))
        assert "and still" in text

    def test_nothing_of_a_text_becomes_a_header(self):
        evil = NOTICE._replace(fields={**NOTICE.fields, "text": "x\r\nBcc: all@acme.example"})
        mail = letter(options(25), [evil])

        assert None is mail["Bcc"]
        assert "\n" not in mail["Subject"]

    @pytest.mark.parametrize("tls", ["starttls", "ssl"])
    def test_with_tls_and_a_login(self, made, authority, certificate, tls):
        with MailServer(tls=tls, certificate=certificate, login=True) as server:
            one = made(
                server.port, tls=tls, ca_file=str(authority.path), user=USER, password="file:/password"
            )
            one.observe(NOTICE)
            wait_for(lambda: server.mails)

            assert [USER] == server.users
            assert "TLSv1." in one.check()[0]


class TestConformance(ObserverConformance):
    @pytest.fixture
    def observer(self):
        with MailServer() as server:
            yield Mail(options(server.port), context("ops"))

    @pytest.fixture
    def unreachable(self):
        return Mail(options(free_port()), context("ops"))

    @pytest.fixture
    def denied(self):
        with MailServer() as server:
            server.unknown = {"ops@acme.example"}
            yield Mail(options(server.port), context("ops"))


class TestWhatGoesWrong:
    def test_observing_returns_at_once_whatever_the_server_does(self, made):
        with MailServer() as server:
            server.slow = 1.0
            one = made(server.port)
            begin = time.monotonic()
            for _ in range(50):
                one.observe(NOTICE)
            taken = time.monotonic() - begin
            wait_for(lambda: server.mails)

        assert taken < 0.5

    def test_a_server_that_is_down_for_a_while_gets_the_mail_later(self, made, monkeypatch):
        monkeypatch.setattr(observer_module, "_PAUSES", (0.3,) * 20)
        port = free_port()
        one = made(port)
        one.observe(NOTICE)
        wait_for(lambda: "mail_not_sent" in events_of(one))
        with MailServer(port=port) as server:
            wait_for(lambda: server.mails)

        assert "Connection refused" in one.context.log.lines[0][2]["error"]

    def test_a_server_that_stays_down_is_given_up_and_the_next_notice_is_sent(self, made):
        port = free_port()
        one = made(port)
        one.observe(NOTICE)
        wait_for(lambda: "mail_given_up" in events_of(one))
        with MailServer(port=port) as server:
            one.observe(DOWN)
            wait_for(lambda: server.mails)

        assert ["mail_not_sent", "mail_not_sent", "mail_given_up"] == events_of(one)[:3]

    def test_not_now_is_tried_again_and_never_is_not(self, made):
        with MailServer() as server:
            one = made(server.port)
            server.refusing, server.times = "451 come back later", 1
            one.observe(NOTICE)
            wait_for(lambda: server.mails)
            server.refusing, server.times = "554 no", 1
            one.observe(DOWN)
            wait_for(lambda: "mail_given_up" in events_of(one))

            assert ["mail_not_sent", "mail_sent", "mail_given_up"] == events_of(one)
            assert 1 == len(server.mails)

    def test_a_server_that_is_too_slow_is_left(self, made):
        with MailServer() as server:
            server.slow = 2.0
            one = made(server.port, timeout=0.2)
            one.observe(NOTICE)
            wait_for(lambda: "mail_given_up" in events_of(one))

        assert "timed out" in one.context.log.lines[-1][2]["error"]

    def test_a_receiver_that_is_not_known_does_not_keep_it_from_the_others(self, made):
        with MailServer() as server:
            server.unknown = {"gone@acme.example"}
            one = made(server.port, to=["gone@acme.example", "ops@acme.example"])
            one.observe(NOTICE)
            wait_for(lambda: "mail_receiver_refused" in events_of(one))

            assert {"receivers": ["gone@acme.example"]} == one.context.log.lines[-1][2]
            assert 1 == len(server.mails)
            with pytest.raises(Denied, match=r"550 receiver gone@acme\.example: no such user here"):
                one.check()

    @pytest.mark.parametrize("tls", ["starttls", "ssl"])
    def test_a_certificate_of_nobody_known_is_refused_and_nothing_is_sent(self, made, certificate, tls):
        with MailServer(tls=tls, certificate=certificate, login=True) as server:
            one = made(server.port, tls=tls, user=USER, password="file:/password")
            one.observe(NOTICE)
            wait_for(lambda: "mail_given_up" in events_of(one))

            with pytest.raises(
                Denied, match=r"its certificate is not trusted: .*; name the authority in ca_file"
            ):
                one.check()
            assert ([], []) == (server.users, server.mails)

    def test_a_certificate_of_another_host_is_refused(self, made, authority):
        other = authority.sign("other", "DNS:elsewhere.acme.example")
        with MailServer(tls="ssl", certificate=other) as server:
            one = made(server.port, tls="ssl", ca_file=str(authority.path))
            with pytest.raises(Denied, match="IP address mismatch"):
                one.check()

    def test_a_server_without_starttls_gets_no_mail(self, made):
        with MailServer() as server:
            one = made(server.port, tls="starttls")
            with pytest.raises(Denied, match="STARTTLS extension not supported"):
                one.check()

    def test_a_wrong_password_is_told_without_it(self, made, authority, certificate):
        with MailServer(tls="ssl", certificate=certificate, login=True) as server:
            one = made(
                server.port,
                tls="ssl",
                ca_file=str(authority.path),
                user="stranger",
                password="file:/password",
            )
            with pytest.raises(Denied, match="535") as error:
                one.check()

        assert PASSWORD not in str(error.value)

    def test_nobody_there_is_unavailable(self, made):
        with pytest.raises(Unavailable, match=r"mail server 127.0.0.1 port \d+: Connection refused"):
            made(free_port()).check()

    def test_a_secret_that_is_gone_is_told_and_the_next_notice_is_tried(self, made):
        with MailServer() as server:
            one = made(server.port)
            one._password = lambda: 1 / 0
            one.observe(NOTICE)
            wait_for(lambda: "mail_given_up" in events_of(one))
            one._password = lambda: None
            one.observe(NOTICE)
            wait_for(lambda: server.mails)


class TestBounds:
    def test_no_more_mails_an_hour_than_allowed_and_the_rest_is_one_mail(self, made):
        with MailServer() as server:
            one = made(server.port, per_hour=2)
            for number in range(4):
                one.observe(NOTICE._replace(fields={**NOTICE.fields, "subject": f"source s{number}"}))
                time.sleep(0.45)
            wait_for(lambda: len(server.mails) == 2)
            time.sleep(0.5)

            assert 2 == len(server.mails)

            one.close()

            assert "and 1 more" in server.mails[2]["Subject"]

    def test_of_too_many_notices_the_oldest_are_only_counted(self, made, monkeypatch):
        monkeypatch.setattr(observer_module, "_MOST", 3)
        with MailServer() as server:
            one = made(server.port)
            for number in range(10):
                one.observe(NOTICE._replace(fields={**NOTICE.fields, "subject": f"source s{number}"}))
            wait_for(lambda: server.mails)
            text = server.mails[0].get_content()

        assert "source s9" in text
        assert "source s6" not in text
        assert "7 earlier notices were left out" in text

    def test_what_waits_is_sent_when_the_service_ends(self, monkeypatch):
        monkeypatch.setattr(observer_module, "_GATHER", 60.0)
        with MailServer() as server:
            one = Mail(options(server.port), context("ops"))
            one.open()
            one.observe(NOTICE)
            one.close()

            assert 1 == len(server.mails)

    def test_the_end_does_not_wait_for_a_server_that_does_not_answer(self, monkeypatch):
        monkeypatch.setattr(observer_module, "_LAST", 0.3)
        with MailServer() as server:
            server.slow = 5.0
            one = Mail(options(server.port), context("ops"))
            one.observe(NOTICE)
            begin = time.monotonic()
            one.close()

            assert time.monotonic() - begin < 3

    def test_closing_what_was_never_used_is_harmless(self):
        one = Mail(options(25), context("ops"))
        one.close()
        one.close()


class TestOptions:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"user": "syncd"}, "user and password belong together"),
            ({"user": "syncd", "password": "file:/p"}, "a password is not sent without TLS"),
            ({"to": []}, "at least 1 item"),
            ({"to": ["ops"]}, "is no mail address"),
            ({"sender": "a@b\nBcc: c@d"}, "is no mail address"),
            ({"ca_file": "ca.pem"}, "must begin with /"),
            ({"tls": "maybe"}, "'starttls', 'ssl' or 'none'"),
            ({"hots": "x"}, "Extra inputs are not permitted"),
        ],
    )
    def test_what_cannot_be_is_told(self, given, message):
        with pytest.raises(ValueError, match=message):
            options(25, **given)

    def test_every_option_is_described_and_stands_in_the_readme(self):
        from pathlib import Path

        import syncd_mail

        readme = (Path(syncd_mail.__file__).parent / "README.md").read_text("utf-8")

        assert [] == [name for name, field in Options.model_fields.items() if not field.description]
        assert [] == [name for name in Options.model_fields if f"| `{name}` |" not in readme]
