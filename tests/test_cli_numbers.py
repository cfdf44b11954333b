"""Extensions as people meet them: through the command line, with files to read and one to write."""

from __future__ import annotations

import csv
import json
import subprocess
import threading

import pytest
from cli_world import PROGRAM, Office, environment
from cli_world import office as office  # noqa: PLC0414 - a fixture

CONFIGURATION = """
state_directory = "{folder}/state"

[template.desk]
allocate = {{ extension = "200-" }}
[role.employee]
template = "desk"

[enterprise.acme]
sources = ["north", "south"]
{sources}
[platform.phonebook]
type = "csv"
path = "{folder}/phonebook.csv"
columns = ["login", "extension", "phone"]
[platform.phonebook.map]
login = "login"
extension = "extension"
phone = {{ from = "extension", via = ["mask:+49 40 1234 XXX"] }}
"""
SOURCE = """
[source.{name}]
type = "csv"
path = "{folder}/{name}.csv"
anchor = "number"
stable_for = 0
match = ["login"]
operations = ["add", "update", "remove"]
detain = "never"
role = "employee"
limits = {{ add = "off", update = "off", remove = "off" }}
[source.{name}.map]
login = "login"
display_name = "name"
extension = "extension"
"""


@pytest.fixture
def nodes(office):
    """Return the office with two files of people who all want numbers."""
    sources = "".join(SOURCE.format(name=name, folder=office.folder) for name in ("north", "south"))
    office.config.write_text(CONFIGURATION.format(folder=office.folder, sources=sources), "utf-8")
    people(office, "north", ("1", "ann", "Ann Adams", ""), ("2", "ben", "Ben Brown", ""))
    people(office, "south", ("1", "cat", "Cat Clark", ""))
    return office


def people(office: Office, source: str, *rows: tuple[str, ...]) -> None:
    with (office.folder / f"{source}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("number", "login", "name", "extension"), *rows])


def test_a_platform_gets_public_numbers_made_of_those_that_were_allocated(nodes):
    nodes.out("sync")

    told = csv.DictReader((nodes.folder / "phonebook.csv").read_text("utf-8").splitlines())
    assert {
        "ann": ("200", "+49 40 1234 200"),
        "ben": ("201", "+49 40 1234 201"),
        "cat": ("202", "+49 40 1234 202"),
    } == {one["login"]: (one["extension"], one["phone"]) for one in told}


def test_a_conflict_names_both_in_preview_queue_and_run(nodes):
    nodes.out("sync")
    people(nodes, "south", ("1", "cat", "Cat Clark", "200"))
    message = (
        "extension '200' belongs to account 1 of north, Ann Adams (ann), "
        "and is wanted by entry 1 of south, Cat Clark (cat)"
    )

    shown = nodes.out("preview", "south")
    run = nodes.json("runs")["runs"][0]["run"]

    assert message in shown
    assert message in nodes.json("queue", "list")["operations"][0]["reasons"][0]["message"]
    assert f"detained: {message} (key_taken)" in nodes.out("runs", str(run))
    assert message == nodes.json("runs", str(run))["queue"][0]["reasons"][0]["message"]


def test_a_run_says_who_restarts_the_client(nodes):
    nodes.out("sync")
    people(nodes, "north", ("1", "ann", "Ann Adams", "300"), ("2", "ben", "Ben B. Brown", ""))

    done = nodes.process("--log-level", "info", "sync", "north")

    (run,) = [one["run"] for one in nodes.json("runs", "--limit", "1")["runs"]]
    assert (
        f"other extensions than before, so restart the desktop client: 1 person (syncd runs {run})"
        in done.stdout
    )
    assert "account 1, Ann Adams (ann): extension 200 -> 300" in nodes.out("runs", str(run))
    assert [
        {"who": "Ann Adams (ann)", "account": 1, "attribute": "extension", "before": "200", "after": "300"}
    ] == nodes.json("runs", str(run))["extensions_changed"]
    (line,) = [
        one for one in map(json.loads, done.stderr.splitlines()) if one["event"] == "extensions_changed"
    ]
    assert (run, 1, [1]) == (line["run"], line["count"], line["accounts"])
    assert "ann" not in json.dumps(line).lower()


def test_two_processes_at_once_give_no_number_twice(nodes):
    """The state directory has one owner: who comes second waits for nobody, and is told to come again."""
    for source in ("north", "south"):
        people(nodes, source, *((str(n), f"{source}{n}", f"{source} {n}", "") for n in range(300)))
    codes: dict[str, list[int]] = {"north": [], "south": []}

    def work(source: str) -> None:
        while 0 not in codes[source]:
            command = [*PROGRAM, "--config", str(nodes.config), "sync", source]
            done = subprocess.run(command, capture_output=True, env=environment(), timeout=60, check=False)
            codes[source].append(done.returncode)

    threads = [threading.Thread(target=work, args=(source,)) for source in codes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {0, 75} >= {code for found in codes.values() for code in found}
    numbers = [one["attributes"]["extension"] for one in nodes.json("accounts", "list")["accounts"]]
    assert [str(number) for number in range(200, 800)] == sorted(numbers)
