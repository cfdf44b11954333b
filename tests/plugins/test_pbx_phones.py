"""The platform ``asterisk``: soft phones, mobile twinning, what a role's template says, and what refers to a number."""

from dataclasses import replace

import pytest
from servers.nodes import account, asterisk, kamailio, opened, sqlite_database

from syncd import Blocked, Delivery, Denied, Rejected

STATUS = {"table": "dynamic_status", "column": "make_call_from", "what": "dynamic status", "label": "title"}
CONTACT = {"table": "ps_contacts", "column": "endpoint", "what": "logged-in telephone"}


@pytest.fixture
def database(tmp_path):
    return sqlite_database(tmp_path / "node.sqlite")


@pytest.fixture
def platform(database):
    made = opened(asterisk(database, softphone={"context": "soft"}, twinning={"context": "outbound"}))
    yield made
    made.close()


def delivered(platform, *deliveries):
    """Return the remote ids, or the kinds of the errors."""
    outcomes = platform.deliver(deliveries)
    return [type(one.error) if one.error else one.remote_id for one in outcomes]


def renamed(number, account, *changed):
    return Delivery(number, "update", number, str(number), account, frozenset({"extension", *changed}))


def soft(number=100, softphone="500", **fields):
    return account(number, softphone=softphone, softphone_password="also-secret", **fields)


def test_a_soft_phone_is_an_endpoint_of_its_own_with_the_name_and_mailbox_of_the_desk_phone(
    platform, database
):
    assert "100" == platform.add(soft(mailbox="100"))

    desk, endpoint = (database.one("ps_endpoints", id=number) for number in ("100", "500"))
    assert ("500", "100-soft", "soft", "internal") == (
        endpoint["aors"], endpoint["auth"], endpoint["context"], desk["context"]
    )  # fmt: skip
    for column in ("callerid", "mailboxes", "accountcode", "allow"):
        assert desk[column] == endpoint[column]
    login = database.one("ps_auths", id="100-soft")
    assert ("500", "also-secret") == (login["username"], login["password"])
    assert ["100", "500"] == sorted(row["id"] for row in database.rows("ps_aors"))


def test_a_soft_phone_has_the_password_of_the_desk_phone_unless_the_map_says_otherwise(platform):
    assert "password" == platform.fields["softphone_password"].attribute
    assert platform.fields["softphone_password"].secret


def test_a_soft_phone_comes_moves_and_goes_with_its_number(platform, database):
    platform.add(account())
    before = database.everything()
    platform.update("100", soft(), frozenset({"softphone"}))

    assert "also-secret" == database.one("ps_auths", id="100-soft")["password"]

    platform.update("100", soft(softphone="501", name="Anna"), frozenset({"softphone", "name"}))

    assert ['"Anna" <100>', '"Anna" <100>'] == [row["callerid"] for row in database.rows("ps_endpoints")]
    assert ("501", "501") == (
        database.one("ps_auths", id="100-soft")["username"], database.one("ps_endpoints", id="501")["aors"]
    )  # fmt: skip

    platform.update("100", account(), frozenset({"softphone", "name"}))

    assert before == database.everything()


def test_the_soft_phone_of_a_leaver_is_cut_off_with_the_desk_phone(platform, database):
    platform.add(soft())
    before = database.everything()
    platform.disable("100", replace(soft(), enabled=False))

    assert ["off:", "off:"] == [row["username"][:4] for row in database.rows("ps_auths")]
    assert ["off:", "off:"] == [row["aors"][:4] for row in database.rows("ps_endpoints")]

    platform.enable("100", soft())

    assert before == database.everything()


def test_a_soft_phone_that_a_leaver_still_gets_cannot_log_in(platform, database):
    platform.add(account(enabled=False))
    platform.update("100", replace(soft(), enabled=False), frozenset({"softphone"}))

    assert ["off:", "off:"] == [row["username"][:4] for row in database.rows("ps_auths")]


def test_a_new_number_keeps_the_soft_phone_and_a_deletion_takes_it_away(platform, database):
    empty = database.everything()
    platform.add(soft())
    platform.update("100", soft(200), frozenset({"extension"}))

    assert ("200-soft", "200-soft") == (
        database.one("ps_endpoints", id="500")["auth"], database.one("ps_auths", username="500")["id"]
    )  # fmt: skip
    assert {"200": platform.fingerprint(soft(200))} == dict(platform.list())

    platform.delete("200")

    assert empty == database.everything()


