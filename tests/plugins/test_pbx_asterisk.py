"""The platform ``asterisk``: what it writes, what it leaves alone, and what it refuses."""

import pytest
import sqlalchemy
from pydantic import ValidationError
from servers.nodes import account, asterisk, opened, sqlite_database

from syncd import Account, Blocked, Delivery, Denied, Gone, Rejected, Unavailable
from syncd_pbx.asterisk import AsteriskPlatform


@pytest.fixture
def database(tmp_path):
    return sqlite_database(tmp_path / "node.sqlite")


@pytest.fixture
def platform(database):
    made = opened(asterisk(database))
    yield made
    made.close()


def written(platform, work):
    """Return the statements that change rows while ``work`` is done."""
    seen = []
    engine = platform._engine

    def note(_connection, _cursor, statement, *_rest):
        if statement.split()[0] in {"INSERT", "UPDATE", "DELETE"}:
            seen.append(statement)

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    work()
    sqlalchemy.event.remove(engine, "before_cursor_execute", note)
    return seen


def test_a_new_account_is_an_endpoint_that_asks_for_its_password(platform, database):
    assert "100" == platform.add(
        account(mailbox="100", pin="4711", email="p@acme.example", accountcode="sales")
    )

    endpoint = database.one("ps_endpoints", id="100")
    assert ("100", "100", "internal", "all", "opus,alaw") == tuple(
        endpoint[name] for name in ("aors", "auth", "context", "disallow", "allow")
    )
    assert ('"Person 100" <100>', "100@default", "sales") == tuple(
        endpoint[name] for name in ("callerid", "mailboxes", "accountcode")
    )
    login = database.one("ps_auths", id="100")
    assert ("userpass", "100", "geheim-100") == (login["auth_type"], login["username"], login["password"])
    assert (1, "yes") == (
        database.one("ps_aors", id="100")["max_contacts"],
        database.one("ps_aors")["remove_existing"],
    )
    mailbox = database.one("voicemail", mailbox="100")
    assert ("default", "4711", "Person 100", "p@acme.example") == tuple(
        mailbox[name] for name in ("context", "password", "fullname", "email")
    )


def test_an_account_without_password_or_pin_gets_such_as_nobody_knows(platform, database):
    platform.add(Account("a", "user", enabled=True, fields={"extension": "100", "mailbox": "100"}))
    platform.add(Account("b", "user", enabled=True, fields={"extension": "101", "mailbox": "101"}))

    passwords = {row["password"] for row in database.rows("ps_auths")}
    pins = {row["password"] for row in database.rows("voicemail")}
    assert [40, 40] == [len(text) for text in passwords]
    assert [12, 12] == [len(text) for text in pins]


def test_a_password_that_is_taken_away_is_replaced_by_an_unknown_one(platform, database):
    platform.add(account())
    without = Account("a100", "user", enabled=True, fields={"extension": "100"})
    platform.update("100", without, frozenset({"password"}))

    assert "geheim-100" != database.one("ps_auths")["password"]
    assert 40 == len(database.one("ps_auths")["password"])


def test_who_is_told_anew_in_full_keeps_a_password_that_is_not_ours(platform, database):
    """After a crash nobody knows how an account looks there: all of it counts as changed."""
    database.insert("ps_endpoints", id="100", aors="100", auth="100")
    database.insert("ps_auths", id="100", auth_type="userpass", username="100", password="kept-by-hand")
    without = Account("a100", "user", enabled=True, fields={"extension": "100", "name": "Anna"})
    platform.add(without)
    platform.update("100", without, frozenset(platform.fields))

    assert "kept-by-hand" == database.one("ps_auths")["password"]
    assert '"Anna" <100>' == database.one("ps_endpoints")["callerid"]


def test_disabling_keeps_the_password_and_takes_the_name_to_log_in_with(platform, database):
    platform.add(account())
    before = database.everything()
    platform.disable("100", account(enabled=False))

    login, endpoint = database.one("ps_auths"), database.one("ps_endpoints")
    assert ("100", "geheim-100") == (endpoint["auth"], login["password"])
    assert login["username"].startswith("off:")
    assert endpoint["aors"].startswith("off:")
    assert "100" not in {login["username"], endpoint["aors"]}

    off = database.everything()
    platform.disable("100", account(enabled=False))

    assert off == database.everything()

    platform.enable("100", account())

    assert before == database.everything()


