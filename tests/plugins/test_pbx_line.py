"""From a file of people to a node, through the whole line and the command line."""

import csv
import sqlite3
from contextlib import closing

import cli_world
import pytest
from servers.nodes import sqlite_database

office = cli_world.office

CONFIGURATION = """
state_directory = "{folder}/state"
timezone = "Europe/Berlin"
secrets_key = "file:{folder}/key"
role = {{ sales = {{ template = "sales" }}, staff = {{ template = "desk" }} }}
[attribute.context]
description = "dial plan context"
[template.desk]
generate = {{ password = "password:24" }}
[template.sales]
generate = {{ password = "password:24" }}
defaults = {{ context = "sales" }}
[enterprise.acme]
sources = ["hr"]
[source.hr]
type = "csv"
path = "{folder}/hr.csv"
anchor = "number"
stable_for = 0
detain = "never"
role = "staff"
leavers = {{ missing = "disable", reads = 1, after = "0s", delete_after = "30d" }}
limits = {{ remove = {{ percent = "off", count = "off", per_day = "off" }}, add = "off", update = "off", container = "off" }}
[source.hr.map]
display_name = "name"
extension = "extension"
softphone_extension = "soft"
role = "role"
[platform.pbx]
type = "{type}"
url = "sqlite:///{folder}/node.sqlite"
{more}
limits = {{ remove = {{ percent = "off", count = "off", per_day = "off" }}, add = "off", update = "off" }}
references = [{{ table = "dynamic_status", column = "make_call_from", what = "dynamic status", label = "title" }}]
"""
ASTERISK = 'endpoint = { context = "internal" }\ncolumns = { context = "context" }\nsoftphone = {}'


