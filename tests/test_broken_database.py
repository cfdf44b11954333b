"""A database file that is broken: every verb says which file it is and what cures it, and the cure works."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cli_world import office  # noqa: F401

from syncd.errors import StoreError
from syncd.store import database
from syncd.store.database import VERSION, faults_of, open_database, open_reading, put_in_place

VERBS = (
    "preview hr",
    "sync",
    "apply 1 --yes",
    "runs",
    "runs 1",
    "queue",
    "queue release 1",
    "queue retry 1",
    "undo 1 --yes",
    "accounts",
    "accounts show ada",
    "accounts edit ada phone=1",
    "accounts delete ada --yes",
    "explain ada",
    "deliveries",
    "deliveries retry",
    "verify",
    "verify --repair",
    "retire hr --yes",
    "check",
    "db prune",
    "db backup {folder}/another.db",
)
CURE = "'syncd db restore BACKUP' puts a backup in its place and keeps this file beside it"


def garbage(data):
    return random.Random(1).randbytes(len(data))


def half(data):
    return data[: len(data) // 2]


def empty(_data):
    return b""


def another(_data):
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE TABLE people (name TEXT)")
    return conn.serialize()


def rotten(data):
    """Put what is no UTF-8 into the schema, so that not even SQLite's own message can be decoded."""
    changed = data.replace(b"tableaccountsaccounts", b"table\x94ccountsaccounts")
    assert changed != data
    return changed.replace(b"CREATE TABLE accounts", b"CREATE TABEL accounts")


def page(name):
    """Return what overwrites the first page of a table."""

    def broken(data):
        with sqlite3.connect(":memory:") as conn:
            conn.deserialize(data[:18] + b"\1\1" + data[20:])  # which has no write-ahead log
            (number,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
            (size,) = conn.execute("PRAGMA page_size").fetchone()
        start = (number - 1) * size
        return data[:start] + b"\xff" * size + data[start + size :]

    return broken


@pytest.fixture
def begun(office, tmp_path):  # noqa: F811
    """An office that is at work, a backup of its database, and no log of what was written last."""
    office.begin()
    office.out("db", "backup", str(tmp_path / "copy.db"))
    with sqlite3.connect(office.database) as conn:
        conn.execute("PRAGMA journal_mode = DELETE")
    conn.close()
    return office


def spoil(office, how):  # noqa: F811
    data = how(office.database.read_bytes())
    office.database.write_bytes(data)
    return data


@pytest.mark.parametrize("how", [garbage, half, empty, another, rotten], ids=lambda how: how.__name__)
def test_every_verb_names_the_broken_file_and_the_cure_and_changes_nothing(begun, how):
    data = spoil(begun, how)

    for verb in VERBS:
        result = begun.run(*verb.format(folder=begun.folder).split())

        told = result.stdout if verb == "check" else result.stderr
        assert 74 == result.exit_code, f"{verb}: {result.output}"
        assert told.startswith(("syncd: ", "! database: ")[verb == "check"] + f"{begun.database} is "), verb
        assert CURE in told, verb
        assert data == begun.database.read_bytes(), verb
    assert not (begun.folder / "another.db").exists()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (garbage, "file is not a database"),
        (half, "database disk image is malformed"),
        (empty, "there is no table accounts"),
        (rotten, "'utf-8' codec can't decode byte 0x94"),
        (page("links"), "malformed"),
    ],
)
def test_db_verify_tells_what_is_wrong_with_a_broken_file_and_the_cure(begun, how, expected):
    spoil(begun, how)
    result = begun.run("db", "verify")
    document = begun.json("db", "verify", code=74)

    assert 74 == result.exit_code
    assert expected in result.stdout
    assert f"{begun.database}: " in result.stderr
    assert CURE in result.stderr
    assert (str(begun.database), result.stdout.splitlines()) == (document["file"], document["faults"])


@pytest.mark.parametrize(
    "how",
    [garbage, half, empty, another, rotten, page("links"), page("accounts")],
    ids=["garbage", "half", "empty", "another", "rotten", "links", "accounts"],
)
def test_restore_works_over_a_broken_file_and_keeps_it(begun, tmp_path, how):
    before = begun.json("accounts")
    data = spoil(begun, how)
    kept = begun.json("db", "restore", str(tmp_path / "copy.db"), "--yes")["kept"]

    assert data == Path(kept).read_bytes()
    assert 0 == begun.run("db", "verify").exit_code
    assert before == begun.json("accounts")
    begun.change(n4=("mary", "Mary", "Shelley", "mary@acme.example"))
    begun.out("sync")


