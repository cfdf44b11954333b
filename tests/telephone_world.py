"""A company from its directory to its telephones: a real slapd, ``syncd`` as its people call it, the databases of nodes."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from cli_world import START, Office
from servers.nodes import Database
from servers.sip import DOMAIN, Registrar
from servers.slapd import PASSWORD, PEOPLE, READER, Slapd, person

CONFIGURATION = """
state_directory = "{folder}/state"
secrets_key = "file:{folder}/key"
location = {{ north = ["Hamburg"], south = ["Munich"] }}
[template.desk]
allocate = {{ extension = "100-499" }}
generate = {{ password = "password:24" }}
[role.employee]
template = "desk"
[enterprise.acme]
sources = ["hq"]
[source.hq]
type = "ldap"
url = ["{directory.url}"]
tls = "none"
allow_plaintext_bind = true
bind = {{ dn = "{reader}", password = "file:{folder}/reader" }}
base = ["{people}"]
filter = "(objectClass=inetOrgPerson)"
incremental = "off"
role = "employee"
match = ["login"]
operations = ["add", "update", "remove"]
detain = "never"
leavers = {{ delete_after = "30d" }}
limits = {{ remove = "off", add = "off", update = "off", container = "off", shrink = "off" }}
[source.hq.map]
login = "uid"
display_name = "cn"
last_name = "sn"
email = "mail"
location = "l"
extension = "telephoneNumber"
mailbox = "employeeNumber"
"""

TYPES = {
    "asterisk": 'endpoint = { context = "internal", disallow = "all", allow = "alaw" }',
    "kamailio": f'domain = "{DOMAIN}"',
}
NO_LIMITS = 'limits = { remove = "off", add = "off", update = "off" }\n'


def platform(name: str, kind: str, url: str, **more: str) -> str:
    """Return the table of a platform; the values of ``more`` are TOML."""
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[platform.{name}]\ntype = "{kind}"\nurl = "{url}"\n{TYPES[kind]}\n{NO_LIMITS}{lines}'


def over(database: Database, **more: str) -> str:
    """Return the table of an Asterisk with mailboxes, over any database."""
    told = {name: f'"{value}"' for name, value in database.options.items()}
    return platform("pbx", "asterisk", database.url, voicemail='"default"', **told, **more)


def registrar(name: str, kind: str, node: Registrar, **more: str) -> str:
    """Return the table of the platform that is a registrar."""
    return platform(name, kind, f"sqlite:///{node.file}", **more)


class Delivered(NamedTuple):
    """The numbers under which the journal has a delivery: the lower, the earlier."""

    intent: int
    outcome: int


class Telephony(Office):
    """The folder, its directory and its platforms; ``now`` is the time that every command sees."""

    def __init__(self, folder: Path, directory: Slapd, *platforms: str) -> None:
        self.folder = folder
        self.directory = directory
        self.now = START
        self.config = folder / "syncd.toml"
        text = CONFIGURATION.format(folder=folder, directory=directory, reader=READER, people=PEOPLE)
        self.config.write_text(text + "".join(platforms), "utf-8")
        (folder / "reader").write_text(PASSWORD, "ascii")
        self.out("secrets", "key", str(folder / "key"))

    def hire(self, *logins: str, place: str = "Hamburg", **attributes: str) -> None:
        """Put people into the directory."""
        self.directory.add(*(person(login, l=place, **attributes) for login in logins))

    def dismiss(self, *logins: str) -> None:
        """Take people out of the directory."""
        self.directory.delete(*(dn(login) for login in logins))

    def change(self, login: str, attribute: str, value: str) -> None:
        """Change what the directory says of somebody."""
        self.directory.modify(
            f"dn: {dn(login)}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        )

    def rename(self, login: str, other: str) -> None:
        """Give somebody another login, which is part of their name in the directory."""
        self.directory.modify(f"dn: {dn(login)}\nchangetype: modrdn\nnewrdn: uid={other}\ndeleteoldrdn: 1\n")

    def sync(self, code: int = 0, **later: float) -> str:
        """Let some time pass, a minute at least, and do what is to be done."""
        self.later(**(later or {"minutes": 1}))
        return self.out("sync", code=code)

    def password(self, login: str) -> str:
        """Return what a person is shown who sets up the telephone."""
        value = self.json("secrets", "show", login, "password")["value"]
        assert isinstance(value, str)
        return value

    def extension(self, login: str) -> str:
        value = self.json("accounts", "show", login)["attributes"]["extension"]
        assert isinstance(value, str)
        return value

    def telephone(self, login: str) -> tuple[str, str]:
        """Return what somebody's telephone registers with: the number and the password."""
        return self.extension(login), self.password(login)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows of the journal."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as conn:
            return conn.execute(query, values).fetchall()

    def confirmed(self, platform: str) -> Counter[str]:
        """Return how many deliveries of each action a platform has confirmed."""
        query = (
            "SELECT i.action FROM deliveries i JOIN deliveries o ON o.intent = i.id"
            " WHERE i.platform = ? AND o.result = 'confirmed'"
        )
        return Counter(action for (action,) in self.rows(query, platform))

    def delivered(self, login: str, platform: str, action: str) -> Delivered:
        """Return the one delivery of this kind that was confirmed."""
        query = (
            "SELECT i.id, o.id FROM deliveries i JOIN deliveries o ON o.intent = i.id"
            " JOIN accounts a ON a.id = i.account"
            " WHERE a.login = ? AND i.platform = ? AND i.action = ? AND o.result = 'confirmed'"
        )
        (row,) = self.rows(query, login, platform, action)
        return Delivered(*row)

    def without_outcome(self) -> int:
        """Return how many intents nobody knows the outcome of."""
        query = (
            "SELECT COUNT(*) FROM deliveries d WHERE intent IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.intent = d.id)"
        )
        return int(self.rows(query)[0][0])

    def undelivered(self) -> int:
        """Return how many accounts some platform does not have as they should be."""
        return int(self.rows("SELECT COUNT(*) FROM remotes WHERE state <> 'done' OR wanted <> done")[0][0])


def dn(login: str) -> str:
    return f"uid={login},{PEOPLE}"
