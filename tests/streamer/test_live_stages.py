"""Finding and drawing of a live job in threads of their own, on the made-up sample as a camera."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.errors import CoverageError
from engines.types import Detections
from streamer.config import load_config
from streamer.demo_sample import SAMPLE_FPS, SAMPLE_SIZE_HW, sample_frames
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.job_options import live_options
from streamer.key_log import KeyLogReader
from streamer.key_log_records import Face, Gap
from streamer.live_job import LiveReport, LiveRequest, anonymize_live
from streamer.live_tracks import LiveTracks, PlannedFrame
from streamer.plan import FramePlan
from streamer.progress import QuietProgress
from streamer.renderer import RenderedFrame, Renderer
from streamer.sink_demo import DemoSink
from tests.media import read_all

pytestmark = pytest.mark.slow

PASSWORD = b"correct horse battery staple"
FRAMES = 2 * SAMPLE_FPS


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "camera.mp4"
    with DemoSink(path, SAMPLE_SIZE_HW, fps=SAMPLE_FPS) as sink:
        for pixels in sample_frames(FRAMES / SAMPLE_FPS):
            sink.write_sample(pixels)
    return path


class _Watch:
    """Notes which frames were found and drawn, by number, and may meddle with the drawing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[int] = []
        self.drawn: list[int] = []
        self.before: Callable[[], None] = lambda: None
        push, render = LiveTracks.push, Renderer.render

        def watched_push(
            tracks: LiveTracks, frame: Frame, found: Detections, *, is_late: bool
        ) -> list[PlannedFrame]:
            self.found.append(frame.index)
            return push(tracks, frame, found, is_late=is_late)

        def watched_render(
            renderer: Renderer, frame: Frame, plan: FramePlan, *, is_late: bool
        ) -> RenderedFrame:
            self.before()
            rendered = render(renderer, frame, plan, is_late=is_late)
            self.drawn.append(frame.index)
            return rendered

        monkeypatch.setattr(LiveTracks, "push", watched_push)
        monkeypatch.setattr(Renderer, "render", watched_render)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> _Watch:
    return _Watch(monkeypatch)


def _run(sample: Path, out: Path, stop: StopRequest | None = None) -> LiveReport:
    config = load_config(
        Path("live-camera"),
        {
            "video": {"preset": "ultrafast"},
            "engine": {"workers": 1},
            "live": {"stub_after_s": None},
            "detector": {"long_side_px": 320},
        },
    )
    request = LiveRequest(
        str(sample), (str(out),), None, live_options(config, str(sample), is_file=True)
    )
    return anonymize_live(
        request, config, PASSWORD, stop=stop or StopRequest(), progress=QuietProgress()
    )


def _is_in_order(numbers: list[int]) -> bool:
    return numbers == sorted(set(numbers))


def test_an_error_of_the_drawing_ends_the_job_and_no_frame_passes_it(
    sample: Path, tmp_path: Path, watch: _Watch
) -> None:
    def fail() -> None:
        if len(watch.drawn) == 2:  # a busy machine may drop all but a few
            raise CoverageError("a face cannot be covered")

    watch.before = fail
    with pytest.raises(CoverageError) as caught:
        _run(sample, tmp_path / "yard.mkv")
    assert caught.value.__notes__ == ["in stage draw"]
    assert len(watch.drawn) == 2
    written = [len(read_all(path).frames) for path in tmp_path.glob("yard*.mkv")]
    assert sum(written) <= 2


def test_what_was_found_before_a_stop_is_drawn_and_written(
    sample: Path, tmp_path: Path, watch: _Watch
) -> None:
    stop = StopRequest()

    def slow() -> None:
        time.sleep(0.02)
        if len(watch.drawn) == 2:
            stop.set()

    watch.before = slow
    report = _run(sample, tmp_path / "yard.mkv", stop)
    assert 2 < report.frames < FRAMES
    assert watch.drawn == watch.found
    assert report.frames == len(watch.drawn) == len(read_all(tmp_path / "yard.mkv").frames)
    with KeyLogReader.open(tmp_path / "yard.mkv.vskl", PASSWORD) as reader:
        assert reader.is_complete


def test_slow_drawing_drops_whole_frames_before_they_are_found(
    sample: Path, tmp_path: Path, watch: _Watch
) -> None:
    watch.before = lambda: time.sleep(4 / SAMPLE_FPS)
    report = _run(sample, tmp_path / "yard.mkv")
    assert report.dropped > 0
    assert report.frames + report.dropped == FRAMES
    # Nothing is lost on the way from finding to writing, and nothing overtakes.
    assert _is_in_order(watch.found)
    assert watch.drawn == watch.found
    assert report.frames == len(watch.drawn)
    with KeyLogReader.open(tmp_path / "yard.mkv.vskl", PASSWORD) as reader:
        records = list(reader.records())
    times = [one.pts for one in records if isinstance(one, Face)]
    assert times
    assert times == sorted(times)
    gaps = [one for one in records if isinstance(one, Gap)]
    assert {one.reason for one in gaps} == {"frames dropped"}