def test_no_two_disabled_accounts_have_names_from_which_another_could_be_guessed(platform, database):
    for number in (100, 101):
        platform.add(account(number, enabled=False))

    marks = {row["username"].split(":")[1] for row in database.rows("ps_auths")}
    assert [16, 16] == [len(mark) for mark in marks]


def test_a_disabled_account_stays_disabled_when_it_is_updated_or_renamed(platform, database):
    platform.add(account(enabled=False))
    platform.update("100", account(name="Anna", enabled=False), frozenset({"name"}))
    renamed = account(101, enabled=False)
    (outcome,) = platform.deliver([Delivery(1, "update", 1, "100", renamed, frozenset({"extension"}))])

    assert (None, "101") == (outcome.error, outcome.remote_id)
    assert database.one("ps_auths")["username"].startswith("off:")
    assert database.one("ps_auths")["username"].endswith(":101")

    platform.enable("101", account(101))

    assert "101" == database.one("ps_auths", id="101")["username"]
    assert "101" == database.one("ps_endpoints", id="101")["aors"]


def test_an_update_writes_the_columns_that_differ_and_no_others(platform, database):
    platform.add(account(accountcode="sales"))
    database.run("UPDATE ps_endpoints SET context = 'by hand', callerid = 'by hand'")
    sales = account(accountcode="support", name="Another")

    changes = written(platform, lambda: platform.update("100", sales, frozenset({"accountcode"})))
    assert ["UPDATE ps_endpoints SET accountcode=? WHERE ps_endpoints.id = ?"] == changes
    assert ("by hand", "by hand", "support") == tuple(
        database.one("ps_endpoints")[name] for name in ("context", "callerid", "accountcode")
    )
    assert [] == written(platform, lambda: platform.update("100", sales, frozenset({"accountcode"})))


def test_an_extension_that_exists_is_adopted_with_all_that_is_not_ours(platform, database):
    database.insert("ps_endpoints", id="100", aors="100", auth="door", context="vip", callerid="Old")
    database.insert("ps_auths", id="door", auth_type="userpass", username="door", password="kept-by-hand")
    database.insert("ps_aors", id="100", max_contacts=5)
    fields = {"extension": "100", "name": "Anna"}
    assert "100" == platform.add(Account("a", "user", enabled=True, fields=fields))

    endpoint = database.one("ps_endpoints")
    assert ("vip", '"Anna" <100>', "door") == tuple(
        endpoint[name] for name in ("context", "callerid", "auth")
    )
    assert ("door", "kept-by-hand") == tuple(
        database.one("ps_auths")[name] for name in ("username", "password")
    )
    assert 5 == database.one("ps_aors")["max_contacts"]

    platform.disable("100", account(enabled=False))
    platform.enable("100", account())

    assert "door" == database.one("ps_auths")["username"]


@pytest.mark.parametrize("auth", ["all", "101"])
def test_a_telephone_that_shares_its_password_with_others_is_not_adopted(platform, database, auth):
    database.insert("ps_auths", id=auth, auth_type="userpass", username=auth, password="of everybody")
    for number in ("100", "101"):
        database.insert("ps_endpoints", id=number, aors=number, auth=auth)
        database.insert("ps_aors", id=number)
    before = database.everything()
    with pytest.raises(
        Blocked, match="shares its auth or AOR with endpoint 101; give each its own"
    ) as refusal:
        platform.add(account(100))

    assert ("endpoint 101",) == refusal.value.references
    assert before == database.everything()


def test_an_adopted_endpoint_that_asks_nobody_for_a_password_does_so_from_then_on(platform, database):
    database.insert("ps_endpoints", id="100", aors="100")
    platform.add(account())

    assert "100" == database.one("ps_endpoints")["auth"]
    assert "geheim-100" == database.one("ps_auths", id="100")["password"]


def test_a_new_number_moves_everything_that_is_named_after_it(platform, database):
    platform.add(account(mailbox="100", pin="1111"))
    database.run("UPDATE ps_endpoints SET context = 'by hand'")
    renamed = account(200, mailbox="200", pin="1111")
    delivery = Delivery(1, "update", 1, "100", renamed, frozenset({"extension", "mailbox"}))
    (outcome,) = platform.deliver([delivery])

    assert (None, "200") == (outcome.error, outcome.remote_id)
    endpoint = database.one("ps_endpoints")
    assert ("200", "200", "200", '"Person 200" <200>', "200@default", "by hand") == tuple(
        endpoint[name] for name in ("id", "aors", "auth", "callerid", "mailboxes", "context")
    )
    login = database.one("ps_auths")
    assert ("200", "200", "geheim-100") == (login["id"], login["username"], login["password"])
    assert "200" == database.one("ps_aors")["id"]
    assert ("200", "1111") == tuple(database.one("voicemail")[name] for name in ("mailbox", "password"))


