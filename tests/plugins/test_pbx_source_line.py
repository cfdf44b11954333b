"""The nodes of an enterprise over the whole line, through the command line alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cli_world
import pytest
from servers.nodes import Database, sqlite_database

from syncd_pbx.marks import off

office = cli_world.office

HEAD = """
state_directory = "{folder}/state"
[template.desk]
feature_profile = "Standard"
[role.employee]
template = "desk"
"""

HR = """
[source.hr]
type = "csv"
path = "{folder}/hr.csv"
anchor = "number"
stable_for = 0
detain = "never"
match = ["login"]
operations = ["add", "update", "remove"]
leavers = {{ reads = 1, after = "0s" }}
[source.hr.map]
login = "login"
email = "mail"
display_name = {{ from = ["first"] }}
"""


def node(name, more='leavers = {{ reads = 1, after = "0s" }}\nlimits = {{ remove = "off" }}', rows=""):
    """Return the table of a node's source."""
    return f"""
[source.{name}]
type = "asterisk"
preset = "asterisk"
url = "sqlite:///{{folder}}/{name}.sqlite"
detain = "never"
role = "employee"
{more}
[source.{name}.map]
email = "email"
pbx_node = {{{{ constant = "{name}" }}}}
{rows}
"""


class Nodes:
    """An installation with two nodes."""

    def __init__(self, office: cli_world.Office, folder: Path) -> None:
        self.office, self.folder = office, folder
        self.north, self.south = (self.made(name) for name in ("north", "south"))

    def made(self, name: str) -> Database:
        return sqlite_database(self.folder / f"{name}.sqlite")

    def configure(self, enterprise: str, *tables: str) -> None:
        text = HEAD + f"[enterprise.acme]\n{enterprise}\n" + "".join(tables)
        self.office.config.write_text(text.format(folder=self.folder), "utf-8")

    def accounts(self) -> list[dict[str, Any]]:
        return self.office.json("accounts")["accounts"]

    def people(self, by: str = "extension") -> dict[str, str | None]:
        """Return what disables each account, by its extension (else its login)."""
        return {
            one["attributes"].get(by) or one["attributes"]["login"]: one["disabled_by"] or None
            for one in self.accounts()
        }

    def account(self, value: str, by: str = "extension") -> dict[str, Any]:
        """Return what the one account of this extension says."""
        (found,) = [one["attributes"] for one in self.accounts() if one["attributes"].get(by) == value]
        return found


def phone(database: Database, name: str, number: str, person: str, **columns: object) -> None:
    values = {
        "id": name,
        "aors": name,
        "callerid": f'"{person}" <{number}>',
        "mailboxes": f"{number}@default",
    }
    database.insert("ps_endpoints", **{**values, **columns})


BOTH = 'synchronizer = "pbx"\nsources = ["north", "south"]'


@pytest.fixture
def nodes(office, tmp_path):
    made = Nodes(office, tmp_path)
    for database, numbers in ((made.north, (100, 101)), (made.south, (200, 201))):
        for number in numbers:
            phone(database, str(number), str(number), f"Person {number}")
            email = f"p{number}@acme.test"
            database.insert(
                "voicemail", context="default", mailbox=str(number), password="geheim", email=email
            )
    phone(made.north, "100-soft", "100", "Person 100")
    made.configure(
        BOTH, node("north", 'softphone = ".*-soft"\nleavers = {{ reads = 1, after = "0s" }}'), node("south")
    )
    return made


def test_the_people_of_all_nodes_become_accounts_with_the_feature_profile(nodes):
    nodes.office.out("sync", "--enterprise", "acme")

    assert {"100": None, "101": None, "200": None, "201": None} == nodes.people()
    wanted = {
        "display_name": "Person 100",
        "softphone_extension": "100",
        "email": "p100@acme.test",
        "mailbox": "100",
    }
    assert {**wanted, "pbx_node": "north", "feature_profile": "Standard"}.items() <= nodes.account(
        "100"
    ).items()
    assert 2 == nodes.office.out("sync").count("0 applied")


