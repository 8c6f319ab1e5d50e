"""Outputs of a clip by every method, made through command lines, and re-encoded copies of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from benchmarks.clips import BenchmarkError, output_name
from benchmarks.command_line import (
    anonymize_command,
    recover_command,
    run_command,
    write_password,
)
from benchmarks.source_faces import FrameFaces
from benchmarks.speed_measure import peer_runner
from benchmarks.video_io import decode, write_video
from engines.arrays import UInt8Array

__all__ = [
    "Product",
    "box_output",
    "camera_output",
    "deface_output",
    "lossless_output",
    "product_output",
    "recovered",
    "transcoded",
]

_BLUR_SIGMA_RATIO: Final = 8 / 256
_BLOCK_RATIO: Final = 8 / 256
_NOISE_SIGMA: Final = 15.0
_BOX_GROWTH: Final = 0.15
_DEFACE_ENCODER: Final = '{"codec": "libx264", "macro_block_size": 2}'
_PAPER_LEVEL: Final = "3"  # 85 degrees, the strongest that the paper's rotation has below 90

Change = Callable[[UInt8Array, np.random.Generator], UInt8Array]


@dataclass(frozen=True, slots=True)
class Product:
    """What one run of the product left.

    Attributes:
        output: the anonymised video.
        keylog: its key log.
        password: file that opens it.
        cpu_s: processor time of the run.
    """

    output: Path
    keylog: Path
    password: Path
    cpu_s: float


def product_output(clip: Path, folder: Path, *, paper_mode: bool = False) -> Product:
    """Anonymise through the command line, by default as a user would without any option."""
    extra = ["--rotation", "reference", "--level", _PAPER_LEVEL] if paper_mode else []
    return _product(clip, folder / ("paper" if paper_mode else "ours"), *extra)


def camera_output(clip: Path, folder: Path, camera: str) -> Product:
    """The same under the keys of a camera: another size of the clip gets the same new people."""
    place = folder / camera
    place.mkdir(parents=True, exist_ok=True)
    config = place / "camera.yaml"
    config.write_text(f"identity: {{scope: camera, camera_id: {camera}}}\n", encoding="utf-8")
    return _product(clip, place, "--config", str(config), "--no-seal")


def lossless_output(clip: Path, folder: Path) -> Product:
    """The same, encoded without loss: what the product changes before the codec does."""
    place = folder / "lossless"
    place.mkdir(parents=True, exist_ok=True)
    config = place / "lossless.yaml"
    config.write_text("video: {crf: 0}\n", encoding="utf-8")
    return _product(clip, place, "--config", str(config))


def _product(clip: Path, folder: Path, *extra: str) -> Product:
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / output_name(clip)
    keylog = out.with_name(out.name + ".vskl")
    password = write_password(folder)
    result = run_command(anonymize_command(clip, out, keylog, password, *extra))
    result.require_success(f"anonymising {clip.name}")
    return Product(out, keylog, password, result.cpu_s)


def recovered(made: Product, video: Path, mode: str, *, is_wrong: bool = False) -> Path:
    """Recover a video through the command line; `video` may be a re-encoded copy of the output.

    Raises:
        BenchmarkError: the program refused.
    """
    label = "wrong" if is_wrong else mode
    out = video.with_name(f"{label}_{video.name}")
    password = write_password(made.password.parent, is_wrong=True) if is_wrong else made.password
    force = ["--force"] if is_wrong else []
    command = recover_command(video, out, made.keylog, password, mode, *force)
    result = run_command(command)
    # 8: the log or the video was damaged, and it was recovered all the same.
    if result.exit_code != 8:
        result.require_success(f"recovering {video.name} ({label})")
    return out


def deface_output(clip: Path, folder: Path, python: str) -> Path:
    """The `deface` package with its defaults, but at the clip's own size.

    By default it scales pictures to multiples of 16 pixels, and no face is where it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"deface_{clip.stem}.mp4"
    runner = peer_runner("deface", python, "--ffmpeg-config", _DEFACE_ENCODER)
    run_command(runner.command(clip, out)).require_success("deface")
    return out


