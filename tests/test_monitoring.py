"""The alert rules, the dashboard and docs/monitoring.md speak of the metrics and notices that there are, and of all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import line_world
import pytest
import yaml
from line_world import Site

from syncd.cli import root
from syncd.pipeline.metrics import Counters, families
from syncd.pipeline.troubles import ENDS
from syncd.pipeline.watching import standing

quiet = line_world.quiet
ROOT = Path(__file__).parent.parent
RULES = ROOT / "etc" / "prometheus" / "syncd.rules.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "syncd.json"
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
METRIC = re.compile(r"\bsyncd_[a-z_]+")


def rows(heading):
    """Return the rows of the first table below a heading, cell by cell."""
    _, _, rest = PAGE.partition(f"\n{heading}\n")
    found = re.split(r"\n#", rest)[0].split("\n\n")
    (table, *_) = [part for part in found if part.lstrip().startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]


@pytest.fixture(scope="module")
def written():
    """Every metric by its name, of a site that has a source, a platform and licences."""
    site = Site(top={"platform": {"pbx": {"type": "memory"}}, "licence": {"voicemail": {"count": 9}}})
    site.hired(2)
    counters = Counters()
    counters.look(site.database)
    return {one.name: one for one in families(standing(site.here), counters)}


def alerts():
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return group["rules"]


def expressions():
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    yield from (rule["expr"] for rule in alerts())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])


class TestMetrics:
    def test_every_metric_is_documented_with_its_labels_and_in_this_order(self, written):
        documented = [
            (cells[0].strip("`"), set(re.findall("`([a-z]+)`", cells[1])))
            for cells in rows("### The metrics")
        ]

        assert [(name, set(one.samples[0][0])) for name, one in written.items()] == documented

    def test_rules_and_dashboard_use_metrics_that_there_are_with_labels_that_they_have(self, written):
        for text in expressions():
            for name, labels in re.findall(r"\b(syncd_[a-z_]+)(\{[^}]*\})?", text):
                used = set(re.findall(r"([a-z]+)=", labels)) - {"instance"}
                assert name in written, text
                assert used <= set(written[name].samples[0][0]), text

    def test_a_label_that_is_asked_for_can_have_that_value(self, written):
        for text in expressions():
            for name, labels in re.findall(r"\b(syncd_[a-z_]+)(\{[^}]*\})", text):
                for label, values in re.findall(r'(state|kind|outcome|mode)=~?"([^"]+)"', labels):
                    there = {one[label] for one, _ in written[name].samples}
                    assert set(values.split("|")) <= there, text

    def test_every_metric_is_on_the_dashboard(self, written):
        text = DASHBOARD.read_text("utf-8")

        assert [] == [name for name in written if name not in text]


class TestAlerts:
    def test_every_alert_is_documented_with_its_severity(self):
        documented = [(cells[0].strip("`"), cells[1]) for cells in rows("### Alert rules and dashboard")]

        assert [(rule["alert"], rule["labels"]["severity"]) for rule in alerts()] == documented

    def test_every_alert_says_how_to_begin_with_a_command_that_there_is(self):
        context = click.Context(root)
        for rule in alerts():
            told = rule["annotations"]["description"]
            found = re.findall(r"\bsyncd ([a-z]+)", told.replace("systemctl status syncd", ""))

            assert "Begin with: " in told, rule["alert"]
            assert all(root.get_command(context, verb) for verb in found), rule["alert"]

    @pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
    @pytest.mark.parametrize(
        "words",
        [("check", "rules", str(RULES)), ("test", "rules", str(ROOT / "tests" / "syncd.rules.test.yml"))],
    )
    def test_prometheus_itself_takes_them_and_they_fire_when_they_should(self, words):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)

        assert 0 == done.returncode, done.stdout + done.stderr


class TestDashboard:
    def test_its_panels_do_not_overlap_and_each_has_a_number_of_its_own(self):
        panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
        places = [
            (x, y)
            for one in panels
            for x in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
            for y in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])
        ]

        assert len(places) == len(set(places))
        assert max(x for x, _ in places) < 24
        assert len(panels) == len({one["id"] for one in panels})


class TestNotices:
    def test_every_notice_is_documented_with_how_it_ends(self):
        documented = {cells[0].strip("`"): cells[3].strip("`") for cells in rows("## Notices")}

        assert ENDS == documented

    def test_the_page_names_no_metric_that_there_is_not(self, written):
        assert set() == set(METRIC.findall(PAGE.replace("syncd_mail", ""))) - set(written)