def test_a_node_that_is_down_stops_no_other_and_removes_nobody(nodes):
    nodes.office.out("sync")
    (nodes.folder / "north.sqlite").rename(nodes.folder / "away")
    phone(nodes.south, "202", "202", "Person 202")
    nodes.south.run("DELETE FROM ps_endpoints WHERE id = '200'")
    result = nodes.office.run("sync", "--enterprise", "acme")

    assert 69 == result.exit_code
    assert "syncd: north: " in result.stderr
    assert {"100": None, "101": None, "200": ["missing"], "201": None, "202": None} == nodes.people()
    (nodes.folder / "away").rename(nodes.folder / "north.sqlite")
    nodes.office.out("sync")
    assert {"100": None, "101": None, "200": ["missing"], "201": None, "202": None} == nodes.people()


def test_a_node_that_was_emptied_removes_nobody(nodes):
    nodes.office.out("sync")
    nodes.north.run("DELETE FROM ps_endpoints")
    result = nodes.office.run("sync")

    assert 77 == result.exit_code
    assert "ps_endpoints is empty" in result.stderr
    assert {None} == set(nodes.people().values())


def test_telephones_come_and_go_and_the_account_stays(nodes):
    """With the last one, the person goes; with one that works, comes back."""
    nodes.office.out("sync")
    nodes.north.run("DELETE FROM ps_endpoints WHERE id = '100'")
    nodes.office.out("sync")
    assert None is nodes.people("email")["p100@acme.test"]
    assert "100" == nodes.account("p100@acme.test", "email")["softphone_extension"]
    assert "extension" not in nodes.account("p100@acme.test", "email")
    nodes.north.run("DELETE FROM ps_endpoints WHERE id = '100-soft'")
    nodes.office.out("sync")
    assert ["missing"] == nodes.people("email")["p100@acme.test"]
    phone(nodes.north, "100", "100", "Person 100")
    nodes.office.out("sync")
    assert {"100": None, "101": None, "200": None, "201": None} == nodes.people()


def test_who_is_disabled_on_the_node_is_disabled(nodes):
    nodes.office.out("sync")
    nodes.north.run(f"UPDATE ps_endpoints SET aors = '{off('101')}' WHERE id = '101'")
    nodes.office.out("sync")

    assert {"100": None, "101": ["source"], "200": None, "201": None} == nodes.people()


def test_a_new_number_is_the_same_account_where_another_key_tells_so(nodes):
    """The number is the anchor, so what was renamed on the node is found again by the address."""
    match = 'match = ["extension", "email"]\nleavers = {{ reads = 1, after = "0s" }}\nlimits = {{ remove = "off" }}'
    nodes.configure(BOTH, node("north", match), node("south"))
    nodes.office.out("sync")
    nodes.north.run("UPDATE ps_endpoints SET id = '111', callerid = '\"Person 101\" <111>' WHERE id = '101'")
    nodes.office.out("sync")

    assert {"100": None, "111": None, "200": None, "201": None} == nodes.people()


# --- one kind, and the other --------------------------------------------------------------------------------


def test_both_kinds_in_one_enterprise_are_refused_with_the_cure(nodes):
    nodes.configure('synchronizer = "pbx"\nsources = ["north", "hr"]', node("north"), HR)
    result = nodes.office.run("check")

    assert 78 == result.exit_code
    assert "'hr' is a directory source, and the synchronizer of this enterprise is 'pbx'" in result.output
    nodes.configure('sources = ["north", "hr"]', node("north"), HR)
    assert "'north' is a pbx source, and the synchronizer of this enterprise is 'directory'" in (
        nodes.office.run("check").output
    )


