"""The verbs that see to an installation: check, init, config, plugins and db."""

import json
import sqlite3
import tomllib

import cli_world
import pytest
from click.testing import CliRunner

from syncd.cli import root
from syncd.config.presets import PRESETS
from syncd.lock import Lock

office = cli_world.office


class TestCheck:
    def test_all_is_well(self, office):
        result = office.run("check")

        assert (0, "") == (result.exit_code, result.stdout)
        assert result.stderr.endswith("no problem was found\n")

    def test_it_makes_nothing(self, office):
        office.run("check", "--connect")

        assert not (office.folder / "state").exists()

    def test_every_problem_of_every_kind_at_once(self, office):
        office.set('path = "' + str(office.folder) + '/hr.csv"', 'path = "hr.csv"')
        office.set('entryUUID"', 'entryUUID"\nstable_vor = 1')
        office.set("[template.desk]", 'plugins = ["acme_hr"]\n[template.desk]')
        result = office.run("check")

        assert 78 == result.exit_code
        assert (
            "! plugin: plugin acme_hr: no installed distribution offers a plugin of this name"
            in result.stdout
        )
        assert "write an absolute path" in result.stdout
        assert "stable_vor: unknown key; did you mean 'stable_for'?" in result.stdout
        assert f"{office.config}:" in result.stdout
        assert "3 problems" in result.stderr

    def test_connect_asks_each_source_and_platform_and_goes_on_after_a_failure(self, office):
        (office.folder / "hr.csv").unlink()
        result = office.run("check", "--connect")

        assert 69 == result.exit_code
        assert f"! source hr: {office.folder}/hr.csv: there is no such file" in result.stdout
        assert (
            f"  source directory: {office.folder}/directory.ldif: 1 good rows, 0 bad ones\n" in result.stdout
        )
        assert "  platform phonebook: answers\n" in result.stdout

    def test_a_state_directory_that_others_can_enter_is_77(self, office):
        (office.folder / "state").mkdir(mode=0o700)
        (office.folder / "state").chmod(0o755)
        result = office.run("check")

        assert 77 == result.exit_code
        assert "chmod 700" in result.stdout

    def test_a_database_that_is_none_is_74(self, office):
        office.begin()
        office.database.write_bytes(b"damaged " * 1000)
        result = office.run("check")

        assert 74 == result.exit_code
        assert "! database: " in result.stdout

    def test_a_secret_that_cannot_be_resolved_is_told_with_its_place(self, office):
        office.set("[platform.phonebook]", LDAP + "[platform.phonebook]")
        office.set('sources = ["hr", "directory"]', 'sources = ["hr", "directory", "ad"]')
        result = office.run("check")

        assert 78 == result.exit_code
        assert "! source ad: source.ad.bind.password (" in result.stdout
        assert "file:/nowhere/secret: there is no such file" in result.stdout

        once = office.run("check", "--connect").stdout
        assert 1 == once.count("file:/nowhere/secret: there is no such file")
        told = office.run("preview", "ad")
        place = f"source.ad.bind.password ({office.config}:"
        assert (78, True) == (told.exit_code, place in told.stderr)

    def test_a_credential_of_systemd_is_only_a_note_by_hand(self, office, monkeypatch):
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        office.set(
            "[platform.phonebook]",
            LDAP.replace("file:/nowhere/secret", "credential:ad") + "[platform.phonebook]",
        )
        office.set('sources = ["hr", "directory"]', 'sources = ["hr", "directory", "ad"]')
        result = office.run("check")

        assert 0 == result.exit_code
        assert "note: source ad: credential:ad cannot be looked at here" in result.stderr

    def test_the_document(self, office):
        document = office.json("check", "--connect")

        assert [] == document["problems"]
        assert {"about", "message"} == set(document["notes"][0])
        (office.folder / "hr.csv").unlink()
        (problem,) = office.json("check", "--connect", code=69)["problems"]
        assert ("source hr", 69) == (problem["about"], problem["exit_code"])

    def test_show_reads_some_entries_of_each_source_and_shows_them_mapped(self, office):
        """Nothing is kept of it: there is no state directory afterwards."""
        document = office.json("check", "--show")
        told = office.run("check", "--show").stdout

        assert {"hr", "directory"} == set(document["samples"])
        assert 10 >= len(document["samples"]["hr"]) > 0
        first = document["samples"]["hr"][0]
        assert {"anchor", "values", "enabled", "said"} == set(first)
        assert first["values"]
        assert all(str(value) in told for value in first["values"].values() if isinstance(value, str))
        assert f"hr: {len(document['samples']['hr'])} entries as mapped" in told
        assert not (office.folder / "state").exists()

    def test_show_says_what_is_wrong_with_an_entry_and_leaves_out_a_source_that_fails(self, office):
        (office.folder / "hr.csv").unlink()

        assert {"directory"} == set(office.json("check", "--show", code=69)["samples"])


