"""A real mail server (aiosmtpd) on a free port of this machine, which keeps what it is sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from .certificates import Certificate

USER, PASSWORD = "syncd", "quiet-harbour-42"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class MailServer:
    """Takes mail in the ways that it is told to.

    ``tls``: ``none``, ``starttls`` or ``ssl``, with ``certificate``. ``login``: only who logs in may send.
    ``refusing`` is answered to DATA instead of taking the mail, for the first ``times`` mails; ``slow`` are
    seconds before any answer to it.
    """

    def __init__(
        self, *, tls: str = "none", certificate: Certificate | None = None, login: bool = False, port: int = 0
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.users: list[str] = []
        self.refusing = ""
        self.times = 0
        self.slow = 0.0
        self.unknown: set[str] = set()
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
        self.port = port or free_port()
        given: dict[str, Any] = {"auth_required": login, "authenticator": self._authenticate}
        if tls == "starttls":
            given |= {"tls_context": context, "require_starttls": True}
        else:
            given |= {"ssl_context": context if tls == "ssl" else None, "auth_require_tls": False}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **given)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._controller.stop()

    def _authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        user, password = data.login.decode(), data.password.decode()
        self.users.append(user)
        return AuthResult(success=(user, password) == (USER, PASSWORD), handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.unknown:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        await asyncio.sleep(self.slow)
        if self.times > 0:
            self.times -= 1
            return self.refusing
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"
