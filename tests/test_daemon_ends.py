"""The service is ended at any moment, politely and not, and taken up again; in the end nobody can tell."""

from __future__ import annotations

import json
import random
import signal
import threading
import time

import pytest
from chances import chance_seed
from doomed_site import DoomedSite, differences, picture
from victims import Nursery

RACES = 100
CHAINS, ENDS = 20, 10
"""So many times, the service is ended so often before it is left to finish."""


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = Nursery(tmp_path_factory.mktemp("nursery") / "output")
    yield made
    made.close()


@pytest.fixture
def rival(tmp_path):
    made = Nursery(tmp_path / "rival")
    yield made
    made.close()


def scheduled(folder, nursery) -> DoomedSite:
    """A site that was never read, so that a service reads it as soon as it has begun."""
    site = DoomedSite(folder, nursery)
    for type_ in ("ldif", "csv"):
        site.configure(
            f'type = "{type_}"\npath = "{site.folder}/in',
            f'type = "{type_}"\nschedule = {{ full = "daily at 02:30" }}\npath = "{site.folder}/in',
        )
    site.keep()
    return site


def serve(site: DoomedSite, *signals: tuple[float, int]):
    """Let a service live at the site's time, which stands still for it."""
    return site.nursery.live(["--config", str(site.config), "daemon"], site.now, signals=signals)


@pytest.mark.parametrize("chain", range(CHAINS))
def test_a_service_that_is_ended_ten_times_does_in_the_end_what_one_sync_does(tmp_path, nursery, chain):
    site = scheduled(tmp_path, nursery)
    site.run("sync")
    expected = picture(site)
    site.back()
    chance = random.Random(chance_seed() + chain)
    for _ in range(ENDS):
        begun = time.monotonic()
        life = serve(site, (chance.uniform(0.0, 0.35), signal.SIGTERM))
        assert life.code in (0, -signal.SIGTERM), life.output  # the latter before it listens to signals
        assert time.monotonic() - begun < 30
    site.run("sync")
    assert "" == differences(expected, picture(site))


def test_a_service_that_is_killed_ten_times_does_in_the_end_what_one_sync_does(tmp_path, nursery):
    site = scheduled(tmp_path, nursery)
    site.run("sync")
    expected = picture(site)
    site.back()
    chance = random.Random(chance_seed())
    for _ in range(ENDS):
        life = serve(site, (chance.uniform(0.02, 0.35), signal.SIGKILL))
        assert life.killed
    site.run("sync")
    assert "" == differences(expected, picture(site))


def test_a_service_that_is_left_alone_does_what_one_sync_does(tmp_path, nursery):
    site = scheduled(tmp_path, nursery)
    site.run("sync")
    expected = picture(site)
    site.back()
    life = serve(site, (5.0, signal.SIGTERM))
    assert 0 == life.code, life.output
    assert "service_ended" in life.output
    assert "" == differences(expected, picture(site))
    assert ["hq", "branch"] == [name for (name,) in site.rows(
        "SELECT c.name FROM schedules s JOIN connections c ON c.id = s.connection"
        " JOIN runs r ON r.id = s.run WHERE r.state = 'ended' AND r.actor = 'daemon' ORDER BY s.started_at, c.id"
    )]  # fmt: skip


def test_a_thousand_reloads_change_nothing(tmp_path, nursery):
    site = scheduled(tmp_path, nursery)
    site.run("sync")
    expected = picture(site)
    site.back()
    reloads = [(1.0 + number * 0.003, signal.SIGHUP) for number in range(1000)]
    life = serve(site, *reloads, (5.0, signal.SIGTERM))
    assert 0 == life.code, life.output
    assert life.output.count("configuration_reloaded") > 20  # those that came together are one
    assert "" == differences(expected, picture(site))


def test_a_configuration_that_cannot_be_used_is_refused_and_the_old_one_stays(tmp_path, nursery):
    site = scheduled(tmp_path, nursery)
    good = site.config.read_text("utf-8")
    timer = threading.Timer(1.0, site.config.write_text, ("nonsense = 1\n" + good, "utf-8"))
    timer.start()
    life = serve(site, (2.0, signal.SIGHUP), (3.0, signal.SIGTERM))
    assert 0 == life.code, life.output
    assert "reload_refused" in life.output
    assert "nonsense" in life.output


def span(output: str) -> tuple[str, str]:
    """Return from when to when a service was one."""
    said = {one["event"]: one["timestamp"] for one in map(json.loads, output.splitlines())}
    return said["service_started"], said["service_ended"]


def test_of_two_services_one_works_and_the_other_says_so_at_once(tmp_path, nursery, rival):
    site = scheduled(tmp_path, nursery)
    contested = 0
    for _ in range(RACES):
        lives = []
        words = ["--config", str(site.config), "daemon"]

        def compete(nursery: Nursery = nursery, lives: list = lives, words: list = words) -> None:
            begun = time.monotonic()
            life = nursery.live(words, site.now, signals=[(0.4, signal.SIGTERM)])
            lives.append((life.code, life.output, time.monotonic() - begun))

        threads = [threading.Thread(target=compete, args=(one,)) for one in (nursery, rival)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        (other, first, _), (code, second, seconds) = sorted(lives)
        if other == -signal.SIGTERM:  # it was asked to end before it listened
            continue
        if code == 0:  # on a busy machine one may have ended before the other began
            earlier, later = sorted([span(first), span(second)])
            assert earlier[1] < later[0], lives
            continue
        contested += 1
        assert 75 == code, lives
        assert seconds < 10
        assert "in use by process" in second
    assert contested > RACES / 2