class Node:
    """An office with one node, whose people are (name, extension, role) by number; who sells has a soft phone."""

    def __init__(self, office, kind):
        self.office = office
        self.database = sqlite_database(office.folder / "node.sqlite")
        self.pjsip = kind == "asterisk"
        more = ASTERISK if kind == "asterisk" else 'domain = "sip.test"'
        text = CONFIGURATION.format(folder=office.folder, type=kind, more=more)
        office.config.write_text(text, "utf-8")
        office.out("secrets", "key", str(office.folder / "key"))

    def sync(self, **people):
        with (self.office.folder / "hr.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("number", "name", "extension", "role", "soft"))
            for number, (name, extension, role) in people.items():
                rows.writerow((number, name, extension, role, f"9{extension}" if role == "sales" else ""))
        self.office.later(hours=1)
        return self.office.run("sync")

    def ask(self, query):
        with closing(sqlite3.connect(self.office.database)) as database:
            return database.execute(query).fetchall()

    def password(self, extension):
        return self.office.out("secrets", "show", extension, "password").strip()


@pytest.fixture(params=["asterisk", "kamailio"])
def any_node(office, request):
    return Node(office, request.param)


@pytest.fixture
def node(office):
    return Node(office, "asterisk")


def test_two_who_exchange_their_extensions_in_the_source_keep_their_telephones(any_node):
    people = {"n1": ("Ann", "200", "sales"), "n2": ("Bob", "201", "sales"), "n3": ("Eve", "300", "staff")}
    any_node.sync(**people)
    was = any_node.database.everything()
    swapped = {**people, "n1": ("Ann", "201", "sales"), "n2": ("Bob", "200", "sales")}
    done = any_node.sync(**swapped)

    assert [("done", 3)] == any_node.ask("SELECT state, COUNT(*) FROM remotes GROUP BY state"), done.output
    assert "pbx" in any_node.office.out("verify")
    for new, old in (("200", "201"), ("201", "200")):
        if rows := was["ps_auths"]:
            passwords = {row["id"]: row["password"] for row in rows}
            assert passwords[old] == any_node.database.one("ps_auths", id=new)["password"]
            name = {"200": "Bob", "201": "Ann"}[new]
            assert f'"{name}" <{new}>' == any_node.database.one("ps_endpoints", id=new)["callerid"]
        else:
            ids = {row["username"]: row["id"] for row in was["subscriber"]}
            assert ids[old] == any_node.database.one("subscriber", username=new)["id"]


def test_the_context_comes_from_the_template_of_the_role_or_else_from_the_platform(node):
    node.sync(n1=("Ann", "200", "sales"), n2=("Bob", "201", "staff"))

    assert {"200": "sales", "9200": "sales", "201": "internal"} == {
        row["id"]: row["context"] for row in node.database.rows("ps_endpoints")
    }


def test_a_soft_phone_logs_in_with_the_password_that_was_made_for_the_account(node):
    node.sync(n1=("Ann", "200", "sales"))

    logins = {row["username"]: row["password"] for row in node.database.rows("ps_auths")}
    assert dict.fromkeys(("200", "9200"), node.password("200")) == logins

    node.office.out("secrets", "renew", "200", "password")
    node.office.out("sync")

    assert {node.password("200")} == {row["password"] for row in node.database.rows("ps_auths")}
    assert node.password("200") != logins["200"]


def test_a_number_in_use_waits_for_its_removal_and_nobody_else_gets_it_until_then(any_node):
    ann, bob = ("Ann", "200", "staff"), ("Bob", "201", "staff")
    any_node.sync(n1=ann, n2=bob)
    any_node.database.insert("dynamic_status", id=1, title="Ann at home", make_call_from=200)
    moved = ("Ann", "202", "staff")
    any_node.sync(n1=moved, n2=bob)
    before = any_node.database.everything()
    waiting = "SELECT message FROM remotes WHERE state = 'waiting'"
    freed = "SELECT COUNT(*) FROM keys WHERE releasing <> 0 AND folded = '200'"

    ((message,),) = any_node.ask(waiting)
    assert message.startswith("blocked by dynamic status Ann at home: 200 is still used by")
    assert [(1,)] == any_node.ask(freed)
    assert (
        "platform pbx: as it should be\n  not compared: 1 account still to be delivered, see syncd deliveries list\n"
        == any_node.office.out("verify")
    )
    assert [1] == [one["undelivered"] for one in any_node.office.json("verify")["platforms"]]

    for _ in range(2):  # Bob wants the number, and a new one does
        any_node.sync(n1=moved, n2=("Bob", "200", "staff"))

    assert before == any_node.database.everything()
    assert [(1,)] == any_node.ask(freed)

    any_node.database.run("DELETE FROM dynamic_status")
    any_node.office.later(hours=2)
    any_node.office.out("sync")

    assert [(2, "done")] == any_node.ask("SELECT COUNT(*), state FROM remotes GROUP BY state")
    assert [(0,)] == any_node.ask(freed)
    assert "pbx" in any_node.office.out("verify")


def test_a_leaver_is_cut_off_at_once_and_removed_after_the_grace_and_when_nothing_refers_to_the_number(node):
    ann, bob = ("Ann", "200", "staff"), ("Bob", "201", "staff")
    node.sync(n1=ann, n2=bob)
    node.database.insert("dynamic_status", id=1, title="Ann at home", make_call_from=200)
    node.sync(n2=bob)

    assert {"off:", "201"} == {row["username"][:4] for row in node.database.rows("ps_auths")}

    node.office.later(days=31)
    node.sync(n2=bob)

    assert ["200", "201"] == sorted(row["id"] for row in node.database.rows("ps_endpoints"))
    ((message,),) = node.ask("SELECT message FROM remotes WHERE state = 'waiting'")
    assert "dynamic status Ann at home" in message

    node.database.run("DELETE FROM dynamic_status")
    node.office.later(hours=2)
    node.sync(n2=bob)

    assert ["201"] == [row["id"] for row in node.database.rows("ps_endpoints")]


def logins(node):
    return {row["username"][:4] for row in node.database.rows("ps_auths" if node.pjsip else "subscriber")}


def test_leavers_whose_new_numbers_have_to_wait_are_cut_off_at_once(any_node):
    ann, bob, eve = ("Ann", "200", "staff"), ("Bob", "201", "staff"), ("Eve", "300", "staff")
    any_node.sync(n1=ann, n2=bob, n3=eve)
    any_node.database.insert("dynamic_status", id=1, title="Ann at home", make_call_from=200)
    any_node.sync(n1=("Ann", "202", "staff"), n2=("Bob", "200", "staff"), n3=eve)

    assert {"200", "201", "300"} == logins(any_node)

    any_node.sync(n3=eve)

    assert {"off:", "300"} == logins(any_node)

    any_node.database.run("DELETE FROM dynamic_status")
    any_node.office.later(hours=20)
    any_node.office.out("sync")

    assert {"off:", "300"} == logins(any_node)
    assert [("done",)] == any_node.ask("SELECT DISTINCT state FROM remotes")
    assert "as it should be" in any_node.office.out("verify")


def test_a_leaver_of_whom_something_does_not_fit_is_cut_off_at_once(node):
    node.sync(n1=("Ann", "200", "staff"), n2=("Bob", "201", "staff"))
    node.sync(n1=("Ann" * 15, "200", "staff"), n2=("Bob", "201", "staff"))

    assert [("failed",)] == node.ask("SELECT state FROM remotes WHERE account = 1")

    node.sync(n2=("Bob", "201", "staff"))

    assert {"off:", "201"} == logins(node)

    node.sync(n1=("Ann", "200", "staff"), n2=("Bob", "201", "staff"))

    assert {"200", "201"} == logins(node)


def test_who_exchanged_numbers_after_the_backup_has_the_right_password_once_it_is_restored(
    any_node, tmp_path
):
    ann, bob = ("Ann", "200", "staff"), ("Bob", "201", "staff")
    any_node.sync(n1=ann, n2=bob)
    any_node.office.out("db", "backup", str(tmp_path / "backup.db"))
    swapped = {"n1": ("Ann", "201", "staff"), "n2": ("Bob", "200", "staff")}
    any_node.sync(**swapped)
    expected = any_node.database.everything()
    any_node.office.out("db", "restore", str(tmp_path / "backup.db"), "--yes")
    any_node.sync(**swapped)

    columns = ("id", "username", "password", "ha1", "callerid")
    assert [
        sorted(tuple(row.get(name) for name in columns if name != "id" or any_node.pjsip) for row in rows)
        for rows in expected.values()
    ] == [
        sorted(tuple(row.get(name) for name in columns if name != "id" or any_node.pjsip) for row in rows)
        for rows in any_node.database.everything().values()
    ]