LDAP = """
[source.ad]
type = "ldap"
url = ["ldaps://127.0.0.1:1"]
bind = { dn = "cn=syncd", password = "file:/nowhere/secret" }
base = ["dc=acme"]
preset = "ad-user"
"""


def run(*words, **options):
    return CliRunner().invoke(root, words, **options)


class TestInit:
    @pytest.fixture(autouse=True)
    def _alone(self, office):
        """Keep the environment and the logging of the process."""

    def begun(self, folder, *words):
        result = run("init", str(folder), *words)
        assert 0 == result.exit_code, result.output
        return folder / "syncd.toml", result

    def test_a_directory(self, tmp_path):
        file, result = self.begun(
            tmp_path / "new", "--ldap", "ldaps://dc.acme.example", "--base", "DC=acme,DC=example"
        )
        written = tomllib.loads(file.read_text("utf-8"))

        assert ["ldaps://dc.acme.example"] == written["source"]["people"]["url"]
        assert ["DC=acme,DC=example"] == written["source"]["people"]["base"]
        assert "file:/etc/syncd/ldap-password: there is no such file" in run("-c", str(file), "check").stdout
        assert f"syncd --config {file} check --connect" in result.stderr
        assert 0o700 == (tmp_path / "new" / "state").stat().st_mode & 0o777
        assert 0o600 == file.stat().st_mode & 0o777

    @pytest.mark.parametrize(
        ("given", "url", "tls"),
        [
            ("dc1", "ldaps://dc1", None),
            ("dc1.acme.example:3269", "ldaps://dc1.acme.example:3269", None),
            ("ldap://dc1", "ldap://dc1", "starttls"),
        ],
    )
    def test_what_it_writes_of_a_server_is_nothing_that_check_refuses(self, tmp_path, given, url, tls):
        file, _ = self.begun(tmp_path / "new", "--ldap", given)
        source = tomllib.loads(file.read_text("utf-8"))["source"]["people"]
        file.write_text(file.read_text("utf-8").replace("bind = {", "#bind = {"), "utf-8")

        assert ([url], tls) == (source["url"], source.get("tls"))
        assert 0 == run("-c", str(file), "check").exit_code

    def test_a_csv_file_whose_columns_are_mapped_as_far_as_their_names_tell(self, tmp_path):
        people = tmp_path / "people.csv"
        people.write_text(
            "ID;User Name;Given-Name;surname;E-Mail;shoe size\n1;ada;Ada;Lovelace;a@b.example;36\n", "utf-8"
        )
        file, _ = self.begun(tmp_path / "new", "--csv", str(people))
        source = tomllib.loads(file.read_text("utf-8"))["source"]["people"]

        assert "ID" == source["anchor"]
        assert ["login", "email"] == source["match"]
        assert {
            "login": "User Name",
            "first_name": "Given-Name",
            "last_name": "surname",
            "email": "E-Mail",
        } == source["map"]
        assert '#? = "shoe size"' in file.read_text("utf-8")
        assert 0 == run("-c", str(file), "check").exit_code

    def test_what_it_wrote_can_be_previewed_at_once(self, tmp_path, monkeypatch):
        people = tmp_path / "people.csv"
        people.write_text("number,login,mail\n1,ada,ada@acme.example\n", "utf-8")
        file, _ = self.begun(tmp_path / "new", "--csv", str(people), "--anchor", "number")
        file.write_text(file.read_text("utf-8").replace("#stable_for = 60", "stable_for = 0"), "utf-8")

        assert "add      ada" in run("-c", str(file), "preview").stdout
        assert 0 == run("-c", str(file), "apply", "1", "--yes").exit_code
        assert "ada@acme.example" in (tmp_path / "new" / "state" / "phonebook.csv").read_text("utf-8")

    def test_an_ldif_file_and_the_anchor_that_stands_in_it(self, tmp_path):
        people = tmp_path / "people.ldif"
        people.write_text("dn: uid=ada\nuid: ada\nentryUUID: 1\n", "utf-8")
        file, _ = self.begun(tmp_path / "a", "--ldif", str(people))
        people.write_text("dn: CN=ada\nsAMAccountName: ada\n", "utf-8")
        other, _ = self.begun(tmp_path / "b", "--ldif", str(people))

        assert ["entryUUID", "openldap-inetorgperson"] == chosen(file)
        assert ["dn", "ad-user"] == chosen(other)
        assert 0 == run("-c", str(file), "check").exit_code
        assert 0 == run("-c", str(other), "check").exit_code

    def test_nothing_is_overwritten(self, tmp_path):
        file, _ = self.begun(tmp_path / "new")
        file.write_text("mine", "utf-8")

        assert 64 == run("init", str(tmp_path / "new")).exit_code
        assert "mine" == file.read_text("utf-8")

    @pytest.mark.parametrize(
        "words",
        [
            ("--csv", "a", "--ldif", "b"),
            ("--csv", "/nowhere/people.csv"),
            ("--csv", "/dev/null"),
            ("--enterprise", "a b"),
            ("--ldap", "https://dc1"),
            ("--ldap", "dc1/DC=acme"),
        ],
        ids=str,
    )
    def test_what_does_not_fit_is_wrong_use_and_writes_nothing(self, tmp_path, words):
        assert 64 == run("init", str(tmp_path / "new"), *words).exit_code
        assert not (tmp_path / "new").exists()

    def test_a_column_that_is_not_there_is_told(self, tmp_path):
        people = tmp_path / "people.csv"
        people.write_text("number,login\n", "utf-8")
        result = run("init", str(tmp_path / "new"), "--csv", str(people), "--anchor", "id")

        assert 64 == result.exit_code
        assert "has no column 'id'; it has: number, login" in result.stderr

    def test_it_goes_where_config_would_look_for_it(self, tmp_path):
        assert 0 == run("--config", str(tmp_path / "x" / "syncd.toml"), "init").exit_code
        assert (tmp_path / "x" / "syncd.toml").exists()
        assert 64 == run("--config", str(tmp_path / "other.toml"), "init").exit_code

    def test_the_document(self, tmp_path):
        document = json.loads(run("init", str(tmp_path / "new"), "--json").stdout)

        assert {
            "file": str(tmp_path / "new" / "syncd.toml"), "state_directory": str(tmp_path / "new" / "state"),
        } == document  # fmt: skip


