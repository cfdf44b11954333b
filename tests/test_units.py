"""The units: systemd finds nothing to say against them, and they give the service little to do harm with."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNITS = ROOT / "systemd"
SERVICES = ["syncd.service", "syncd-sync@.service"]

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed (Debian's package systemd)"
)


@pytest.fixture
def units(tmp_path):
    """The units as they are shipped, but that they start a program that is there."""
    for unit in UNITS.glob("*.*"):
        text = unit.read_text("utf-8").replace("/usr/bin/syncd", sys.executable)
        (tmp_path / unit.name).write_text(text, "utf-8")
    (tmp_path / "syncd-sync@hq.service").symlink_to("syncd-sync@.service")
    return tmp_path


@needs_systemd
@pytest.mark.parametrize(
    "unit", ["syncd.service", "syncd.socket", "syncd-sync@hq.service", "syncd-sync@.timer"]
)
def test_systemd_has_nothing_to_say_against_a_unit(units, unit):
    """An unknown key is only a warning for it, so that what it writes counts."""
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"./{unit}"],
        cwd=units,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in found.stderr.splitlines() if "syncd" in line]

    assert [] == ours
    assert 0 == found.returncode, found.stderr


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_exposed_by_no_more_than_1_3(unit):
    found = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=13", UNITS / unit],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 0 == found.returncode, found.stdout


def hardening(unit):
    """The settings from ProtectSystem= on, which fence the service in."""
    text = (UNITS / unit).read_text("utf-8")
    text = text[text.index("\nProtectSystem=") :].partition("\n[Install]")[0]
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_both_services_are_fenced_in_alike():
    assert hardening("syncd.service") == hardening("syncd-sync@.service")


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_not_restarted_where_only_a_person_can_help(unit):
    text = (UNITS / unit).read_text("utf-8")
    prevented = re.search(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)

    assert {"64", "65", "78"} <= set(prevented[1].split())
    assert "75" not in prevented[1].split()
