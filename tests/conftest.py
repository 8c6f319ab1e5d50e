"""Shared fixtures: where the development media lie, if they are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.cli_run import run  # noqa: F401 - a fixture

# A loaded machine is no finding: examples may take as long as they like.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _operator_key(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account's own signing key stays out of tests."""
    path = tmp_path_factory.getbasetemp() / "operator" / "audit.key"
    monkeypatch.setattr("streamer.cli.auditing.operator_key_path", lambda: path)


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the development media are not beside the repository")
    return SHARED
