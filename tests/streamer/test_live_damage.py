"""What the machine itself does to a live job: networks that fail, full disks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.clips import BenchmarkError
from benchmarks.live_camera import Camera
from benchmarks.live_clip import CodedClip
from benchmarks.live_exposure import LiveExposure, judge_outputs
from benchmarks.live_run import LiveRun, live_config, recordings
from engines.arrays import AnyArray, Float32Array, UInt8Array
from engines.errors import EngineRunError, KeyLogError
from engines.generator import FaceGenerator
from engines.types import Detections
from streamer.config import AppConfig
from streamer.models import Models, load_models
from tests.factories import generator_engine
from tests.live_faults import BACK_S, PATIENCE_S, RATE_HZ, fill, leaves_nothing_behind, within

pytestmark = [pytest.mark.network, pytest.mark.slow]

_CONFIG = {"detector": {"long_side_px": 320}}
Change = Callable[[Models], Models]


@pytest.fixture
def use_models(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Lets a job run with networks that fail."""

    def use(change: Change) -> None:
        def load(config: AppConfig, *, threads: int) -> Models:
            return change(load_models(config, threads=threads))

        monkeypatch.setattr("streamer.live_job.load_models", load)

    return use


def _judged(clip: CodedClip, folder: Path) -> LiveExposure:
    found = judge_outputs(clip, recordings(folder))
    assert found.frames == found.readable
    assert found.exposed == ()
    return found


@contextmanager
def _running(
    clip: CodedClip, outs: Sequence[Path], keylog: Path | None = None
) -> Iterator[tuple[LiveRun, Camera]]:
    with Camera(clip.path) as camera:
        url = f"rtsp://127.0.0.1:{camera.port}/camera"
        with LiveRun(url, outs, live_config(_CONFIG), keylog=keylog) as run:
            yield run, camera


class _Detector:
    """A detector that fails for some of its calls."""

    def __init__(self, models: Models, fails: Callable[[int], bool], error: Exception) -> None:
        self._detector, self._fails, self._error = models.detector, fails, error
        self.settings = models.detector.settings
        self.calls = 0

    def detect_i420(self, frames: list[UInt8Array], **options: float) -> list[Detections]:
        self.calls += 1
        if self._fails(self.calls):
            raise self._error
        return self._detector.detect_i420(frames, **options)  # type: ignore[arg-type] # passed on

    def refine(self, luma: UInt8Array, found: Detections) -> Detections:
        return self._detector.refine(luma, found)

    def detect(self, crops: list[UInt8Array], **options: float) -> list[Detections]:
        """Looks at new faces, to compare keys."""
        return self._detector.detect(crops, **options)  # type: ignore[arg-type] # passed on


def _failing_detector(fails: Callable[[int], bool], error: Exception) -> Change:
    def change(models: Models) -> Models:
        return replace(models, detector=_Detector(models, fails, error))  # type: ignore[arg-type] # a stand-in

    return change


def _broken_generator(answer: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]]) -> Change:
    engine = FaceGenerator(generator_engine(answer))
    return lambda models: replace(models, generator=engine)