def test_a_rename_waits_for_a_number_that_somebody_has(platform, database):
    platform.add(account(100))
    platform.add(account(200))
    before = database.everything()
    with pytest.raises(Blocked, match="100 cannot become 200"):
        platform.update("100", account(200), frozenset({"extension"}))

    assert before == database.everything()


def test_a_deleted_account_leaves_nothing_and_others_everything(platform, database):
    platform.add(account(100))
    before = database.everything()
    platform.add(account(101, mailbox="101"))
    platform.disable("101", account(101, enabled=False))
    platform.delete("101")

    assert before == database.everything()


@pytest.mark.parametrize(
    ("table", "row", "reference"),
    [
        (
            "queue_members",
            {"queue_name": "support", "interface": "PJSIP/100", "uniqueid": "1"},
            "queue support",
        ),
        ("ps_endpoints", {"id": "100-soft", "aors": "50,100", "auth": "x"}, "endpoint 100-soft"),
        ("ps_endpoints", {"id": "secretary", "aors": "s", "mailboxes": "100@default"}, "endpoint secretary"),
    ],
)
def test_a_number_in_use_is_neither_removed_nor_renamed(platform, database, table, row, reference):
    platform.add(account(mailbox="100"))
    database.insert(table, **row)
    before = database.everything()
    for work in (
        lambda: platform.delete("100"),
        lambda: platform.update("100", account(200, mailbox="100"), frozenset({"extension"})),
    ):
        with pytest.raises(Blocked) as refusal:
            work()

        assert (reference,) == refusal.value.references
        assert before == database.everything()


def test_names_that_only_look_like_the_number_block_nothing(platform, database):
    platform.add(account(100))
    database.insert("ps_endpoints", id="1000", aors="1000,2100", auth="1000", mailboxes="1100@default")
    database.insert("queue_members", queue_name="support", interface="PJSIP/1000", uniqueid="1")
    platform.delete("100")

    assert ["1000"] == [row["id"] for row in database.rows("ps_endpoints")]


def test_a_value_that_is_too_long_is_refused_with_its_column_and_width(platform, database):
    long = account(name="Maximiliane von und zu Hohenzollern-Sigmaringen")
    with pytest.raises(
        Rejected, match=r"55 characters do not fit the column ps_endpoints\.callerid, which takes 40"
    ):
        platform.add(long)

    assert [] == [row for rows in database.everything().values() for row in rows]


def test_who_could_not_be_disabled_is_not_taken_on(platform, database):
    database.insert("ps_endpoints", id="100", aors="100", auth="door")
    database.insert("ps_auths", id="door", auth_type="userpass", username="d" * 20, password="by hand")
    before = database.everything()
    batch = [
        Delivery(1, "add", 1, None, account(100)),
        Delivery(2, "add", 2, None, account(10**18, name="A")),
    ]
    refused, taken = platform.deliver(batch)

    assert "41 characters do not fit the column ps_auths.username" in str(refused.error)
    assert None is taken.error

    platform.disable(str(10**18), account(10**18, enabled=False))
    platform.delete(str(10**18))

    assert before == database.everything()


def test_one_that_is_refused_harms_no_other_of_its_batch(platform, database):
    batch = [
        Delivery(1, "add", 1, None, account(100)),
        Delivery(2, "add", 2, None, account(101, accountcode="x" * 81)),
        Delivery(3, "add", 3, None, account(102)),
        Delivery(4, "update", 4, "999", account(999), frozenset({"name"})),
    ]
    outcomes = list(platform.deliver(batch))

    assert [None, Rejected, None, Gone] == [outcome.error and type(outcome.error) for outcome in outcomes]
    for table in ("ps_endpoints", "ps_auths", "ps_aors"):
        assert ["100", "102"] == sorted(row["id"] for row in database.rows(table))


def test_the_columns_that_are_configured_have_to_be_there(database):
    with pytest.raises(Denied, match="the table ps_endpoints has no column acountcode"):
        opened(asterisk(database, columns={"acountcode": "department"}))