def test_an_endpoint_that_is_there_is_not_taken_over_as_a_soft_phone(platform, database):
    platform.add(account(500))
    with pytest.raises(Blocked, match="500 cannot be the soft phone of 100") as refusal:
        platform.add(soft())

    assert ("ps_endpoints 500",) == refusal.value.references
    assert platform.find(soft()) is None

    with pytest.raises(Rejected, match="a number of its own"):
        platform.add(soft(softphone="100"))


@pytest.mark.parametrize("other", ["500", "100"])
def test_a_desk_phone_that_wants_the_number_of_its_own_soft_phone_does_not_wait_for_ever(
    platform, database, other
):
    platform.add(soft())
    before = database.everything()
    with pytest.raises(Rejected, match="500 is the soft phone of 100 itself; give that another number first"):
        platform.update("100", soft(500, softphone=other), frozenset({"extension", "softphone"}))

    assert before == database.everything()


@pytest.mark.parametrize("other", ["501", None])
def test_a_desk_phone_gets_the_number_that_its_own_soft_phone_gives_up(platform, database, other):
    platform.add(soft())
    platform.add(soft(200, softphone="600"))
    wanted = {
        number: account(number + 400, password=f"geheim-{number}")
        if other is None
        else soft(number + 400, softphone=str(number + 401), password=f"geheim-{number}")
        for number in (100, 200)
    }
    batch = [renamed(number, one, "softphone") for number, one in wanted.items()]

    assert ["500", "600"] == delivered(platform, *batch)
    assert {one.fields["extension"]: platform.fingerprint(one) for one in wanted.values()} == dict(
        platform.list()
    )
    assert "geheim-100" == database.one("ps_auths", id="500")["password"]
    assert len(database.rows("ps_endpoints")) == len(database.rows("ps_aors")) == (2 if other is None else 4)


def test_the_soft_phone_of_somebody_is_not_adopted_as_a_desk_phone(platform, database):
    platform.add(soft())
    before = database.everything()

    assert platform.find(account(500)) is None
    with pytest.raises(Blocked, match="500 cannot be adopted: it is the soft phone of 100") as refusal:
        platform.add(account(500))

    assert ("endpoint 100",) == refusal.value.references
    assert before == database.everything()


def test_a_leaver_is_cut_off_and_deleted_even_if_somebody_has_deleted_the_soft_phone_by_hand(
    platform, database
):
    empty = database.everything()
    platform.add(soft())
    whole = dict(platform.list())
    database.run("DELETE FROM ps_endpoints WHERE id = '500'")
    platform.disable("100", replace(soft(), enabled=False))

    assert "off:" == database.one("ps_auths", id="100")["username"][:4]
    assert "off:" == database.one("ps_endpoints")["aors"][:4]

    platform.enable("100", soft())

    assert whole.keys() == dict(platform.list()).keys()
    assert whole != dict(platform.list())

    platform.update("100", soft(), frozenset(platform.fields))

    assert whole == dict(platform.list())

    database.run("DELETE FROM ps_endpoints WHERE id = '500'")
    database.run("DELETE FROM ps_aors WHERE id = '500'")
    platform.delete("100")

    assert empty == database.everything()


@pytest.mark.parametrize("work", ["disable", "delete"])
def test_a_soft_phone_is_known_by_its_auth_and_not_by_what_somebody_writes_into_that(
    platform, database, work
):
    platform.add(account(300))
    before = database.everything()
    platform.add(soft())
    database.run("UPDATE ps_auths SET username = '300' WHERE id = '100-soft'")
    if work == "delete":
        platform.delete("100")

        assert before == database.everything()
    else:
        platform.disable("100", replace(soft(), enabled=False))
        off = {row["id"] for row in database.rows("ps_endpoints") if row["aors"].startswith("off:")}

        assert {"100", "500"} == off
        assert "off:" == database.one("ps_auths", id="100-soft")["username"][:4]
        assert "300" == database.one("ps_auths", id="300")["username"]


