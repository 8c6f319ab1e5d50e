"""The demo: a made-up sample is anonymised and brought back, and shown side by side."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from engines.arrays import UInt8Array
from streamer.config import AppConfig
from streamer.demo_sample import SAMPLE_FPS, SAMPLE_SIZE_HW, sample_frames
from streamer.file_job import FileReport, FileRequest, anonymize_file
from streamer.interrupt import StopRequest
from streamer.progress import ProgressSink
from streamer.recover import recover_file
from streamer.recovery_request import RecoverRequest
from streamer.sink_demo import DemoSink
from streamer.source import open_source

__all__ = ["DemoFiles", "run_demo"]

_ROWS: Final = ("original", "anonymised", "recovered (sealed)", "recovered (from pixels + key)",
                "wrong password")  # fmt: skip
_STRIP_FRAMES: Final = 4
_LABEL_PX: Final = 22


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where the demo's results lie.

    Attributes:
        sample: the made-up video.
        anonymised: the anonymised one.
        keylog: its key log.
        password_file: the password, made up for this run.
        video: side by side.
        strip: the same as a picture.
        report: what the run did.
    """

    sample: Path
    anonymised: Path
    keylog: Path
    password_file: Path
    video: Path
    strip: Path
    report: FileReport


def run_demo(
    folder: Path,
    config: AppConfig,
    *,
    duration_s: float,
    stop: StopRequest,
    progress: ProgressSink,
) -> DemoFiles:
    """Make the sample, anonymise it, bring it back in two ways and with a wrong password.

    Args:
        folder: where everything goes; made if it is not there.
        config: what runs the networks.
        duration_s: length of the sample.
        stop: set by a signal.
        progress: is told about each frame.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sample = folder / "sample.mp4"
    with DemoSink(sample, SAMPLE_SIZE_HW, fps=SAMPLE_FPS) as sink:
        for pixels in sample_frames(duration_s):
            sink.write_sample(pixels)
    password = "-".join(secrets.token_hex(3) for _ in range(4)).encode()
    password_file = folder / "password.txt"
    password_file.touch(mode=0o600)
    password_file.write_bytes(password + b"\n")
    request = FileRequest(
        str(sample), folder / "anonymised.mp4", folder / "anonymised.mp4.vskl", overwrite=True
    )
    report = anonymize_file(request, config, password, stop=stop, progress=progress)
    recovered = []
    for name, mode, key, force in (
        ("recovered_sealed", "sealed", password, False),
        ("recovered_generative", "generative", password, False),
        ("recovered_wrong_password", "generative", b"not the password", True),
    ):
        out = folder / f"{name}.mp4"
        job = RecoverRequest(
            request.out, request.keylog, out,
            mode="sealed" if mode == "sealed" else "generative", force=force, overwrite=True,
        )  # fmt: skip
        recover_file(job, config, key, stop=stop, progress=progress)
        recovered.append(out)
    video, strip = folder / "side_by_side.mp4", folder / "side_by_side.png"
    _side_by_side([sample, request.out, *recovered], video, strip)
    return DemoFiles(sample, request.out, request.keylog, password_file, video, strip, report)


def _pictures(paths: list[Path]) -> Iterator[list[UInt8Array]]:
    """The same frame of each video, (H, W, 3) uint8 BGR."""
    with ExitStack() as stack:
        readers = [stack.enter_context(open_source(path)).frames() for path in paths]
        for frames in zip(*readers, strict=True):
            yield [
                np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_YUV2BGR_I420)) for frame in frames
            ]


def _labelled(picture: UInt8Array, text: str) -> UInt8Array:
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    bar = np.full((_LABEL_PX, half.shape[1], 3), 32, np.uint8)
    cv2.putText(bar, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (240, 240, 240), 1, cv2.LINE_AA)
    return np.vstack([bar, half])


def _side_by_side(paths: list[Path], video: Path, strip: Path) -> None:
    """One row per video, as a video and as a picture with a few moments beside each other."""
    height, width = SAMPLE_SIZE_HW[0] // 2 + _LABEL_PX, SAMPLE_SIZE_HW[1] // 2
    moments: list[UInt8Array] = []
    with DemoSink(video, (height * len(paths), width), fps=SAMPLE_FPS) as sink:
        for pictures in _pictures(paths):
            rows = [_labelled(p, t) for p, t in zip(pictures, _ROWS, strict=True)]
            column = np.vstack(rows)
            sink.write_sample(np.asarray(cv2.cvtColor(column, cv2.COLOR_BGR2YUV_I420)))
            moments.append(column)
    step = max(1, len(moments) // _STRIP_FRAMES)
    chosen = moments[step // 2 :: step][:_STRIP_FRAMES]
    cv2.imwrite(str(strip), np.hstack(chosen))