@pytest.mark.parametrize("column", ["direct_media", "device_state_busy_at"])
def test_a_column_of_another_kind_takes_only_what_fits(database, column):
    platform = opened(asterisk(database, columns={column: "department"}))
    with pytest.raises(Rejected, match=f"ps_endpoints.{column}"):
        platform.add(account(**{column: "perhaps"}))


def test_a_number_goes_into_a_column_of_numbers(database):
    platform = opened(asterisk(database, columns={"device_state_busy_at": "department"}))
    known = account(device_state_busy_at="2")
    platform.add(known)

    assert 2 == database.one("ps_endpoints")["device_state_busy_at"]
    assert {"100": platform.fingerprint(known)} == dict(platform.list())


def test_trunks_are_neither_listed_nor_written(platform, database):
    database.insert("ps_endpoints", id="trunk-to-provider", aors="provider")
    platform.add(account())

    assert ["100"] == [remote_id for remote_id, _ in platform.list()]
    assert "[0-9]{1,19}" == platform.fields["extension"].pattern


def test_an_emptied_database_is_not_filled_anew(platform, database):
    again = asterisk(database)
    again.context.confirmed = 3
    with pytest.raises(Denied, match="ps_endpoints is empty, but 3 accounts were delivered to it"):
        again.open()


def test_a_file_that_is_missing_is_unavailable_and_not_made(tmp_path, database):
    with pytest.raises(Unavailable, match=r"none\.sqlite"):
        opened(asterisk(database, url=f"sqlite:///{tmp_path}/none.sqlite"))

    assert not (tmp_path / "none.sqlite").exists()


def test_no_error_of_the_database_holds_a_password(platform, database):
    database.run("CREATE TRIGGER no BEFORE INSERT ON ps_auths BEGIN SELECT RAISE(ABORT, 'not today'); END")
    with pytest.raises(Rejected) as refusal:
        platform.add(account())

    assert "not today" in str(refusal.value)
    assert "geheim" not in str(refusal.value) + repr(refusal.value.__cause__)


def test_check_says_what_is_there(platform, database):
    platform.add(account())

    assert [f"SQLite file {database.url.removeprefix('sqlite:///')}: 1 accounts"] == list(platform.check())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "mysql://syncd:geheim@db/asterisk"}, "holds a password; take it out"),
        (
            {"url": "oracle://db/asterisk"},
            "begins with oracle; use one of sqlite, mysql, mariadb, postgresql",
        ),
        ({"url": "sqlite:///pbx.sqlite"}, "names no absolute path"),
        ({"url": "mysql://db"}, "names no database"),
        ({"url": "mysql://db/a?ssl=0"}, "holds settings after"),
        ({"url": "mysql://db/a", "tls": "none", "ca_file": "/etc/ca.pem"}, "checks no certificate"),
        ({"url": "mysql://db/a", "socket": "run/mysqld.sock"}, "must begin with /"),
        ({"url": "sqlite:////a", "password": "file:/x"}, "has no password"),
        ({"url": "sqlite:////a", "columns": {"auth": "login"}}, "auth: the platform writes that by itself"),
        (
            {"url": "sqlite:////a", "softphone": {"auth": "x"}},
            "auth: the platform writes that by itself",
        ),
        ({"url": "sqlite:////a", "twinning": {"name": "x"}}, "name: the platform writes that by itself"),
        (
            {"url": "sqlite:////a", "references": [{"table": "a", "column": "b", "what": "c", "value": "x"}]},
            "must hold {extension} and no other braces",
        ),
        ({"url": "sqlite:////a", "extensions": "[0-9"}, "is no regular expression"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ValidationError, match=message) as refusal:
        AsteriskPlatform.Options(**options)

    assert "geheim" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "verifies"),
    [
        ({"url": "mysql://syncd@db.acme.example/asterisk"}, True),
        ({"url": "mysql://syncd@db.acme.example/asterisk", "tls": "none"}, False),
        ({"url": "postgresql://syncd@127.0.0.1/asterisk"}, False),
        ({"url": "postgresql://syncd@127.0.0.1/asterisk", "tls": "verify"}, True),
        ({"url": "postgresql:///asterisk", "socket": "/run/postgresql"}, False),
    ],
)
def test_only_this_machine_is_trusted_without_a_certificate(options, verifies):
    assert verifies is AsteriskPlatform.Options(**options).verifies
