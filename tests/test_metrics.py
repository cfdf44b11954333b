"""The metrics: what they say, how they are written, and who can read them."""

from __future__ import annotations

import os
import socket
import sys
import threading
import urllib.request
from datetime import timedelta

import line_world
import pytest
from line_world import START, UNLIMITED, Site
from prometheus_client.parser import text_string_to_metric_families

from syncd.errors import ConfigError, StoreError, Unavailable
from syncd.pipeline import publishing
from syncd.pipeline.metrics import Counters, Family, families, text_of
from syncd.pipeline.publishing import Listener, Watch, write_textfile
from syncd.pipeline.watching import standing

quiet = line_world.quiet
PLATFORM = {"platform": {"pbx": {"type": "memory"}}}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def text(site, counters=None, **given):
    counters = counters if counters is not None else Counters()
    counters.look(site.database)
    return text_of(families(standing(site.here), counters, **given))


def samples(found):
    """Return every sample by its name and labels, as another parser reads them."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(found)
        for sample in family.samples
    }


class TestValues:
    def test_the_numbers_of_a_source(self):
        site = Site(hq={"type": "memory-delta", "schedule": {"full": "every 1h"}})
        site.hired(3)
        site.hire("new")
        site.sync()
        site.wait(hours=2)
        found = samples(text(site))

        assert START.timestamp() == found["syncd_last_success_timestamp_seconds", "hq", "full"]
        assert START.timestamp() + 3600 == found["syncd_last_success_timestamp_seconds", "hq", "incremental"]
        assert site.now.timestamp() == found["syncd_heartbeat_timestamp_seconds",]
        assert (3, 1) == (found["syncd_source_entries", "hq"], found["syncd_source_late", "hq"])
        assert (2, 0) == (found["syncd_runs_total", "hq", "ended"], found["syncd_runs_total", "hq", "failed"])
        assert (4, 0) == (
            found["syncd_operations_total", "hq", "add"],
            found["syncd_operations_total", "hq", "delete"],
        )

    def test_what_is_held_and_detained(self):
        site = Site(
            hq={"limits": {**UNLIMITED, "remove": {"count": 1, "percent": "off", "per_day": "off"}}},
            other={"detain": "first-run"},
        )
        site.hired(5)
        site.hired(2, "other")
        site.fire("p000", "p001", "p002")
        site.sync()
        found = samples(text(site))

        assert (1, 3) == (found["syncd_held_runs",], found["syncd_operations", "hq", "detained"])
        assert 0 == found["syncd_operations", "other", "failed"]

    def test_the_numbers_of_a_platform(self):
        site = Site(top=PLATFORM)
        site.hired(3)
        site.wait(minutes=10)
        found = samples(text(site))

        assert (3, 0) == (
            found["syncd_deliveries", "pbx", "pending"],
            found["syncd_deliveries", "pbx", "failed"],
        )
        assert 4200 == found["syncd_oldest_delivery_seconds", "pbx"]
        assert 0 == found["syncd_platform_breaker_open", "pbx"]

    def test_a_refused_reload(self):
        site = Site()

        assert (1, 0) == (
            samples(text(site))["syncd_config_reload_ok",],
            samples(text(site, reload_ok=False))["syncd_config_reload_ok",],
        )


class TestCounters:
    def test_they_are_the_same_for_who_saw_it_all_and_for_who_begins_now(self):
        site = Site(hq={"limits": {"remove": {"count": 1, "percent": "off", "per_day": "off"}}})
        watching = Counters()
        for step in range(12):
            if step % 4 == 3:
                site.spoiled["hq"] = unavailable
                with pytest.raises(Unavailable):
                    site.sync()
                del site.spoiled["hq"]
            else:
                site.hire(f"n{step}")
                site.world().change(f"n{max(0, step - step % 4)}", sn=f"Changed{step}")
                site.sync()
            watching.look(site.database)
            fresh = Counters()
            fresh.look(site.database)

            assert (fresh.runs, fresh.operations) == (watching.runs, watching.operations)

        assert (9, 3) == (watching.runs["hq", "ended"], watching.runs["hq", "failed"])
        assert 9 == watching.operations["hq", "add"]
        assert watching.operations["hq", "update"] > 0

    def test_a_run_counts_once_it_is_over_however_long_that_takes(self):
        site = Site(hq={"detain": "first-run"}, other={})
        counters = Counters()
        held = (site.hire("a"), site.sync())[1]
        counters.look(site.database)
        site.hired(3, "other")
        counters.look(site.database)

        assert (0, 1) == (counters.runs["hq", "ended"], counters.runs["other", "ended"])

        site.approve(held)
        counters.look(site.database)
        counters.look(site.database)

        assert (1, 1, 1) == (
            counters.runs["hq", "ended"], counters.runs["other", "ended"], counters.operations["hq", "add"],
        )  # fmt: skip

    def test_only_what_was_applied_is_counted_and_by_its_kind(self):
        site = Site(hq={"limits": {"remove": {"count": 1, "percent": "off", "per_day": "off"}}})
        site.hired(4)
        site.fire("p000", "p001")
        site.world().change("p002", sn="Changed")
        site.sync()
        counters = Counters()
        counters.look(site.database)

        assert {("hq", "add"): 4, ("hq", "update"): 1} == {
            key: n for key, n in counters.operations.items() if n
        }


class TestText:
    def test_labels_are_escaped_as_another_parser_reads_them(self):
        odd = 'a"b\\c\nd'
        written = text_of([Family("syncd_x", "gauge", "One\nline \\ more.", (({"name": odd}, 1.5), ({}, 3)))])
        (family,) = text_string_to_metric_families(written)

        assert ("syncd_x", "gauge", "One\nline \\ more.") == (family.name, family.type, family.documentation)
        assert [({"name": odd}, 1.5), ({}, 3)] == [(one.labels, one.value) for one in family.samples]

    def test_large_numbers_lose_nothing(self):
        assert "syncd_x 1767600000\n" in text_of([Family("syncd_x", "gauge", "X.", (({}, 1767600000.0),))])

    def test_no_metric_stands_twice_and_each_has_a_help(self):
        found = families(standing(Site(top=PLATFORM).here), Counters())

        assert len(found) == len({one.name for one in found})
        assert [] == [one.name for one in found if not one.help.endswith(".")]
        assert [] == [one.name for one in found if (one.kind == "counter") != one.name.endswith("_total")]


class TestFile:
    def test_everybody_may_read_it_and_nothing_else_stays(self, tmp_path):
        mask = os.umask(0o077)
        try:
            write_textfile(tmp_path / "syncd.prom", "a 1\n")
            write_textfile(tmp_path / "syncd.prom", "b 2\n")
        finally:
            os.umask(mask)

        assert (["syncd.prom"], "b 2\n") == (
            [one.name for one in tmp_path.iterdir()],
            (tmp_path / "syncd.prom").read_text(),
        )
        assert 0o644 == (tmp_path / "syncd.prom").stat().st_mode & 0o777

    def test_a_reader_never_sees_half_of_it(self, tmp_path):
        path, stop, wrong = tmp_path / "syncd.prom", threading.Event(), []
        whole = {f"{letter * 200_000}\n" for letter in "ab"}
        write_textfile(path, min(whole))

        def read():
            while not stop.is_set():
                if path.read_text() not in whole:
                    wrong.append(True)

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(200):
            write_textfile(path, sorted(whole)[number % 2])
        stop.set()
        reader.join()

        assert [] == wrong

    def test_a_link_that_lies_in_its_way_is_not_followed(self, tmp_path):
        (tmp_path / "victim").write_text("precious")
        (tmp_path / ".syncd.prom.new").symlink_to(tmp_path / "victim")
        write_textfile(tmp_path / "syncd.prom", "a 1\n")

        assert "precious" == (tmp_path / "victim").read_text()


def fetch(port, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


class TestPort:
    def test_it_says_what_the_file_says(self):
        site = Site(top=PLATFORM)
        site.hired(3)
        counters = Counters()
        counters.look(site.database)
        found = families(standing(site.here), counters)
        port = free_port()
        listener = Listener("127.0.0.1", port)
        try:
            listener.show(found)
            told = samples(fetch(port))
        finally:
            listener.stop()

        assert samples(text_of(found)) == told
        with pytest.raises(OSError):
            fetch(port)

    def test_a_port_that_is_taken_is_told_with_its_number(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(
                StoreError, match=f"metrics.listen: 127.0.0.1 port {port}: Address already in use"
            ):
                Listener("127.0.0.1", port)

    def test_a_missing_library_is_told_with_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "prometheus_client", None)

        with pytest.raises(ConfigError, match=r"syncd\[metrics\]"):
            Listener("127.0.0.1", free_port())


class TestWatch:
    def site(self, tmp_path, **metrics):
        site = Site(hq={"detain": "first-run"})
        site.hired(2)
        settings = site.settings.metrics._replace(**metrics)
        site.settings = site.settings._replace(metrics=settings)
        return site

    def test_a_look_writes_the_file_and_serves_the_port(self, tmp_path):
        port = free_port()
        site = self.site(tmp_path, textfile=tmp_path / "syncd.prom", listen=("127.0.0.1", port))
        watch = Watch(START)
        stands = watch.look(site.here)
        try:
            assert 1 == len(stands.held)
            assert samples((tmp_path / "syncd.prom").read_text()) == samples(fetch(port))
        finally:
            watch.stop()

    def test_a_scrape_never_touches_the_database(self, tmp_path):
        port = free_port()
        site = self.site(tmp_path, listen=("127.0.0.1", port))
        watch = Watch(START)
        watch.look(site.here)
        site.database.close()
        try:
            assert "syncd_held_runs 1.0" in fetch(port)
        finally:
            watch.stop()

    def test_a_reload_may_move_the_port_and_take_it_away(self, tmp_path):
        first, second = free_port(), free_port()
        site = self.site(tmp_path, listen=("127.0.0.1", first))
        watch = Watch(START)
        try:
            watch.look(site.here)
            site.settings = site.settings._replace(
                metrics=site.settings.metrics._replace(listen=("127.0.0.1", second))
            )
            watch.look(site.here)
            assert "syncd_held_runs" in fetch(second)
            with pytest.raises(OSError):
                fetch(first)
            site.settings = site.settings._replace(metrics=site.settings.metrics._replace(listen=None))
            watch.look(site.here)
            with pytest.raises(OSError):
                fetch(second)
        finally:
            watch.stop()

    def test_a_folder_that_is_not_there_is_said_once_and_stops_nothing(self, tmp_path, monkeypatch):
        said = []
        monkeypatch.setattr(publishing, "log", Log(said))
        site = self.site(tmp_path, textfile=tmp_path / "later" / "syncd.prom")
        watch = Watch(START)
        for _ in range(3):
            watch.look(site.here)
            site.wait(minutes=1)

        assert ["metrics_unpublished", "notice_told"] == [event for event, _ in said]

        (tmp_path / "later").mkdir()
        watch.look(site.here)

        assert (tmp_path / "later" / "syncd.prom").exists()

    def test_without_a_word_of_the_configuration_nothing_is_published(self, tmp_path):
        site = self.site(tmp_path)
        before = threading.active_count()
        Watch(START).look(site.here)

        assert (before, []) == (threading.active_count(), [*tmp_path.iterdir()])

    def test_what_began_before_the_service_makes_nobody_late(self):
        site = Site(hq={"schedule": {"full": "every 1h"}})
        site.hired(2)
        site.wait(days=3)

        assert () == Watch(site.now).look(site.here).connections[0].late
        assert ("full",) == Watch(START - timedelta(days=1)).look(site.here).connections[0].late


class Log:
    def __init__(self, said):
        self.said = said

    def __getattr__(self, _level):
        return lambda event, **fields: self.said.append((event, fields))


def unavailable(source):
    """Return a source that cannot be read."""

    def read(_cursor):
        raise Unavailable("nobody answers")
        yield

    source.read = read
    return source