def test_a_node_can_add_to_the_accounts_of_a_directory(nodes):
    """For platforms whose people are made elsewhere: nobody is made, nobody goes."""
    nodes.office.people = {
        "1": ("ada", "Ada", "L", "p100@acme.test"),
        "2": ("alan", "Alan", "T", "other@acme.test"),
    }
    nodes.office.write()
    only = 'owns = false\nmatch = ["email"]\nleavers = {{ reads = 1, after = "0s" }}\nlimits = {{ update = "off" }}'
    nodes.configure('sources = ["hr", "north"]', HR, node("north", only))
    nodes.office.out("sync")

    assert {"100": None, "alan": None} == nodes.people()
    assert ("ada", "Ada") == tuple(nodes.account("100")[name] for name in ("login", "display_name"))
    nodes.north.run("DELETE FROM ps_endpoints WHERE id LIKE '100%'")
    nodes.office.out("sync")
    assert {"ada": None, "alan": None} == nodes.people()


def test_a_directory_can_add_to_the_accounts_of_nodes(nodes):
    """As with MX-ONE: people come from the platform, the directory only knows more of them."""
    nodes.office.people = {
        "1": ("ada", "Ada", "L", "p100@acme.test"),
        "2": ("alan", "Alan", "T", "other@acme.test"),
    }
    nodes.office.write()
    hr = HR.replace('match = ["login"]', 'match = ["email"]\nowns = false\nlimits = {{ update = "off" }}')
    nodes.configure('synchronizer = "pbx"\nsources = ["north", "hr"]', node("north"), hr)
    nodes.office.out("sync")

    assert {"100": None, "101": None} == nodes.people()
    assert "ada" == nodes.account("100")["login"]


@pytest.fixture
def switched(nodes):
    """An enterprise of a directory that becomes one of nodes; ada has a telephone, alan and grace have none."""
    nodes.office.people = {
        "1": ("ada", "Ada", "L", "p100@acme.test"),
        "2": ("alan", "Alan", "T", "alan@acme.test"),
        "3": ("grace", "Grace", "H", "grace@acme.test"),
    }
    nodes.office.write()
    nodes.configure('sources = ["hr"]', HR)
    nodes.office.out("sync")
    adopt = 'adopt = true\nmatch = ["email", "extension"]\nlimits = {{ update = "off", add = "off" }}'
    nodes.configure('synchronizer = "pbx"\nsources = ["north"]', node("north", adopt))
    return nodes


def test_switching_the_kind_tells_who_would_be_orphaned_and_removes_nobody(switched):
    told = "is not configured any more: nobody is removed until syncd retire hr; {} of its 3 accounts belong to no other source"
    checked = switched.office.run("check")

    assert (0, True) == (checked.exit_code, told.format(3) in checked.output)
    assert f"source hr {told.format(3)}" in switched.office.out("preview")
    switched.office.out("sync")
    assert {"100": None, "101": None, "alan": None, "grace": None} == switched.people()
    assert told.format(2) in switched.office.out("status")
    wanted = {"name": "hr", "enterprise": "acme", "accounts": 3, "alone": 2}
    assert [wanted] == switched.office.json("status")["frozen"] == switched.office.json("preview")["frozen"]
    for _ in range(3):
        switched.office.later(days=30)
        switched.office.out("sync")
    assert {"100": None, "101": None, "alan": None, "grace": None} == switched.people()


def test_after_switching_the_old_source_is_retired_as_planned(switched):
    switched.office.out("sync")
    shown = switched.office.out("retire", "hr", "--preview")
    assert "disable: 2" in shown
    assert {"100": None, "101": None, "alan": None, "grace": None} == switched.people()
    switched.office.out("retire", "hr", "--yes")

    assert {"100": None, "101": None, "alan": ["missing"], "grace": ["missing"]} == switched.people()
    assert [] == switched.office.json("status")["frozen"]


def test_after_switching_the_others_can_be_kept_as_accounts_made_by_hand(switched):
    switched.office.out("sync")
    switched.office.out("retire", "hr", "--keep", "--yes")
    switched.office.later(days=400)
    switched.office.out("sync")

    assert {"100": None, "101": None, "alan": None, "grace": None} == switched.people()
    assert [] == switched.office.json("status")["frozen"]
