"""What ``[observer.NAME]`` of the type ``mail`` can be told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

_ADDRESS = re.compile(r"[^\s@<>,;\"\\]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
"""An address as mail servers take it everywhere; quoted and foreign ones are left to an alias."""

PORTS = {"ssl": 465, "starttls": 587, "none": 25}
"""What a server usually listens on, by the kind of TLS."""


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f'{text!r} is no mail address; write it as "ops@acme.example"')
    return text


Address = Annotated[str, AfterValidator(_address)]


class Options(BaseModel):
    """The options, checked without any network."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    host: str = Field(min_length=1, description="the mail server")
    port: int | None = Field(
        None, ge=1, le=65535, description="its port; left out: 587, 465 or 25, as tls says"
    )
    tls: Literal["starttls", "ssl", "none"] = Field("starttls", description="how the connection is protected")
    ca_file: str | None = Field(
        None, description="the authority that signed the server's certificate; left out: those of the system"
    )
    user: str | None = Field(None, description="who sends, where the server asks; left out: nobody logs in")
    password: SecretStr | None = Field(None, description="where the password of user is to be found")
    sender: Address = Field(description="the address that the mails come from")
    to: list[Address] = Field(min_length=1, max_length=20, description="the addresses that they go to")
    least: Literal["warning", "critical"] = Field(
        "warning", description="what is told: everything, or only what does not work"
    )
    per_hour: int = Field(
        12, ge=1, le=1000, description="mails in an hour, at most; the rest waits for one more"
    )
    timeout: float = Field(20.0, gt=0, le=120, description="seconds that the server may take for one step")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together; write both, or neither")
        if self.user is not None and self.tls == "none":
            raise ValueError('a password is not sent without TLS; write tls = "starttls" or tls = "ssl"')
        if self.ca_file is not None and not Path(self.ca_file).is_absolute():
            raise ValueError(f"ca_file: {self.ca_file!r} must begin with /")
        return self