def chosen(file):
    source = tomllib.loads(file.read_text("utf-8"))["source"]["people"]
    return [source["anchor"], source["preset"]]


class TestConfig:
    def test_effective_values_and_where_they_were_written(self, office):
        shown = office.out("config", "show", "source.hr", "--origin").splitlines()
        line = next(line for line in shown if line.startswith("source.hr.anchor "))

        assert 'source.hr.anchor = "number"' == line.partition("  #")[0].rstrip()
        assert line.partition("# ")[2].startswith(f"{office.config}:")
        assert any(line.startswith("source.hr.complete = ") and line.endswith("# default") for line in shown)

    def test_a_variable_and_an_option_are_origins_too(self, office, monkeypatch, tmp_path):
        monkeypatch.setenv("SYNCD_SOURCE__HR__STABLE_FOR", "5")
        values = json.loads(office.run("--state-directory", str(tmp_path / "x"), "config", "--json").stdout)[
            "values"
        ]
        found = {one["path"]: (one["value"], one["origin"]) for one in values}

        assert (5, "environment SYNCD_SOURCE__HR__STABLE_FOR") == found["source.hr.stable_for"]
        assert (str(tmp_path / "x"), "--state-directory") == found["state_directory"]

    def test_a_preset_can_be_copied(self, office):
        written = tomllib.loads(office.out("config", "show", "--preset", "openldap-inetorgperson"))["source"][
            "NAME"
        ]

        assert ("entryUUID", "uid") == (written["anchor"], written["map"]["login"])
        assert {"from": ["displayName", "cn"]} == written["map"]["display_name"]
        assert 64 == office.run("config", "show", "--preset", "nothing").exit_code

    @pytest.mark.parametrize("name", PRESETS)
    def test_a_preset_as_it_is_printed_says_what_its_name_does(self, tmp_path, name):
        printed = run("config", "show", "--preset", name).stdout.replace("source.NAME", "source.hq")
        named = f'[source.hq]\npreset = "{name}"\n'
        options = {"asterisk": NODE, "kamailio": NODE, "mivoice": EXPORT}.get(name, DIRECTORY)
        pasted, meant = (effective(tmp_path, text, options) for text in (printed, named))

        assert name == meant.pop("source.hq.preset")
        assert pasted.pop("source.hq.preset") is None
        assert meant == pasted

    @pytest.mark.parametrize("name", PRESETS)
    def test_a_preset_is_a_document_too(self, name):
        preset = PRESETS[name]
        shown = {"keys": dict(preset.keys), "match": list(preset.match), "map": dict(preset.map)}
        document = json.loads(run("config", "show", "--preset", name, "--json").stdout)
        assert {"preset": name, "options": dict(preset.options), **shown} == document


