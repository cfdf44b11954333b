"""From the directory to the telephone: who stands in slapd can register with the node, and who left cannot."""

import re
import sqlite3
from contextlib import closing

import pytest
from cli_world import at_work
from servers.sip import Kamailio
from telephone_world import Telephony, registrar

pytest_plugins = ("servers.fixtures",)


@pytest.fixture(params=["asterisk", "kamailio"])
def kind(request):
    return request.param


@pytest.fixture
def node(kind, start_registrar):
    return start_registrar(kind)


@pytest.fixture
def office(tmp_path, monkeypatch, start_slapd, kind, node):
    """Ada is in the directory, and nobody has read it."""
    made = Telephony(tmp_path, start_slapd(), registrar("pbx", kind, node))
    made.hire("ada")
    with at_work(made, monkeypatch):
        yield made


def test_a_newcomers_telephone_registers_with_the_password_that_syncd_made(office, node):
    assert not node.registers("100", "")
    office.sync()

    number, password = office.telephone("ada")
    assert ("100", 24) == (number, len(password))
    assert node.registers(number, password)
    assert not node.registers(number, password.swapcase())


def test_a_second_sync_changes_nothing_of_it(office, node):
    office.sync()
    before = node.file.read_bytes()
    office.sync()

    assert before == node.file.read_bytes()
    assert node.registers(*office.telephone("ada"))


def test_another_password_takes_the_place_of_the_old_one(office, node):
    office.sync()
    _, old = office.telephone("ada")
    office.out("secrets", "renew", "ada", "password")

    assert node.registers(*office.telephone("ada"))
    assert not node.registers("100", old)


class TestChanges:
    def test_another_login_leaves_the_telephone_alone(self, office, node):
        office.sync()
        telephone = office.telephone("ada")
        office.rename("ada", "countess")
        office.sync()

        assert telephone == office.telephone("countess")
        assert node.registers(*telephone)

    def test_another_number_is_taken_and_the_old_one_given_up(self, office, node):
        office.sync()
        office.change("ada", "telephoneNumber", "222")
        office.sync()

        assert ("222", office.password("ada")) == office.telephone("ada")
        assert node.registers("222", office.password("ada"))
        assert not node.registers("100", office.password("ada"))


@pytest.mark.parametrize("kind", ["asterisk"], indirect=True)
def test_another_name_is_what_others_see_on_their_telephones(office, node):
    office.sync()
    assert '"Person ada" <100>' == node.shows("100")["callerid"]
    office.change("ada", "cn", "Ada Löve")
    office.sync()

    assert '"Ada Löve" <100>' == node.shows("100")["callerid"]
    assert node.registers(*office.telephone("ada"))


class TestLeavers:
    """With the defaults: missing from two complete reads and for 24 hours; deleted 30 days later."""

    @pytest.fixture
    def gone(self, office):
        """Ada was there; the first read without her is done. Returns what her telephone has."""
        office.hire("grace")
        office.sync()
        telephone = office.telephone("ada")
        office.dismiss("ada")
        office.sync()
        return telephone

    def test_a_leaver_is_refused_once_the_grace_is_over_and_forgotten_later(self, office, node, gone):
        assert node.registers(*gone)
        office.sync(hours=23)
        assert node.registers(*gone)

        office.sync(hours=2)
        assert not node.registers(*gone)
        assert node.registers(*office.telephone("grace"))
        assert 2 == numbers_on(node)

        office.sync(days=31)
        assert not node.registers(*gone)
        assert 1 == numbers_on(node)
        assert {"add": 2, "disable": 1, "delete": 1} == office.confirmed("pbx")

    def test_who_is_back_within_the_grace_was_never_away(self, office, node, gone):
        office.hire("ada")
        office.sync(hours=30)

        assert node.registers(*gone)
        assert gone == office.telephone("ada")
        assert {"add": 2} == office.confirmed("pbx")

    def test_who_is_back_after_the_disable_has_the_old_number_and_password(self, office, node, gone):
        office.sync(hours=25)
        assert not node.registers(*gone)
        office.hire("ada")
        office.sync()

        assert node.registers(*gone)
        assert gone == office.telephone("ada")
        assert {"add": 2, "disable": 1, "enable": 1} == office.confirmed("pbx")

    def test_who_is_back_after_the_delete_registers_with_what_is_shown_then(self, office, node, gone):
        office.sync(hours=25), office.sync(days=31)
        assert 1 == numbers_on(node)
        office.hire("ada")
        office.sync()

        assert node.registers(*office.telephone("ada"))
        assert node.registers(*office.telephone("grace"))
        assert 2 == numbers_on(node)

    def test_a_number_is_given_to_somebody_else_only_when_its_owner_is_off_the_node(self, office, node, gone):
        office.sync(hours=25)
        office.hire("joan")
        office.sync()
        assert "102" == office.extension("joan")

        office.sync(days=31)
        office.hire("mary")
        office.sync()
        assert "100" == office.extension("mary")
        assert node.registers(*office.telephone("mary"))
        assert not node.registers(*gone)