@pytest.mark.parametrize(
    "by_hand",
    [
        "UPDATE ps_endpoints SET callerid = 'Boss <1>' WHERE id = '500'",
        "UPDATE ps_endpoints SET accountcode = '007' WHERE id = '500'",
        "UPDATE ps_auths SET username = '500' WHERE id = '100-soft'",
    ],
)
def test_what_somebody_changes_of_a_soft_phone_is_seen_and_repaired(platform, database, by_hand):
    leaver = replace(soft(department="sales"), enabled=False)
    platform.add(leaver)
    platform.disable("100", leaver)
    expected = {"100": platform.fingerprint(leaver)}

    assert expected == dict(platform.list())

    database.run(by_hand)

    assert expected != dict(platform.list())

    (outcome,) = platform.deliver(
        [Delivery(1, "disable", 1, "100", leaver, frozenset(platform.fields) | frozenset(leaver.fields))]
    )

    assert outcome.error is None
    assert expected == dict(platform.list())


def test_a_mobile_that_rings_along_is_the_first_number_of_follow_me(platform, database):
    platform.add(account(twinning="+491701234567"))
    database.insert("followme_numbers", name="100", ordinal=2, phonenumber="0301234", timeout=9)

    (number, by_hand) = database.rows("followme_numbers")
    assert ("100", 1, "+491701234567", 20) == tuple(number.values())
    assert "outbound" == database.one("followme", name="100")["context"]

    platform.update("100", account(200, twinning="+49170"), frozenset({"extension", "twinning"}))

    numbers = database.rows("followme_numbers")
    assert [("200", "+49170"), ("200", "0301234")] == [(one["name"], one["phonenumber"]) for one in numbers]
    assert {"200": platform.fingerprint(account(200, twinning="+49170"))} == dict(platform.list())

    platform.disable("200", account(200, twinning="+49170", enabled=False))

    assert [{**by_hand, "name": "200"}] == database.rows("followme_numbers")

    platform.enable("200", account(200, twinning="+49170"))

    assert 2 == len(database.rows("followme_numbers"))

    platform.delete("200")

    assert [] == database.rows("followme_numbers") + database.rows("followme")


def test_without_the_options_there_is_neither_a_soft_phone_nor_twinning(database):
    platform = opened(asterisk(database))
    database.run("DROP TABLE followme")
    platform.add(account())

    assert not {"softphone", "softphone_password", "twinning"} & platform.fields.keys()
    assert 1 == len(database.rows("ps_endpoints"))


def test_a_soft_phone_goes_with_its_account_even_if_no_more_are_made(platform, database):
    empty = database.everything()
    platform.add(soft(mailbox="100"))
    later = opened(asterisk(database, twinning={}))
    later.disable("100", account(mailbox="100", enabled=False))

    assert {"off:"} == {row["username"][:4] for row in database.rows("ps_auths")}
    assert {"off:"} == {row["aors"][:4] for row in database.rows("ps_endpoints")}

    later.delete("100")

    assert empty == database.everything()
    later.close()


@pytest.mark.parametrize("make", [asterisk, kamailio])
def test_a_leaver_whom_another_map_has_left_without_a_number_is_cut_off(database, make):
    platform = opened(make(database))
    platform.add(account(100))
    bare = replace(account(100), enabled=False, fields={"name": "Ann"})
    (outcome,) = platform.deliver([Delivery(1, "disable", 1, "100", bare, frozenset(platform.fields))])

    assert isinstance(outcome.error, Rejected)
    assert "field extension has no number" in str(outcome.error)
    (login,) = database.rows("ps_auths") + database.rows("subscriber")
    assert "off:" == login["username"][:4]
    platform.close()


def test_the_context_of_the_account_comes_before_that_of_the_platform(database):
    platform = opened(asterisk(database, columns={"context": "context"}))
    platform.add(account(100, context="managers"))
    platform.add(account(101))

    assert ["managers", "internal"] == [row["context"] for row in database.rows("ps_endpoints")]
    assert {
        "100": platform.fingerprint(account(100, context="managers")),
        "101": platform.fingerprint(account(101)),
    } == dict(platform.list())

    platform.update("100", account(100), frozenset({"context"}))

    assert "internal" == database.one("ps_endpoints", id="100")["context"]


def test_every_reference_is_named(database):
    platform = opened(asterisk(database, references=[STATUS, CONTACT]))
    platform.add(account(mailbox="100"))
    database.insert("dynamic_status", id=7, title="Anna: at home", make_call_from=100)
    database.insert("ps_contacts", id="100;@x", endpoint="100")
    for queue in ("sales", "support"):
        database.insert("queue_members", queue_name=queue, interface="PJSIP/100", uniqueid=queue)
    database.insert("ps_endpoints", id="secretary", aors="s", mailboxes="100@default")
    before = database.everything()
    references = (
        *("queue sales", "queue support", "dynamic status Anna: at home", "logged-in telephone 100;@x"),
        "endpoint secretary",
    )
    for work in (
        lambda: platform.delete("100"),
        lambda: platform.update("100", account(200, mailbox="100"), frozenset({"extension"})),
    ):
        with pytest.raises(Blocked) as refusal:
            work()

        assert references == refusal.value.references
        assert before == database.everything()

    platform.disable("100", account(mailbox="100", enabled=False))

    assert "off:" == database.one("ps_auths")["username"][:4]