def test_restore_keeps_the_log_of_a_broken_file_as_well(begun, tmp_path):
    writer = sqlite3.connect(begun.database)
    writer.execute("PRAGMA journal_mode = WAL")
    # No page of the schema is in the log: by that alone it could be read, and would go into the file.
    writer.execute("UPDATE connections SET type = 'ldap'")
    writer.commit()
    log = begun.database.with_name("syncd.db-wal").read_bytes()
    spoil(begun, garbage)
    kept = begun.json("db", "restore", str(tmp_path / "copy.db"), "--yes")["kept"]
    writer.close()

    assert log
    assert log == Path(f"{kept}-wal").read_bytes()


@pytest.mark.parametrize("table", ["links", "operations"])
def test_damage_that_is_found_half_way_through_a_run_is_told_the_same_way(begun, tmp_path, table):
    spoil(begun, page(table))
    begun.change(n1=("ada", "Ada", "King", "Ada@acme.example"))
    result = begun.run("sync")

    assert 74 == result.exit_code
    assert result.stderr.startswith(f"syncd: {begun.database} is damaged: ")
    assert CURE in result.stderr
    begun.out("db", "restore", str(tmp_path / "copy.db"), "--yes")
    begun.out("sync")
    assert "King" == begun.json("accounts", "show", "ada")["attributes"]["last_name"]


def test_an_error_of_ours_that_damage_has_caused_is_told_as_damage(begun, monkeypatch):
    """Here it is one that SQLite knows nothing of: an index without its row, which nothing notices."""

    def failing(*_given, **_named):
        raise IndexError("tuple index out of range")

    monkeypatch.setattr("syncd.store.keeping.prune", failing)
    sound = begun.run("db", "prune")
    spoil(begun, page("links"))
    broken = begun.run("--log-level", "debug", "db", "prune")

    assert (70, 74) == (sound.exit_code, broken.exit_code)
    assert "unexpected IndexError" in sound.stderr
    assert f"{begun.database} is damaged: " in broken.stderr
    assert "IndexError: tuple index out of range" in broken.stderr


def test_a_backup_that_is_broken_is_not_restored(begun, tmp_path):
    copy = tmp_path / "copy.db"
    for how in (garbage, half, rotten, page("links")):
        (tmp_path / "broken.db").write_bytes(how(copy.read_bytes()))
        before = begun.database.read_bytes()
        result = begun.run("db", "restore", str(tmp_path / "broken.db"), "--yes")

        assert 74 == result.exit_code, how
        assert f"{tmp_path}/broken.db" in result.stderr
        assert before == begun.database.read_bytes()


def test_a_full_disk_or_a_lock_is_no_damage(begun, monkeypatch):
    def failing(*_given, **_named):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("syncd.store.keeping.prune", failing)
    result = begun.run("db", "prune")

    assert (74, f"syncd: {begun.database}: database is locked\n") == (result.exit_code, result.stderr)


# --- how a database comes into being ---


def test_a_database_appears_whole(tmp_path, monkeypatch):
    """Whoever is killed while it is made leaves none, never one that is empty."""
    path = tmp_path / "syncd.db"

    def killed(_fresh, _target):
        assert not path.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(database, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            open_database(path)
    with pytest.raises(StoreError, match="does not exist yet"):
        open_reading(path)
    made = open_database(path)
    assert [] == faults_of(made)
    made.close()

    assert ["syncd.db"] == [one.name for one in tmp_path.iterdir()]
    assert 0o600 == path.stat().st_mode & 0o777


def test_a_database_of_an_older_version_is_copied_before_it_is_changed(tmp_path):
    path = tmp_path / "syncd.db"
    first = open_database(path)
    first.conn.execute("PRAGMA user_version = 0")
    first.close()
    again = open_database(path)
    with sqlite3.connect(tmp_path / "syncd.before-migration.db") as copy:
        assert (0,) == copy.execute("PRAGMA user_version").fetchone()
    copy.close()

    assert (VERSION,) == again.conn.execute("PRAGMA user_version").fetchone()
    again.close()


def test_a_new_database_writes_ahead_before_it_is_in_its_place(tmp_path, monkeypatch):
    """Whoever dies while switching to that leaves a journal that a reader may not undo."""
    seen = []

    def look(fresh, target):
        with closing(sqlite3.connect(fresh)) as conn:
            seen.append(conn.execute("PRAGMA journal_mode").fetchone())
        put_in_place(fresh, target)

    monkeypatch.setattr("syncd.store.database.put_in_place", look)
    open_database(tmp_path / "syncd.db").close()

    assert [("wal",)] == seen
