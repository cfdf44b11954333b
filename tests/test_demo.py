"""``syncd demo`` does what it tells: its accounts, its file and its journal are looked at, not its words."""

import csv
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner

from syncd import SyncdError
from syncd.cli.demo import MARK, demo
from syncd.cli.demo_company import SIZE, company, ldif, newcomers


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run it once, in a folder with an awkward name, and return the folder and what it wrote."""
    folder = tmp_path_factory.mktemp("demo") / 'it\'s "acme" {x}'
    result = CliRunner().invoke(demo, [str(folder)], catch_exceptions=False)
    assert 0 == result.exit_code
    return folder, result.output


@pytest.fixture(scope="module")
def journal(ran):
    conn = sqlite3.connect(f"file:{ran[0].as_posix().replace('?', '%3f')}/state/syncd.db?mode=ro", uri=True)
    conn.row_factory = sqlite3.Row
    yield conn
    conn.close()


def rows(journal, query):
    return [tuple(row) for row in journal.execute(query)]


def test_the_runs_are_those_of_the_story(journal):
    """First plan, wedding, busy day, mishap, torn read, recovery, the leaver, the undo that is only planned."""
    found = rows(journal, "SELECT kind, state FROM runs WHERE kind <> 'release' ORDER BY id")

    assert [
        ("sync", "ended"), ("sync", "ended"), ("sync", "ended"), ("sync", "superseded"), ("sync", "failed"),
        ("sync", "ended"), ("undo", "planned"),
    ] == found  # fmt: skip


def test_the_first_plan_was_held_and_a_person_approved_it(journal):
    (row,) = journal.execute("SELECT objections, approved FROM runs WHERE id = 1")

    assert "first-run" in row["objections"]
    assert "first-run" in row["approved"]


def test_the_mishap_was_held_by_the_guards_and_removed_nobody(journal):
    (row,) = journal.execute("SELECT objections, id FROM runs WHERE state = 'superseded'")

    assert "source-shrunk" in row["objections"]
    assert "too-many-removals" in row["objections"]
    assert [] == rows(journal, f"SELECT id FROM operations WHERE run = {row['id']} AND state = 'applied'")


def test_the_torn_file_was_refused(journal):
    (row,) = journal.execute("SELECT error FROM runs WHERE state = 'failed'")

    assert "# end N" in row["error"]


def test_everybody_has_an_account_and_only_the_leaver_is_disabled(journal):
    assert [(SIZE + 1,)] == rows(journal, "SELECT COUNT(*) FROM accounts WHERE deleted_at IS NULL")
    assert [("missing",)] == rows(journal, "SELECT disabled_by FROM accounts WHERE NOT active")


def test_the_bad_entries_failed_and_the_mended_one_is_right(journal):
    reasons = rows(
        journal,
        "SELECT json_extract(reasons, '$[0][0]') FROM operations"
        " WHERE json_extract(reasons, '$[0][3]') = 'failed' ORDER BY 1",
    )

    assert [("illegal_character",), ("required",)] == reasons
    assert [(1,)] == rows(
        journal,
        "SELECT COUNT(*) FROM accounts WHERE json_extract(attributes, '$.title') = 'Head of Cleaning'",
    )
    assert [] == rows(journal, "SELECT id FROM operations WHERE state IN ('detained','failed','waiting')")


def test_the_swap_of_two_extensions_was_one_run(journal):
    found = rows(
        journal,
        "SELECT json_extract(before, '$.extension'), json_extract(after, '$.extension') FROM operations"
        " WHERE run = 3 AND kind = 'update' AND state = 'applied'",
    )

    assert 2 == len(found)
    assert found[0] == found[1][::-1]


def test_the_phone_book_has_the_staff_and_nobody_else(ran, journal):
    with (ran[0] / "phonebook.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    staff = rows(journal, "SELECT CAST(id AS TEXT), email FROM accounts WHERE role = 'staff'")

    assert sorted(staff) == sorted((row["account"], row["email"]) for row in table)
    assert 1 == sum(row["enabled"] == "no" for row in table)
    assert 0 < len(table) < SIZE
    assert newcomers()[0]["mail"] in {row["email"] for row in table}


def test_nothing_is_left_to_be_delivered(journal):
    assert [] == rows(journal, "SELECT account FROM remotes WHERE state <> 'done'")


def test_no_time_of_the_story_lies_in_the_future(journal):
    assert [] == rows(
        journal, "SELECT id FROM runs WHERE started_at > strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+1 minute')"
    )


def test_it_tells_what_the_exit_codes_would_be_and_how_to_go_on(ran):
    folder, output = ran

    assert "exit code 3" in output
    assert "exit code 69" in output
    assert f"--config '{folder}" in output.replace("'\"'\"'", "'") or str(folder) in output


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine", "utf-8")
    with pytest.raises(SyncdError, match="not empty"):
        CliRunner().invoke(demo, [str(tmp_path), "--force"], catch_exceptions=False)

    assert ["mine"] == [path.name for path in tmp_path.iterdir()]


def test_a_demo_is_begun_anew_only_by_force(tmp_path):
    (tmp_path / MARK).touch()
    (tmp_path / "notes").write_text("mine", "utf-8")
    with pytest.raises(SyncdError, match="--force"):
        CliRunner().invoke(demo, [str(tmp_path)], catch_exceptions=False)
    for _ in range(2):
        result = CliRunner().invoke(demo, [str(tmp_path), "--force"], catch_exceptions=False)

        assert 0 == result.exit_code
    assert "mine" == (tmp_path / "notes").read_text("utf-8")


def test_the_environment_of_a_real_installation_is_not_touched(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNCD_STATE_DIRECTORY", str(tmp_path / "real"))
    monkeypatch.setenv("SYNCD_CONFIG", str(tmp_path / "real.toml"))
    CliRunner().invoke(demo, [str(tmp_path / "demo")], catch_exceptions=False)

    assert ["demo"] == [path.name for path in tmp_path.iterdir()]


def test_what_it_leaves_behind_can_be_played_with(ran):
    command = [
        sys.executable,
        "-c",
        "from syncd.cli import main; main()",
        "--config",
        str(ran[0] / "syncd.toml"),
    ]
    listed = subprocess.run([*command, "accounts", "list"], capture_output=True, text=True, check=True)

    assert "joerdis.ahlstroem" in listed.stdout


def test_the_company_is_the_same_every_time_and_nobody_shares_a_key():
    people = company()

    assert ldif(people) == ldif(company())
    assert SIZE == len(people)
    everybody = [*people, *newcomers()]
    for name in ("entryUUID", "mail", "dn"):
        assert len(everybody) == len({one[name] for one in everybody}), name
    assert len(everybody) == len({one["telephoneNumber"][-3:] for one in everybody})
