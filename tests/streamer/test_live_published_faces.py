"""What RTMP and UDP viewers get of a camera shows nobody: received, decoded and judged."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.live_clip import CodedClip
from benchmarks.live_exposure import judge_outputs
from benchmarks.live_service import anonymize_service
from tests.live_faults import PATIENCE_S
from tests.publishing import listener
from tests.rtsp_process import free_port

pytestmark = [pytest.mark.network, pytest.mark.slow]


def test_published_pictures_show_nobody(coded_clip: CodedClip, tmp_path: Path) -> None:
    heard = {scheme: tmp_path / f"{scheme}.mkv" for scheme in ("rtmp", "udp")}
    urls = [f"rtmp://127.0.0.1:{free_port()}/live/yard", f"udp://127.0.0.1:{free_port()}"]
    recording = tmp_path / "recording.mkv"
    with ExitStack() as stack:
        for url, out in zip(urls, heard.values(), strict=True):
            stack.enter_context(listener(url, out))
        service = stack.enter_context(
            anonymize_service(
                str(coded_clip.path), [recording, *urls], tmp_path,
                "--realtime", "--config", "live-camera",
            )
        )  # fmt: skip
        service.wait_for_frames(90, PATIENCE_S)
        assert service.stop() == 0
        time.sleep(0.5)
    for out in (*heard.values(), recording):
        found = judge_outputs(coded_clip, [out], slack_frames=2)
        assert found.unplayable == (), out.name
        assert found.readable >= 30, out.name
        assert found.faces > 0, out.name
        assert found.exposed == (), out.name


def test_the_judge_finds_the_camera_s_own_picture(coded_clip: CodedClip) -> None:
    """Without this, nobody exposed would say nothing."""
    assert judge_outputs(coded_clip, [coded_clip.path]).exposed
