"""A certificate authority for tests: made by openssl, good for two days, known to nobody."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """The paths of a server's certificate, of its key, and of the authority that signed it."""

    authority: Path
    certificate: Path
    key: Path


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


class Authority:
    """Signs server certificates. ``path`` is what a client has to trust."""

    def __init__(self, directory: Path, name: str = "syncd test CA") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.path = directory / "ca.crt"
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        constraints = (
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign",
        )
        self.key = key
        openssl(
            directory,
            *("req", "-x509", *key, "-days", "2", "-subj", f"/CN={name}"),
            *("-keyout", "ca.key", "-out", "ca.crt", *constraints),
        )

    def sign(self, name: str, *alternatives: str, days: int = 2) -> Certificate:
        """Return a certificate for the alternatives, such as ``DNS:localhost`` or ``IP:127.0.0.1``."""
        here = self.directory
        (here / f"{name}.ext").write_text(
            f"subjectAltName={','.join(alternatives)}\nbasicConstraints=CA:FALSE\n"
            "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )
        openssl(
            here, "req", *self.key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"
        )
        openssl(
            here,
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
        )
        return Certificate(self.path, here / f"{name}.crt", here / f"{name}.key")