def numbers_on(node):
    """Return how many accounts a node has, in use or not."""
    table = "subscriber" if isinstance(node, Kamailio) else "ps_endpoints"
    with closing(sqlite3.connect(node.file)) as database:
        return database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


class TestMoves:
    """The north has an Asterisk and the south a Kamailio; who moves is added there before anything is taken away here."""

    @pytest.fixture
    def nodes(self, start_registrar):
        return {"north": start_registrar("asterisk"), "south": start_registrar("kamailio")}

    @pytest.fixture
    def company(self, tmp_path, monkeypatch, start_slapd, nodes):
        tables = [
            registrar(name, kind, nodes[name], accept=f'{{ location = "{name}" }}', timeout="1")
            for name, kind in (("north", "asterisk"), ("south", "kamailio"))
        ]
        made = Telephony(tmp_path, start_slapd(), *tables)
        made.hire("ada", place="Hamburg")
        made.hire("grace", place="Munich")
        with at_work(made, monkeypatch):
            made.sync()
            yield made

    def test_everybody_registers_where_they_are(self, company, nodes):
        ada, grace = company.telephone("ada"), company.telephone("grace")

        assert [True, False] == [nodes["north"].registers(*one) for one in (ada, grace)]
        assert [False, True] == [nodes["south"].registers(*one) for one in (ada, grace)]

    def test_who_moves_registers_there_and_not_here_any_more(self, company, nodes):
        company.change("ada", "l", "Munich")
        company.change("grace", "l", "Hamburg")
        company.sync(), company.sync(hours=1)
        ada, grace = company.telephone("ada"), company.telephone("grace")

        assert [False, True] == [nodes["north"].registers(*one) for one in (ada, grace)]
        assert [True, False] == [nodes["south"].registers(*one) for one in (ada, grace)]
        assert [1, 1] == [numbers_on(node) for node in nodes.values()]
        for account, here, there in (("ada", "north", "south"), ("grace", "south", "north")):
            added, deleted = (
                company.delivered(account, there, "add"),
                company.delivered(account, here, "delete"),
            )
            assert added.outcome < deleted.intent

    def test_who_moves_to_a_node_that_is_down_stays_until_it_is_back(self, company, nodes, tmp_path):
        nodes["south"].file.rename(tmp_path / "away")
        company.change("ada", "l", "Munich")
        company.sync(code=69)
        assert nodes["north"].registers(*company.telephone("ada"))

        (tmp_path / "away").rename(nodes["south"].file)
        company.sync(hours=1), company.sync(hours=1)
        assert nodes["south"].registers(*company.telephone("ada"))
        assert not nodes["north"].registers(*company.telephone("ada"))

    @pytest.mark.parametrize("for_ever", [False, True])
    def test_a_number_of_a_node_that_is_down_is_nobodys_on_another_one(
        self, company, nodes, tmp_path, for_ever
    ):
        """It goes on by itself once the node is back, or is not configured any more."""
        ada, grace = company.telephone("ada"), company.telephone("grace")
        nodes["north"].file.rename(tmp_path / "away")
        company.change("ada", "telephoneNumber", "222")
        company.change("grace", "telephoneNumber", ada[0])
        company.sync(code=69)
        assert nodes["south"].registers(*grace)
        assert not nodes["south"].registers(ada[0], grace[1])
        (late,) = company.json("deliveries", "list", "--platform", "south")["deliveries"]
        number = company.json("accounts", "show", "ada")["account"]
        why = f"waits: account {number} has yet to give up extension {ada[0]!r} on platform north"
        assert ("waiting", why) == (late["state"], late["message"])

        if for_ever:
            tables = re.split(r"^(?=\[)", company.config.read_text("utf-8"), flags=re.MULTILINE)
            left = "".join(one for one in tables if not one.startswith("[platform.north]"))
            company.config.write_text(left, "utf-8")
        else:
            (tmp_path / "away").rename(nodes["north"].file)
        company.sync(hours=1)
        assert nodes["south"].registers(ada[0], grace[1])
        assert not nodes["south"].registers(*grace)
        if not for_ever:
            assert nodes["north"].registers("222", ada[1])
            assert not nodes["north"].registers(*ada)
