"""Exposed faces in what a live job put out, found by the number in each picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from benchmarks.face_compare import FaceChange, compare_face
from benchmarks.live_clip import CodedClip, SourceFace, read_code, resized
from benchmarks.video_io import DecodedFrame, decode
from engines.arrays import UInt8Array

__all__ = ["LiveExposure", "judge_outputs"]


@dataclass(frozen=True, slots=True)
class LiveExposure:
    """What the outputs of a live job show.

    Attributes:
        files: outputs that were judged.
        frames: frames that could be decoded.
        readable: frames whose number could be read.
        faces: faces that were compared.
        exposed: where a face was left as it was, as text.
        unplayable: outputs of which nothing could be decoded.
        max_correlation: of the face most like its original.
    """

    files: int
    frames: int
    readable: int
    faces: int
    exposed: tuple[str, ...]
    unplayable: tuple[str, ...]
    max_correlation: float


def _change(face: SourceFace, shown: UInt8Array, scale: float) -> FaceChange | None:
    left, top = face.origin_xy_px
    height, width = face.around.shape[:2]
    part = shown[top : top + height, left : left + width]
    offset = np.array([left, top, left, top], np.float32)
    return compare_face(_as_shown(face.around, scale), part, face.box_xyxy_px - offset)


def _as_shown(bgr: UInt8Array, scale: float) -> UInt8Array:
    """What is left of a picture that was smaller on its way: without this, none is like itself."""
    if scale >= 1:
        return bgr
    height, width = bgr.shape[:2]
    small = resized(bgr, (max(1, round(height * scale)), max(1, round(width * scale))))
    return resized(small, (height, width))


def _readable(path: Path) -> Iterable[DecodedFrame]:
    """Frames up to the first error: outputs that were cut off end in one."""
    try:
        yield from decode(path)
    except (av.FFmpegError, ValueError, IndexError):
        return


class _Judge:
    def __init__(self, clip: CodedClip, slack: int) -> None:
        self._clip, self._slack = clip, slack
        self._last = 0
        self.frames = self.readable = self.faces = 0
        self.exposed: list[str] = []
        self.max_correlation = 0.0

    def judge(self, name: str, frame: DecodedFrame) -> None:
        """Compare a frame with the one that it was, or all that it may have been."""
        shown = resized(frame.bgr, self._clip.size_hw)
        scale = frame.bgr.shape[0] / self._clip.size_hw[0]
        code = read_code(frame.bgr)  # drawn in pixels of the picture's own size
        self.frames += 1
        self.readable += code is not None
        self._last = self._last if code is None else code
        # A picture that cannot be read was damaged on its way to us, and repaired from others.
        slack = self._slack if code is not None else max(self._slack, 30)
        for number in range(self._last - slack, self._last + slack + 1):
            for face in self._clip.faces.get(number, ()):
                self._compare(f"{name} frame {self.frames} (clip {number})", face, shown, scale)

    def _compare(self, where: str, face: SourceFace, shown: UInt8Array, scale: float) -> None:
        change = _change(face, shown, scale)
        if change is None:
            return
        self.faces += 1
        self.max_correlation = max(self.max_correlation, change.correlation)
        if change.is_untouched:
            self.exposed.append(
                f"{where}: correlation {change.correlation:.2f}, difference {change.difference:.1f}"
            )


def judge_outputs(
    clip: CodedClip, outputs: Sequence[Path], *, slack_frames: int = 0
) -> LiveExposure:
    """Decode everything that was put out and look for faces of the clip.

    Args:
        clip: what the camera showed.
        outputs: recordings, finished or cut off.
        slack_frames: also compare with so many frames before and after; for cameras whose pictures
            were damaged on the way, since a decoder fills gaps with older pictures.
    """
    judge, unplayable = _Judge(clip, slack_frames), []
    for path in outputs:
        before = judge.frames
        for frame in _readable(path):
            judge.judge(path.name, frame)
        if judge.frames == before:
            unplayable.append(path.name)
    return LiveExposure(
        files=len(outputs),
        frames=judge.frames,
        readable=judge.readable,
        faces=judge.faces,
        exposed=tuple(judge.exposed),
        unplayable=tuple(unplayable),
        max_correlation=judge.max_correlation,
    )
