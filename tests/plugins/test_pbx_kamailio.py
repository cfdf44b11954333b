"""The platform ``kamailio``: what it writes, and what it refuses."""

import hashlib
import re

import pytest
from pydantic import ValidationError
from servers.nodes import account, kamailio, opened, sqlite_database
from sqlalchemy import event

from syncd import Account, Blocked, Delivery, Rejected
from syncd_pbx.kamailio import KamailioPlatform

NOBODY = {"extension": "100"}


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture
def database(tmp_path):
    return sqlite_database(tmp_path / "node.sqlite")


@pytest.fixture
def platform(database):
    made = opened(kamailio(database))
    yield made
    made.close()


def test_a_subscriber_has_the_hashes_of_its_password_and_not_the_password(platform, database):
    remote_id = platform.add(account(email_address="p@acme.example"))

    row = database.one("subscriber")
    assert ("100", "100", "sip.test", "") == (remote_id, row["username"], row["domain"], row["password"])
    assert md5("100:sip.test:geheim-100") == row["ha1"]
    assert md5("100@sip.test:sip.test:geheim-100") == row["ha1b"]
    assert "p@acme.example" == row["email_address"]


def test_the_realm_may_be_another_than_the_domain(database):
    opened(kamailio(database, realm="pbx")).add(account())

    assert md5("100:pbx:geheim-100") == database.one("subscriber")["ha1"]


def test_an_account_without_a_password_can_be_used_by_nobody(platform, database):
    platform.add(Account("a", "user", enabled=True, fields=NOBODY))

    row = database.one("subscriber")
    assert row["ha1"] not in {"", md5("100:sip.test:"), md5("100:sip.test:None")}


def test_disabling_takes_the_name_and_keeps_the_hashes(platform, database):
    remote_id = platform.add(account())
    before = database.everything()
    platform.disable(remote_id, account(enabled=False))

    row = database.one("subscriber")
    assert row["username"].startswith("off:")
    assert (md5("100:sip.test:geheim-100"), 64) == (row["ha1"], 4 * len(row["username"].split(":")[1]))
    assert remote_id == platform.find(account())
    assert remote_id == platform.add(account(enabled=False))

    platform.enable(remote_id, account())

    assert before == database.everything()


def test_a_subscriber_that_somebody_makes_with_the_number_of_a_leaver_is_not_the_leavers(platform, database):
    platform.add(account(100))
    platform.disable("100", account(100, enabled=False))
    database.insert("subscriber", username="100", domain="sip.test", ha1="by hand")
    with pytest.raises(Rejected):
        platform.enable("100", account(100))
    platform.delete("100")

    assert [("100", "by hand")] == [(row["username"], row["ha1"]) for row in database.rows("subscriber")]


def test_what_exists_is_adopted_with_its_password(platform, database):
    database.insert("subscriber", username="100", domain="sip.test", ha1="by hand", ha1b="by hand")
    database.insert("subscriber", username="100", domain="other.test", ha1="another", ha1b="another")
    platform.add(Account("a", "user", enabled=True, fields=NOBODY))

    assert ["by hand"] == [row["ha1"] for row in database.rows("subscriber", domain="sip.test")]
    assert ["another"] == [row["ha1"] for row in database.rows("subscriber", domain="other.test")]


def test_a_new_number_keeps_the_row_and_hashes_the_password_anew(platform, database):
    platform.add(account(100, enabled=False))
    before = database.one("subscriber")["id"]
    renamed = account(200, enabled=False, password="geheim-100")
    (outcome,) = platform.deliver([Delivery(1, "update", 1, "100", renamed, frozenset({"extension"}))])

    row = database.one("subscriber")
    assert (None, "200", before) == (outcome.error, outcome.remote_id, row["id"])
    assert md5("200:sip.test:geheim-100") == row["ha1"]
    assert row["username"].startswith("off:")

    platform.enable("200", renamed)

    assert "200" == database.one("subscriber")["username"]


@pytest.mark.parametrize(
    ("wanted", "kind", "reason"),
    [
        (account(200), Blocked, "there is a subscriber 200 of sip.test already"),
        (Account("a", "user", enabled=True, fields={"extension": "300"}), Rejected, "has no password"),
    ],
)
def test_a_new_number_that_cannot_be_is_refused(platform, database, wanted, kind, reason):
    remote_id = platform.add(account(100))
    platform.add(account(200, enabled=False))
    before = database.everything()
    with pytest.raises(kind, match=reason):
        platform.update(remote_id, wanted, frozenset({"extension"}))

    assert before == database.everything()


def test_whoever_is_disabled_is_found_by_the_index(platform, database):
    """The number stands behind random signs: a search for its end would read the whole table."""
    for number in (100, 101):
        platform.add(account(number, enabled=False))
    database.insert("subscriber", username="office", domain="sip.test")
    seen = []
    event.listen(platform._engine, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))

    assert "100" == platform.find(account(100))

    queries = [(statement, values) for statement, values in seen if statement.startswith("SELECT")]
    assert 2 == len(queries)
    with platform._engine.connect() as connection:
        for statement, values in queries:
            ((*_, plan),) = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            assert re.search("USING .*INDEX", plan), plan


def test_another_domain_is_neither_listed_nor_touched(platform, database):
    platform.add(account(100))
    database.insert("subscriber", username="300", domain="other.test")
    platform.delete("300")

    assert 1 == len(list(platform.list()))
    assert 2 == len(database.rows("subscriber"))


def test_columns_that_are_ours_are_refused():
    with pytest.raises(ValidationError, match="ha1: the platform writes that by itself"):
        KamailioPlatform.Options(url="sqlite:////a", domain="sip.test", columns={"ha1": "login"})