def _nan(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    crop = inputs["crop"]
    return {"face": np.full_like(crop, np.nan), "alpha": np.ones_like(crop[:, :1])}


def _raising(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    raise EngineRunError("the device is gone")


def _copying(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    crop = inputs["crop"]
    return {"face": crop, "alpha": np.ones_like(crop[:, :1])}


def _transparent(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    crop = inputs["crop"]
    return {"face": -crop, "alpha": np.zeros_like(crop[:, :1])}


@pytest.mark.parametrize("answer", [_nan, _raising, _copying, _transparent])
def test_a_generator_that_fails_leaves_covered_faces(
    answer: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]],
    coded_clip: CodedClip,
    tmp_path: Path,
    use_models: Callable[[Change], None],
) -> None:
    use_models(_broken_generator(answer))
    with _running(coded_clip, [tmp_path / "out.mkv"]) as (run, _):
        run.wait_for_frames(5, PATIENCE_S)
        with leaves_nothing_behind():
            run.wait_for_frames(RATE_HZ, PATIENCE_S)
        found = run.snapshot()
    assert run.error is None
    assert found.faces_replaced == 0
    assert found.faces_covered > 0
    assert found.engine_errors + found.guard_rejections > 0
    assert _judged(coded_clip, tmp_path).faces >= RATE_HZ / 2


def test_a_generator_that_works_again_is_used_again(
    coded_clip: CodedClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, real = threading.Event(), FaceGenerator.generate
    broken.set()

    def generate(
        generator: FaceGenerator, crops: UInt8Array, identities: Float32Array
    ) -> tuple[UInt8Array, Float32Array]:
        if broken.is_set():
            raise EngineRunError("the device is gone")
        return real(generator, crops, identities)

    monkeypatch.setattr(FaceGenerator, "generate", generate)
    with _running(coded_clip, [tmp_path / "out.mkv"]) as (run, _):
        run.wait(lambda now: now.faces_covered > RATE_HZ, PATIENCE_S)
        assert run.snapshot().faces_replaced == 0
        with leaves_nothing_behind():
            broken.clear()
            with within(BACK_S):
                run.wait(lambda now: now.faces_replaced > 0, PATIENCE_S)
    assert run.error is None
    _judged(coded_clip, tmp_path)


def test_a_detector_that_fails_now_and_then_costs_frames_only(
    coded_clip: CodedClip, tmp_path: Path, use_models: Callable[[Change], None]
) -> None:
    error = EngineRunError("the face detector gave values that are not finite")
    use_models(_failing_detector(lambda call: call % 3 == 0, error))
    with _running(coded_clip, [tmp_path / "out.mkv"]) as (run, _):
        run.wait_for_frames(5, PATIENCE_S)
        with leaves_nothing_behind():
            run.wait_for_frames(RATE_HZ, PATIENCE_S)
        found = run.snapshot()
    assert run.error is None
    assert found.engine_errors >= 3
    assert "not finite" in found.errors[0].text
    _judged(coded_clip, tmp_path)


@pytest.mark.parametrize(
    "error", [EngineRunError("the device is gone"), RuntimeError("something nobody thought of")]
)
def test_a_detector_that_dies_ends_the_job_and_nothing_more_comes_out(
    coded_clip: CodedClip,
    tmp_path: Path,
    use_models: Callable[[Change], None],
    error: Exception,
) -> None:
    use_models(_failing_detector(lambda call: call > 15, error))
    with _running(coded_clip, [tmp_path / "out.mkv"]) as (run, _):
        run.join(PATIENCE_S)
        assert run.error is error
    assert "in stage find" in str(getattr(error, "__notes__", ""))
    assert _judged(coded_clip, tmp_path).frames > 0


class _Blind(_Detector):
    """A detector that never finds anybody."""

    def detect_i420(self, frames: list[UInt8Array], **options: float) -> list[Detections]:
        return [Detections.empty() for _ in frames]


def test_these_tests_would_notice_an_exposed_face(
    coded_clip: CodedClip, tmp_path: Path, use_models: Callable[[Change], None]
) -> None:
    def change(models: Models) -> Models:
        blind = _Blind(models, lambda call: False, ValueError())
        return replace(models, detector=blind)  # type: ignore[arg-type] # a stand-in

    use_models(change)
    with _running(coded_clip, [tmp_path / "out.mkv"]) as (run, _):
        run.wait_for_frames(RATE_HZ, PATIENCE_S)
    found = judge_outputs(coded_clip, recordings(tmp_path))
    assert len(found.exposed) == found.faces > 0


def test_a_full_disk_stops_a_recording_and_nothing_else(
    coded_clip: CodedClip, tmp_path: Path, small_disk: Path
) -> None:
    good = tmp_path / "good"
    good.mkdir()
    outs = [small_disk / "out.mkv", good / "out.mkv"]
    with _running(coded_clip, outs, keylog=good / "out.vskl") as (run, _):
        run.wait_for_frames(10, PATIENCE_S)
        with leaves_nothing_behind():
            ballast = fill(small_disk)
            full = run.wait(
                lambda now: any(sink.state == "down" for sink in now.sinks.values()), PATIENCE_S
            )
            run.wait_for_frames(RATE_HZ, PATIENCE_S)
            ballast.unlink()
            with within(BACK_S):
                run.wait(
                    lambda now: all(sink.state == "up" for sink in now.sinks.values()), PATIENCE_S
                )
            run.wait_for_frames(RATE_HZ, PATIENCE_S)
    assert run.error is None, full
    assert _judged(coded_clip, good).frames >= 2 * RATE_HZ
    found = judge_outputs(coded_clip, recordings(small_disk))
    assert found.frames > 0
    assert found.exposed == ()


def test_a_full_disk_under_the_key_log_stops_everything(
    coded_clip: CodedClip, tmp_path: Path, small_disk: Path
) -> None:
    """A face whose way back cannot be written must not go out either."""
    good = tmp_path / "good"
    good.mkdir()
    outs = [good / "out.mkv"]
    with _running(coded_clip, outs, keylog=small_disk / "out.vskl") as (run, _):
        run.wait_for_frames(10, PATIENCE_S)
        fill(small_disk)
        run.join(PATIENCE_S)
    assert isinstance(run.error, KeyLogError)
    assert _judged(coded_clip, good).frames > 0


def test_a_job_that_cannot_start_says_so(tmp_path: Path) -> None:
    with LiveRun("rtsp://127.0.0.1:1/camera", [tmp_path / "x.mkv"], live_config()) as run:
        run.join(PATIENCE_S)
        with pytest.raises(BenchmarkError, match="has ended"):
            run.wait(lambda now: now.frames_out > 0, 1.0)