@pytest.mark.parametrize("together", [False, True])
def test_nobody_is_given_a_mailbox_that_is_called_like_the_telephone_of_somebody_else(
    platform, database, together
):
    adds = [Delivery(one, "add", one, None, account(one, mailbox=str(one))) for one in (100, 200)]
    taken = Delivery(3, "update", 3, "200", account(200, mailbox="100"), frozenset({"mailbox"}))

    if together:
        assert ["100", "200", Blocked] == delivered(platform, *adds, taken)
    else:
        assert ["100", "200"] == delivered(platform, *adds)
        assert [Blocked] == delivered(platform, taken)

    assert ["100", "200"] == sorted(row["mailbox"] for row in database.rows("voicemail"))
    assert "200@default" == database.one("ps_endpoints", id="200")["mailboxes"]


def test_a_mailbox_of_somebody_else_keeps_its_number(platform, database):
    platform.add(account(100))
    platform.add(account(300, mailbox="100"))
    with pytest.raises(Blocked) as refusal:
        platform.delete("100")

    assert ("endpoint 300",) == refusal.value.references


@pytest.mark.parametrize("had", [{}, {"mailbox": "101", "pin": "2222"}])
def test_a_mailbox_that_another_telephone_has_is_not_taken_over(platform, database, had):
    platform.add(account(100, mailbox="100", pin="1111"))
    platform.add(account(101, **had))
    before = database.everything()
    with pytest.raises(Blocked, match="mailbox 100 is still used by endpoint 100") as refusal:
        platform.update("101", account(101, mailbox="100", pin="2222"), frozenset({"mailbox", "pin"}))

    assert ("endpoint 100",) == refusal.value.references
    assert before == database.everything()

    platform.delete("100")
    platform.update("101", account(101, mailbox="100", pin="2222"), frozenset({"mailbox", "pin"}))

    assert "2222" == database.one("voicemail")["password"]


def test_subscribers_are_kept_by_references_too(database):
    platform = opened(kamailio(database, references=[STATUS]))
    platform.add(account(100))
    database.insert("dynamic_status", id=7, title="at home", make_call_from=100)
    for work in (
        lambda: platform.delete("100"),
        lambda: platform.update("100", account(200), frozenset({"extension"})),
    ):
        with pytest.raises(Blocked, match="100 is still used by dynamic status at home"):
            work()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"table": "dynamic_state"}, "the database has no table dynamic_state"),
        ({"column": "number"}, "the table dynamic_status has no column number"),
        ({"label": "name"}, "the table dynamic_status has no column name"),
    ],
)
def test_references_that_cannot_be_looked_at_are_refused_when_it_is_opened(database, changed, message):
    with pytest.raises(Denied, match=message):
        opened(asterisk(database, references=[{**STATUS, **changed}]))


def test_two_who_exchange_their_numbers_keep_all_that_is_theirs(platform, database):
    for number in (100, 200):
        platform.add(soft(number, softphone=str(number + 1), mailbox=str(number), twinning=f"0{number}"))
        database.run(f"UPDATE ps_endpoints SET context = 'of {number}' WHERE id = '{number}'")
    boxes = {row["mailbox"]: row["uniqueid"] for row in database.rows("voicemail")}
    changes = ("softphone", "mailbox", "twinning")
    one = soft(200, softphone="201", mailbox="200", twinning="0100")
    other = soft(100, softphone="101", mailbox="100", twinning="0200")
    answers = delivered(platform, renamed(100, one, *changes), renamed(200, other, *changes))

    assert ["200", "100"] == answers
    for number, was in ((100, 200), (200, 100)):
        endpoint = database.one("ps_endpoints", id=str(number))
        assert (f"of {was}", f"{number}@default") == (endpoint["context"], endpoint["mailboxes"])
        assert f"geheim-{was}" == database.one("ps_auths", id=str(number))["password"]
        assert str(number + 1) == database.one("ps_auths", id=f"{number}-soft")["username"]
        assert boxes[str(was)] == database.one("voicemail", mailbox=str(number))["uniqueid"]
        assert f"0{was}" == database.one("followme_numbers", name=str(number))["phonenumber"]
    expected = {"200": platform.fingerprint(one), "100": platform.fingerprint(other)}
    assert expected == dict(platform.list())


