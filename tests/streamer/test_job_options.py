"""From the configuration to the options of each stage."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from streamer.config import AppConfig, load_config
from streamer.job_options import analysis_options, file_encoder_threads, sink_options
from streamer.models import load_models


@pytest.mark.parametrize("is_kept", [False, True])
def test_header_texts_are_kept_only_when_asked_for(is_kept: bool) -> None:
    config = AppConfig.model_validate({"video": {"keep_metadata": is_kept}})
    assert sink_options(config, overwrite=False).keep_metadata is is_kept


def test_the_preset_is_the_sinks_own_unless_named() -> None:
    assert sink_options(AppConfig(), overwrite=False).preset == "ultrafast"
    named = AppConfig.model_validate({"video": {"preset": "medium"}})
    assert sink_options(named, overwrite=True).preset == "medium"


@pytest.mark.parametrize(
    ("workers", "cores", "threads"), [(1, 2, 1), (2, 2, 1), (8, 16, 1), (9, 16, 2), (64, 64, 4)]
)
def test_one_thread_encodes_beside_eight_that_draw(
    monkeypatch: pytest.MonkeyPatch, workers: int, cores: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert file_encoder_threads(AppConfig(), workers) == threads


@pytest.mark.parametrize("video", [{"preset": "medium"}, {"codec": "hevc"}])
def test_slow_encoders_choose_their_threads_themselves(video: dict[str, str]) -> None:
    assert file_encoder_threads(AppConfig.model_validate({"video": video}), 2) == 0


def test_most_privacy_looks_at_every_frame() -> None:
    assert load_config(Path("max-privacy")).detector.stride == 1
    assert load_config(Path("default")).detector.stride == 2


@pytest.mark.slow
def test_what_starts_a_cover_also_continues_one() -> None:
    config = AppConfig()
    with closing(load_models(config, threads=1)) as models:
        tracker = analysis_options(config, models, workers=1, frame_count=None).tracker
    assert tracker.keep_score <= tracker.cover_score <= tracker.start_score


@pytest.mark.slow
@pytest.mark.parametrize(("start_score", "replace_score"), [(0.5, 0.6), (0.9, 0.92), (0.05, 0.24)])
def test_a_new_face_asks_for_a_surer_find_than_a_track(
    start_score: float, replace_score: float
) -> None:
    config = AppConfig.model_validate({"detector": {"start_score": start_score}})
    with closing(load_models(config, threads=1)) as models:
        look_back = analysis_options(config, models, workers=1, frame_count=None).look_back
    assert look_back.start_score == pytest.approx(start_score)
    assert look_back.replace_score == pytest.approx(replace_score)
