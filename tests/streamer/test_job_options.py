"""From the configuration to the options of each stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.config import AppConfig, load_config
from streamer.job_options import sink_options


@pytest.mark.parametrize("is_kept", [False, True])
def test_header_texts_are_kept_only_when_asked_for(is_kept: bool) -> None:
    config = AppConfig.model_validate({"video": {"keep_metadata": is_kept}})
    assert sink_options(config, overwrite=False).keep_metadata is is_kept


def test_the_preset_is_the_sinks_own_unless_named() -> None:
    assert sink_options(AppConfig(), overwrite=False).preset == "ultrafast"
    named = AppConfig.model_validate({"video": {"preset": "medium"}})
    assert sink_options(named, overwrite=True).preset == "medium"


def test_most_privacy_looks_at_every_frame() -> None:
    assert load_config(Path("max-privacy")).detector.stride == 1
    assert load_config(Path("default")).detector.stride == 2
