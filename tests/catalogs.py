"""For the tests of the configuration: a catalog of stand-in plugins with nothing behind their options."""

from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr, model_validator

import syncd
from syncd import ConfigError, Platform, Source
from syncd.config import Catalog, load
from syncd.transforms import TRANSFORMS
from syncd.validation import RULES
from syncd_ldap.dn import rdn
from syncd_mail.observer import Mail


class Bind(BaseModel, extra="forbid"):
    dn: str
    password: SecretStr


class Directory(Source):
    """Like the LDAP source."""

    incremental = True

    class Options(BaseModel, extra="forbid"):
        url: list[str] = Field(min_length=1)
        bind: Bind | None = None
        base: list[str] = []
        groups: dict[str, list[str]] | None = None
        filter: str = "(objectClass=*)"
        anchor: str = "auto"
        tls: str | None = None
        incremental: str = "auto"
        overlap: int = 3600
        page_size: int = Field(default=1000, ge=1, le=5000)

        @model_validator(mode="after")
        def _protected(self):
            if self.tls is None and any(url.startswith("ldap:") for url in self.url):
                raise ValueError('ldap:// needs tls = "starttls"')
            return self


class Table(Source):
    """Like the CSV source: it only adds, unless told otherwise."""

    default_operations: ClassVar[frozenset[str]] = frozenset({"add"})

    class Options(BaseModel, extra="forbid"):
        path: str
        anchor: str = "id"


class Node(Source):
    """Like the source of a PBX node."""

    synchronizer: ClassVar[str] = "pbx"

    class Options(BaseModel, extra="forbid"):
        host: str
        token: str | None = None


class Endpoints(Source):
    """Like the source of an Asterisk: it takes any option."""

    synchronizer: ClassVar[str] = "pbx"

    class Options(BaseModel, extra="allow"):
        url: str


class Greedy(Source):
    """Its options have names that belong to the engine."""

    class Options(BaseModel, extra="forbid"):
        match: str = ""
        since: str = Field(default="", alias="schedule")


class Exchange(Platform):
    """A platform whose fields are known before it is made."""

    fields: ClassVar = {
        "number": syncd.Field("extension", limit=40, key=True),
        "name": syncd.Field("display_name", required=True),
        "groups": syncd.Field("groups", many=True),
    }

    class Options(BaseModel, extra="forbid"):
        dsn: str


class File(Platform):
    """A platform whose fields depend on its options."""

    class Options(BaseModel, extra="forbid"):
        path: str
        columns: list[str] = []


class Tree(Platform):
    """Like the platforms of directories and nodes: it takes any option, and its fields depend on them."""

    class Options(BaseModel, extra="allow"):
        attributes: dict[str, Any] = {}

    def __init__(self, options, context):
        super().__init__(options, context)
        self.fields = {name: syncd.Field("description") for name in (*options.attributes, "memberships")}


CATALOG = Catalog(
    sources={"ldap": Directory, "csv": Table, "pbx-node": Node, "asterisk": Endpoints, "greedy": Greedy},
    platforms={
        "exchange": Exchange,
        "csv": File,
        "ldap": Tree,
        "asterisk": Tree,
        "kamailio": Tree,
        "mivoice": Tree,
    },
    observers={"mail": Mail},
    transforms={**TRANSFORMS, "rdn": rdn},
    rules=RULES,
)

HEAD = """
[enterprise.acme]
sources = ["hq"]
"""

SOURCE = """
[source.hq]
type = "ldap"
url = ["ldaps://dc1.acme.example"]
"""

MAP = """
[source.hq.map]
login = "uid"
"""

SMALL = HEAD + SOURCE + MAP


def source(text, more=""):
    """Return the small configuration with ``text`` in its source table and ``more`` at its end."""
    return HEAD + SOURCE + text + MAP + more


def write_to(folder, text, name="syncd.toml"):
    """Write a file of the configuration and return its path."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def problems_in(folder, file, environ=None, catalog=CATALOG):
    """Return the problems of a file and of what belongs to it, without the folder in their paths."""
    with pytest.raises(ConfigError) as error:
        load([file], catalog, environ or {})
    return [problem.replace(f"{folder}/", "") for problem in error.value.problems]
