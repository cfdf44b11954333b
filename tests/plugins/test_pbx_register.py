"""What counts is not a row in a table: a telephone registers with Kamailio, or does not."""

import pytest
from servers import sip
from servers.nodes import account, opened

from syncd import Account, Context, Delivery
from syncd.testing import RecordingLog
from syncd_pbx.kamailio import KamailioPlatform


@pytest.fixture
def node(tmp_path):
    if sip.MISSING:
        pytest.skip(sip.MISSING)
    with sip.Kamailio(tmp_path) as running:
        yield running


@pytest.fixture
def platform(node):
    options = KamailioPlatform.Options(url=f"sqlite:///{node.file}", domain=sip.DOMAIN)
    made = opened(KamailioPlatform(options, Context("sip", RecordingLog(), lambda _: "")))
    yield made
    made.close()


def test_who_is_added_registers_until_disabled_and_again_when_enabled(node, platform):
    assert not node.registers("100", "geheim-100")

    platform.add(account())
    assert node.registers("100", "geheim-100")
    assert not node.registers("100", "geheim-101")

    platform.disable("100", account(enabled=False))
    assert not node.registers("100", "geheim-100")

    platform.enable("100", account())
    assert node.registers("100", "geheim-100")

    platform.delete("100")
    assert not node.registers("100", "geheim-100")


def test_a_new_number_registers_and_the_old_one_does_not(node, platform):
    platform.add(account())
    renamed = account(200, password="geheim-100")
    list(platform.deliver([Delivery(1, "update", 1, "100", renamed, frozenset({"extension"}))]))

    assert node.registers("200", "geheim-100")
    assert not node.registers("100", "geheim-100")


def test_two_who_exchange_their_numbers_register_with_their_own_passwords(node, platform):
    for number in (100, 200):
        platform.add(account(number))
    exchange = [
        Delivery(
            was, "update", was, str(was), account(new, password=f"geheim-{was}"), frozenset({"extension"})
        )
        for was, new in ((100, 200), (200, 100))
    ]

    assert [None, None] == [outcome.error for outcome in platform.deliver(exchange)]
    assert node.registers("200", "geheim-100")
    assert node.registers("100", "geheim-200")
    assert not node.registers("100", "geheim-100")


def test_an_account_without_a_password_registers_with_none(node, platform):
    platform.add(Account("a", "user", enabled=True, fields={"extension": "100"}))

    assert not node.registers("100", "")
    assert not node.registers("100", "None")
