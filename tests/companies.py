"""A whole installation over memory worlds, for tests: its clock stands still until a test turns it."""

from datetime import UTC, datetime, timedelta

from syncd.config import load
from syncd.pipeline.delivering import deliver, finish
from syncd.pipeline.installation import Installation, line_of
from syncd.pipeline.line import plan_run, sync
from syncd.pipeline.opening import catalog_of
from syncd.pipeline.policy import settle_policy
from syncd.plugins import load as load_plugins
from syncd.store.database import open_database
from syncd.testing.contexts import context
from syncd.testing.memory import MemoryDeltaSource, MemoryPlatform, MemorySource

NO_LONGER = """[enterprise.acme]
sources = []
protected = ["login:svc-*"]
"""
"""The configuration once its sources are taken out."""

ONE_SOURCE = """
[enterprise.acme]
sources = ["hq"]
protected = ["login:svc-*"]
[source.hq]
type = "memory"
world = "{folder}/hq"
match = ["login"]
detain = "never"
leavers = {{ reads = 1, after = "0s" }}
limits = {{ remove = "off", add = "off", update = "off", container = "off", shrink = "off" }}
[source.hq.map]
login = "uid"
email = "mail"
last_name = "sn"
location = "l"
phone = "telephoneNumber"
"""

TWO_SOURCES = (
    ONE_SOURCE.replace('["hq"]', '["hq", "branch"]', 1)
    + """
[source.branch]
type = "memory"
world = "{folder}/branch"
match = ["login"]
detain = "never"
adopt = true
limits = {{ remove = "off", add = "off", update = "off", container = "off", shrink = "off" }}
[source.branch.map]
login = "uid"
description = "note"
"""
)

PHONEBOOK = """
[platform.phonebook]
type = "memory"
system = "{folder}/phonebook"
"""


class Company:
    """``text`` is its configuration, with {folder} for the folder that everything is in."""

    def __init__(self, folder, text=ONE_SOURCE):
        self.folder = folder
        self.now = datetime(2026, 1, 5, 8, tzinfo=UTC)
        self.database = open_database(folder / "syncd.db")
        self.configure(text)

    def configure(self, text):
        """Use another configuration from now on."""
        file = self.folder / "syncd.toml"
        state = f'state_directory = "{self.folder}"\n'
        file.write_text(state + text.format(folder=self.folder), "utf-8")
        plugins = load_plugins([], [])
        plugins.sources.update({"memory": MemorySource, "memory-delta": MemoryDeltaSource})
        plugins.platforms["memory"] = MemoryPlatform
        settings = load([file], catalog_of(plugins), {})
        self.here = Installation(
            settings, plugins, self.database, "ada", lambda reference: reference, lambda: self.now
        )

    def world(self, name="hq"):
        """Return what a source reads."""
        return MemorySource(MemorySource.Options(world=f"{self.folder}/{name}"), context()).world

    def system(self, name="phonebook"):
        """Return what a platform has written."""
        return MemoryPlatform(MemoryPlatform.Options(system=f"{self.folder}/{name}"), context()).system

    def hire(self, *names, source="hq", **attributes):
        """Put people into a source: their anchors are their names."""
        for name in names:
            self.world(source).add(name, **{"uid": name, "sn": name.title(), "l": "north", **attributes})

    def plan(self, source="hq"):
        return plan_run(self.here, line_of(self.here, source))

    def sync(self, source="hq"):
        """Settle the policies, read, apply and deliver, as the verb does; then an hour passes."""
        settle_policy(self.here)
        run = finish(self.here, sync(self.here, line_of(self.here, source)))
        self.deliver()
        self.wait(hours=1)
        return run

    def deliver(self):
        """Deliver to every platform that waits for no policy run."""
        return deliver(self.here)

    def wait(self, **times):
        self.now += timedelta(**times)

    def rows(self, query, *values):
        return self.database.conn.execute(query, values).fetchall()

    def value(self, query, *values):
        return self.rows(query, *values)[0][0]

    def account(self, login):
        """Return the number of an account by its login."""
        return self.value("SELECT id FROM accounts WHERE login = ?", login)

    def on(self, platform="phonebook"):
        """Return the logins that a platform has, sorted."""
        return sorted(account.fields["login"] for account in self.system(platform).accounts.values())
