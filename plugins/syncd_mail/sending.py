"""SMTP (RFC 5321), with certificates that are checked, and errors in words."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from .options import PORTS, Options


class Refused(Exception):
    """The server said no, and would say so again."""


def send(options: Options, password: str | None, message: EmailMessage, timeout: float) -> list[str]:
    """Send one mail; return the receivers that the server did not take, if it took any other.

    Raises OSError if it may work later, Refused if it will not.
    """
    with _server(options, password, timeout) as server:
        return sorted(server.send_message(message, options.sender, options.to))


def asked(options: Options, password: str | None, timeout: float) -> str:
    """Return what a server says that takes mails from and to the configured addresses; none is sent."""
    with _server(options, password, timeout) as server:
        server.ehlo_or_helo_if_needed()
        _require(server.mail(options.sender), f"sender {options.sender}")
        for address in options.to:
            _require(server.rcpt(address), f"receiver {address}")
        server.rset()
        version = server.sock.version() if isinstance(server.sock, ssl.SSLSocket) else "no TLS"
    return f"takes mail from {options.sender} to {', '.join(options.to)} ({version})"


@contextmanager
def _server(options: Options, password: str | None, timeout: float) -> Iterator[smtplib.SMTP]:
    """Yield a server that has been greeted, with TLS and login as configured."""
    where = f"mail server {options.host} port {options.port or PORTS[options.tls]}"
    try:
        with _connected(options, timeout) as server:
            if options.tls == "starttls":
                server.starttls(context=_context(options))
            if options.user is not None and password is not None:
                server.login(options.user, password)
            yield server
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"{where}: its certificate is not trusted: {error.verify_message}; name the authority in ca_file"
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(f"{where}: {error}") from error
    except smtplib.SMTPRecipientsRefused as error:
        told = "; ".join(f"{address}: {_said(*answer)}" for address, answer in error.recipients.items())
        codes = [code for code, _ in error.recipients.values()]
        raise _error(min(codes, default=550), f"{where} takes none of the receivers: {told}") from error
    except smtplib.SMTPResponseException as error:
        raise _error(error.smtp_code, f"{where}: {_said(error.smtp_code, error.smtp_error)}") from error
    except smtplib.SMTPException as error:
        raise ConnectionError(f"{where}: {error or type(error).__name__}") from error
    except OSError as error:
        raise ConnectionError(f"{where}: {error.strerror or error or type(error).__name__}") from error


def _connected(options: Options, timeout: float) -> smtplib.SMTP:
    port = options.port or PORTS[options.tls]
    if options.tls == "ssl":
        return smtplib.SMTP_SSL(options.host, port, timeout=timeout, context=_context(options))
    return smtplib.SMTP(options.host, port, timeout=timeout)


def _context(options: Options) -> ssl.SSLContext:
    if options.ca_file is not None and not Path(options.ca_file).is_file():
        raise Refused(f"ca_file: {options.ca_file} is no file")
    context = ssl.create_default_context(cafile=options.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _require(answer: tuple[int, bytes], what: str) -> None:
    code, text = answer
    if code >= 300:
        raise smtplib.SMTPResponseException(code, f"{what}: {_text(text)}")


def _error(code: int, text: str) -> Exception:
    """Return Refused for what is for ever (5yz of RFC 5321), else an error that says: later."""
    return Refused(text) if code >= 500 else ConnectionError(text)


def _said(code: int, text: bytes | str) -> str:
    return f"{code} {_text(text)}"


def _text(text: bytes | str) -> str:
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(plain.split())[:300]