DIRECTORY = (
    "directory",
    'type = "ldap"\nurl = ["ldaps://dc1.acme.example"]\nbase = ["DC=acme,DC=example"]\n',
)
NODE = ("pbx", 'type = "kamailio"\nurl = "sqlite:////srv/node.sqlite"\ndomain = "sip.acme.example"\n')
EXPORT = ("pbx", 'type = "mivoice"\npath = "/srv/users.csv"\n')


def effective(folder, source, kind):
    """Return every effective value of a configuration whose source is ``source``, begun at its own header."""
    file = folder / "syncd.toml"
    synchronizer, options = kind
    source = source.replace("[source.hq]\n", f"[source.hq]\n{options}", 1)
    head = f'[enterprise.acme]\nsources = ["hq"]\nsynchronizer = "{synchronizer}"\n'
    file.write_text(head + source, "utf-8")
    file.chmod(0o600)
    result = run("--config", str(file), "config", "show", "--json")
    assert 0 == result.exit_code, result.output
    return {one["path"]: one["value"] for one in json.loads(result.stdout)["values"]}


class TestPlugins:
    def test_what_is_in_use_and_what_it_offers(self, office):
        shown = office.out("plugins")
        rows = {row["name"]: row for row in office.json("plugins")["plugins"]}

        assert "source csv, source ldif, platform csv, platform ldif" in shown
        assert ("loaded", "syncd") == (rows["syncd_bulk"]["state"], rows["syncd_bulk"]["distribution"])
        assert "transform trim" in rows["syncd"]["provides"]

    def test_it_needs_no_configuration(self):
        assert 0 == run("--config", "/nowhere/syncd.toml", "plugins").exit_code

    def test_a_new_one_is_written_and_nothing_overwritten(self, office, tmp_path):
        files = office.json("plugins", "new", "acme_badges", "--folder", str(tmp_path / "new"))["files"]

        assert str(tmp_path / "new" / "pyproject.toml") in files
        assert 78 == office.run("plugins", "new", "acme_badges", "--folder", str(tmp_path / "new")).exit_code