def test_an_exchange_whose_outcome_was_lost_is_done_once_more(platform, database):
    """Both are looked up by their old numbers, which the other one has by now, and all is told anew."""
    for number in (100, 200):
        platform.add(soft(number, softphone=str(number + 1), mailbox=str(number)))
    wanted = {
        number: soft(new, softphone=str(new + 1), mailbox=str(new), password=f"geheim-{number}")
        for number, new in ((100, 200), (200, 100))
    }
    first = [renamed(number, one, "softphone", "mailbox") for number, one in wanted.items()]
    everything = frozenset(platform.fields)
    again = [
        Delivery(number, "enable", number, str(number), one, everything) for number, one in wanted.items()
    ]

    assert ["200", "100"] == delivered(platform, *first)
    assert ["200", "100"] == delivered(platform, *again)
    assert {one.fields["extension"]: platform.fingerprint(one) for one in wanted.values()} == dict(
        platform.list()
    )
    for was, new in (("100", "200"), ("200", "100")):
        assert f"geheim-{was}" == database.one("ps_auths", id=new)["password"]


def test_mailboxes_and_soft_phones_alone_can_be_exchanged(platform, database):
    for number in (100, 200):
        platform.add(soft(number, softphone=str(number + 1), mailbox=str(number)))
    swapped = {
        number: Delivery(number, "update", number, str(number), account, frozenset({"mailbox", "softphone"}))
        for number, account in (
            (100, soft(100, softphone="201", mailbox="200")),
            (200, soft(200, softphone="101", mailbox="100")),
        )
    }

    assert ["100", "200"] == delivered(platform, *swapped.values())
    assert {str(one.id): platform.fingerprint(one.account) for one in swapped.values()} == dict(
        platform.list()
    )


@pytest.mark.parametrize("make", [asterisk, kamailio])
def test_a_circle_and_a_chain_are_done_in_one_batch_whatever_their_order(database, make):
    platform = opened(make(database))
    for number in (100, 101, 102, 200, 201):
        platform.add(account(number, enabled=number != 101))
    moves = {100: 101, 101: 102, 102: 100, 200: 201, 201: 202}
    accounts = {was: account(new, enabled=was != 101, password=f"geheim-{was}") for was, new in moves.items()}
    answers = delivered(platform, *(renamed(was, accounts[was]) for was in moves))

    assert [str(new) for new in moves.values()] == answers
    assert {str(moves[was]): platform.fingerprint(one) for was, one in accounts.items()} == dict(
        platform.list()
    )


@pytest.mark.parametrize("make", [asterisk, kamailio])
def test_of_an_exchange_all_is_done_or_nothing(database, make):
    platform = opened(make(database, references=[STATUS]))
    for number in (100, 200, 300):
        platform.add(account(number))
    database.insert("dynamic_status", id=7, title="at home", make_call_from=200)
    before = database.everything()
    batch = [renamed(100, account(200)), renamed(200, account(100)), renamed(300, account(301))]
    one, other, third = platform.deliver(batch)

    assert (Blocked, Blocked, "301") == (type(one.error), type(other.error), third.remote_id)
    assert ("dynamic status at home",) == one.error.references == other.error.references
    assert before != database.everything()

    platform.update("301", account(300), frozenset({"extension"}))

    assert before == database.everything()

    database.run("DELETE FROM dynamic_status")

    assert ["200", "100"] == delivered(platform, *batch[:2])


def test_what_the_database_refuses_is_found_among_a_thousand(platform, database):
    database.run(
        "CREATE TRIGGER no BEFORE INSERT ON ps_auths WHEN NEW.id IN ('1300', '1301')"
        " BEGIN SELECT RAISE(ABORT, 'not today'); END"
    )
    batch = [Delivery(number, "add", number, None, account(1000 + number)) for number in range(600)]
    outcomes = list(platform.deliver(batch))

    assert [*range(600)] == [one.id for one in outcomes]
    assert {300, 301} == {one.id for one in outcomes if one.error is not None}
    assert all("not today" in str(one.error) for one in outcomes if one.error is not None)
    for table in ("ps_endpoints", "ps_auths", "ps_aors"):
        assert 598 == len(database.rows(table))
