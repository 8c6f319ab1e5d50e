"""Stand-ins that prove the exposure measure: everything exposed, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.source_faces import FrameFaces
from benchmarks.video_io import decode, write_video
from engines.arrays import UInt8Array

__all__ = ["black_boxes", "re_encoded"]

_CODECS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "re-encode": ("libx264", {"preset": "ultrafast", "crf": "28"}),
    "mpeg4": ("mpeg4", {"qmin": "6", "qmax": "6"}),
}


def re_encoded(source: Path, output: Path, kind: str) -> Path:
    """The clip encoded anew and nothing else: every face must count as exposed."""
    codec, options = _CODECS[kind]
    write_video(output, (frame.bgr for frame in decode(source)), codec=codec, options=options)
    return output


def black_boxes(source: Path, faces: Sequence[FrameFaces], output: Path) -> Path:
    """The clip with black boxes over the judges' faces: none must count as exposed."""

    def frames() -> Iterator[UInt8Array]:
        for frame, found in zip(decode(source), faces, strict=False):
            canvas = frame.bgr.copy()
            for x1, y1, x2, y2 in found.boxes_xyxy_px:
                canvas[max(0, int(y1)) : int(y2) + 1, max(0, int(x1)) : int(x2) + 1] = 0
            yield canvas

    write_video(output, frames(), options={"preset": "ultrafast", "crf": "28"})
    return output