class TestDatabase:
    def test_a_backup_is_whole_private_and_made_beside_an_owner(self, office, tmp_path):
        office.begin()
        with Lock(office.folder / "state", "daemon"):
            office.out("db", "backup", str(tmp_path / "copy.db"))
        with sqlite3.connect(tmp_path / "copy.db") as conn:
            logins = [login for (login,) in conn.execute("SELECT login FROM accounts ORDER BY id")]

        assert ["ada", "grace", "alan"] == logins
        assert 0o600 == (tmp_path / "copy.db").stat().st_mode & 0o777
        assert 64 == office.run("db", "backup", str(tmp_path / "copy.db")).exit_code
        assert 0 == office.run("db", "backup", str(tmp_path / "copy.db"), "--force").exit_code
        assert [] == list(tmp_path.glob("*.partial"))

    def test_a_backup_says_nothing_of_itself_unless_asked(self, office, tmp_path):
        """The log is off unless a level is named."""
        office.begin()

        assert "" == office.process("db", "backup", str(tmp_path / "one.db")).stderr
        told = office.process("--log-level", "info", "db", "backup", str(tmp_path / "two.db")).stderr
        assert "database_backed_up" in told

    def test_a_backup_that_cannot_be_written_is_74(self, office, tmp_path):
        office.begin()

        assert 74 == office.run("db", "backup", str(tmp_path / "nowhere" / "copy.db")).exit_code

    def test_restore_puts_it_back_and_keeps_what_was_there(self, office, tmp_path):
        office.begin()
        copy = str(tmp_path / "copy.db")
        office.out("db", "backup", copy)
        office.out("accounts", "delete", "ada", "--yes")
        document = office.json("db", "restore", copy, "--yes")

        assert f"{office.database}.replaced-20260105T080000Z" == document["kept"]
        assert 3 == len(office.json("accounts")["accounts"])
        with sqlite3.connect(document["kept"]) as conn:
            assert (2,) == conn.execute("SELECT COUNT(*) FROM accounts WHERE deleted_at IS NULL").fetchone()
        assert 0o600 == office.database.stat().st_mode & 0o777
        office.out("sync")

    def test_restore_loses_nothing_that_was_only_in_the_write_ahead_log(self, office, tmp_path):
        office.begin()
        office.out("db", "backup", str(tmp_path / "copy.db"))
        open_elsewhere = sqlite3.connect(office.database)
        open_elsewhere.execute("SELECT COUNT(*) FROM accounts").fetchone()
        office.out("accounts", "disable", "ada")
        kept = office.json("db", "restore", str(tmp_path / "copy.db"), "--yes")["kept"]
        open_elsewhere.close()

        with sqlite3.connect(kept) as conn:
            assert ("local",) == conn.execute(
                "SELECT disabled_by FROM accounts WHERE login = 'ada'"
            ).fetchone()
        assert [] == office.json("accounts", "--disabled")["accounts"]

    def test_a_damaged_database_can_be_replaced(self, office, tmp_path):
        office.begin()
        office.out("db", "backup", str(tmp_path / "copy.db"))
        office.database.write_bytes(b"damaged " * 1000)

        assert 74 == office.run("db", "verify").exit_code
        office.out("db", "restore", str(tmp_path / "copy.db"), "--yes")
        assert 0 == office.run("db", "verify").exit_code

    @pytest.mark.parametrize("content", [b"", b"not a database", None], ids=["empty", "text", "another's"])
    def test_what_is_no_database_of_ours_is_refused_and_nothing_changes(self, office, tmp_path, content):
        office.begin()
        file = tmp_path / "other.db"
        if content is None:
            with sqlite3.connect(file) as conn:
                conn.execute("CREATE TABLE people (name TEXT)")
        else:
            file.write_bytes(content)
        before = office.json("runs")
        result = office.run("db", "restore", str(file), "--yes")

        assert 74 == result.exit_code
        assert "other.db" in result.stderr
        assert before == office.json("runs")
        assert ["lock", "syncd.db"] == sorted(
            path.name
            for path in (office.folder / "state").iterdir()
            if not path.name.endswith(("-wal", "-shm"))
        )

    def test_one_of_a_newer_version_is_refused(self, office, tmp_path):
        office.begin()
        office.out("db", "backup", str(tmp_path / "copy.db"))
        with sqlite3.connect(tmp_path / "copy.db") as conn:
            conn.execute("PRAGMA user_version = 999")
        result = office.run("db", "restore", str(tmp_path / "copy.db"), "--yes")

        assert 74 == result.exit_code
        assert "newer syncd" in result.stderr

    def test_restore_asks_and_owns_the_state_directory(self, office, tmp_path):
        office.begin()
        office.out("db", "backup", str(tmp_path / "copy.db"))
        with Lock(office.folder / "state", "daemon"):
            assert 75 == office.process("db", "restore", str(tmp_path / "copy.db"), "--yes").returncode
        assert 64 == office.run("db", "restore", str(tmp_path / "copy.db")).exit_code

    def test_verify_tells_faults(self, office):
        office.begin()
        with sqlite3.connect(office.database) as conn:
            conn.execute("PRAGMA foreign_keys = OFF")
            conn.execute("UPDATE links SET account = 99 WHERE anchor = '1'")
        result = office.run("db", "verify")

        assert 74 == result.exit_code
        assert "links" in result.stdout

    def test_prune_blanks_what_is_old(self, office):
        office.begin()
        fresh = office.json("db", "prune")
        office.later(days=500)

        assert {0} == set(fresh.values())
        assert 0 < office.json("db", "prune")["operations"]
