"""The files under deploy/: what can be checked without installing them anywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from streamer.site import load_site

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"


def test_the_example_site_is_valid() -> None:
    site = load_site(DEPLOY / "site.example.yaml")
    assert list(site.cameras) == ["yard"]
    yard = site.cameras["yard"].config
    assert yard.output.segment_s == 600
    assert yard.rules.zones


def test_the_image_copies_what_is_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copies = [line.split()[1:-1] for line in lines if re.match(r"COPY (?!--from)", line)]
    assert copies
    for source in (one for names in copies for one in names):
        assert (ROOT / source).exists(), source


def test_compose_names_its_secrets_and_files() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["veilstream"]
    assert set(service["secrets"]) == set(compose["secrets"])
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "veilstream.service").read_text(encoding="utf-8")
    assert "Type=notify" in unit
    assert "WatchdogSec=" in unit
    copy = tmp_path / "veilstream.service"
    # The program is not installed there on this machine.
    copy.write_text(re.sub(r"/opt/veilstream/venv/bin/veilstream", "/bin/true", unit), "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],  # noqa: S607 - the system's own
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "veilstream.service" not in done.stderr, done.stderr