def box_output(clip: Path, faces: Sequence[FrameFaces], folder: Path, kind: str) -> Path:
    """Blur, pixelation, noise or black in the boxes that the judges' own detectors found.

    A user of these filters has no such detectors, so what they leave exposed is the least possible.
    """
    change = _CHANGES[kind]
    folder.mkdir(parents=True, exist_ok=True)

    def frames() -> Iterator[UInt8Array]:
        rng = np.random.default_rng(0)
        for frame, found in zip(decode(clip), faces, strict=False):
            canvas = frame.bgr.copy()
            for box in found.boxes_xyxy_px:
                _apply(canvas, box, change, rng)
            yield canvas

    out = folder / f"{kind}_{clip.stem}.mkv"
    write_video(out, frames(), options={"preset": "ultrafast", "crf": "18"})
    return out


def _apply(canvas: UInt8Array, box: Any, change: Change, rng: np.random.Generator) -> None:  # noqa: ANN401 - (4,) float32
    x1, y1, x2, y2 = (float(value) for value in box)
    dx, dy = (x2 - x1) * _BOX_GROWTH, (y2 - y1) * _BOX_GROWTH
    rows = slice(max(0, int(y1 - dy)), max(0, int(y2 + dy) + 1))
    columns = slice(max(0, int(x1 - dx)), max(0, int(x2 + dx) + 1))
    if canvas[rows, columns].size:
        canvas[rows, columns] = change(canvas[rows, columns], rng)


def _blurred(face: UInt8Array, _rng: np.random.Generator) -> UInt8Array:
    sigma = max(0.5, max(face.shape[:2]) * _BLUR_SIGMA_RATIO)
    return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma), np.uint8)


def _pixelated(face: UInt8Array, _rng: np.random.Generator) -> UInt8Array:
    height, width = face.shape[:2]
    cell = max(2, round(max(height, width) * _BLOCK_RATIO))
    cells = (max(1, width // cell), max(1, height // cell))
    small = cv2.resize(face, cells, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _noisy(face: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    noise = rng.normal(0, _NOISE_SIGMA, face.shape)
    return np.clip(np.rint(face + noise), 0, 255).astype(np.uint8)


def _black(face: UInt8Array, _rng: np.random.Generator) -> UInt8Array:
    return np.zeros_like(face)


_CHANGES: Final[dict[str, Change]] = {
    "Gaussian blur": _blurred,
    "pixelation": _pixelated,
    "Gaussian noise": _noisy,
    "black box": _black,
}


def transcoded(
    video: Path, output: Path, *, codec: str = "libx264", crf: int = 23, height: int | None = None
) -> Path:
    """A video encoded anew with its presentation times, optionally smaller; no sound.

    Args:
        video: the source.
        output: a Matroska file.
        codec: FFmpeg's name of the encoder.
        crf: its constant rate factor.
        height: new height in pixels; the width follows.
    """
    options = {"crf": str(crf), "preset": "veryfast"}
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    with av.open(str(video)) as source, av.open(str(output), "w") as target:
        first = source.streams.video[0]
        stream: Any = target.add_stream(codec, rate=first.average_rate or 25, options=options)
        scale = 1.0 if height is None else height / first.height
        stream.width, stream.height = (
            round(v * scale / 2) * 2 for v in (first.width, first.height)
        )
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(first.time_base or Fraction(1, 1000))
        for frame in source.decode(first):
            if frame.pts is None:
                raise BenchmarkError(f"{video.name} has frames without times")
            small = frame.reformat(stream.width, stream.height, format="yuv420p")
            small.pts, small.time_base = frame.pts, frame.time_base
            small.pict_type = av.video.frame.PictureType.NONE
            target.mux(stream.encode(small))
        target.mux(stream.encode(None))
    return output
