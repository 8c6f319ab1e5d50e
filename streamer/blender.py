"""Blending: the only place where a frame becomes an anonymised frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from fractions import Fraction
from typing import Final

import cv2
import numpy as np

from engines.arrays import UInt8Array
from streamer.color import paste_rgb_into
from streamer.cover import CoverStyle, cover_into, cover_rect
from streamer.frames import ColorSpec, Frame, GeneratedFace
from streamer.plan import FramePlan, PlannedFace
from streamer.zones import PrivacyZones

__all__ = ["AnonymizedFrame", "BlendResult", "Blender", "covers"]

# Private: whoever holds it may call a frame anonymous. It guards against mistakes, not malice.
_SEAL: Final = object()

# Places in a planned box (fractions of its size from the centre) that the new face must hide.
_PROBES: Final = ((0, 0), (-0.2, -0.2), (0.2, -0.2), (-0.15, 0.22), (0.15, 0.22))
_PROBE_MASK_MIN: Final = 0.35
_STUB_LUMA: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class AnonymizedFrame:
    """Every planned face replaced or filled; only `Blender` builds one.

    Attributes:
        pixels: (3H/2, W) uint8 I420, read-only.
        color: how to read the planes.
        pts: presentation time in units of `time_base`.
        time_base: seconds per unit.
        index: number of the frame in its source.
    """

    pixels: UInt8Array
    color: ColorSpec
    pts: int
    time_base: Fraction
    index: int
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only Blender.blend builds AnonymizedFrame")


@dataclass(frozen=True, slots=True, eq=False)
class BlendResult:
    """An anonymised frame and what was done to each face.

    Attributes:
        frame: the frame for the sink.
        replaced: tracks that got a synthetic face.
        filled: tracks whose box was covered instead.
        rects_xywh_px: track -> even-aligned rectangle that holds every changed pixel.
    """

    frame: AnonymizedFrame
    replaced: frozenset[int]
    filled: frozenset[int]
    rects_xywh_px: Mapping[int, tuple[int, int, int, int]]


def covers(generated: GeneratedFace, face: PlannedFace) -> bool:
    """Whether a generated face hides the middle of the planned box.

    Guards against landmarks that went astray: a new face beside the old one hides nothing.
    """
    x1, y1, x2, y2 = (float(value) for value in face.box_xyxy_px)
    # Plain numbers: NumPy takes microseconds for each step of such small sums, for every face.
    (a, b, c), (d, e, f) = cv2.invertAffineTransform(generated.frame_from_crop).tolist()
    side = generated.mask.shape[0]
    for across, down in _PROBES:
        x, y = (0.5 + across) * x2 + (0.5 - across) * x1, (0.5 + down) * y2 + (0.5 - down) * y1
        column, row = a * x + b * y + c, d * x + e * y + f
        # Not a number is not inside either.
        if not (-0.5 <= column <= side - 0.5 and -0.5 <= row <= side - 0.5):
            return False
        share = generated.mask[min(round(row), side - 1), min(round(column), side - 1)]
        if not share >= _PROBE_MASK_MIN:
            return False
    return True


def _union(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x, y = min(a[0], b[0]), min(a[1], b[1])
    return x, y, max(a[0] + a[2], b[0] + b[2]) - x, max(a[1] + a[3], b[1] + b[3]) - y


class Blender:
    """Covers every planned face of a frame. Stateless, so any thread may call it.

    Args:
        fallback: what hides a face that has no usable synthetic one.
        zones: places that are filled whatever is in them, None for none.
    """

    def __init__(self, *, fallback: CoverStyle, zones: PrivacyZones | None = None) -> None:
        self._fallback = fallback
        self._zones = zones

    def blend(
        self, source: Frame, plan: FramePlan, faces: Mapping[int, GeneratedFace]
    ) -> BlendResult:
        """Replace or cover every face of a frame.

        Args:
            source: the frame.
            plan: all its faces.
            faces: synthetic faces by track; a face without one is covered.

        Raises:
            CoverageError: a box cannot be covered; the frame must not be written.
        """
        canvas = source.pixels.copy()
        replaced: set[int] = set()
        filled: set[int] = set()
        rects: dict[int, tuple[int, int, int, int]] = {}
        # Covers first: a synthetic face beside a covered one is then not covered itself.
        order = sorted(plan, key=lambda face: faces.get(face.track_id) is not None)
        for face in order:  # walks what was planned, not what was generated
            generated = faces.get(face.track_id)
            if generated is not None and covers(generated, face):
                rect = paste_rgb_into(
                    canvas,
                    source.color,
                    generated.crop,
                    generated.mask,
                    generated.frame_from_crop,
                )
                replaced.add(face.track_id)
            else:
                rect = cover_rect(face.box_xyxy_px, source.size_hw)
                rect = cover_into(canvas, rect, self._fallback)
                filled.add(face.track_id)
            if rect[2] and rect[3]:
                previous = rects.get(face.track_id)
                rects[face.track_id] = rect if previous is None else _union(previous, rect)
        if self._zones is not None:
            self._zones.fill_into(canvas)
        canvas.setflags(write=False)
        frame = AnonymizedFrame(
            canvas, source.color, source.pts, source.time_base, source.index, seal=_SEAL
        )
        return BlendResult(frame, frozenset(replaced), frozenset(filled), rects)

    def stub(
        self, size_hw: tuple[int, int], text: str, *, pts: int, time_base: Fraction, index: int
    ) -> AnonymizedFrame:
        """A made picture that shows nothing but a text, for times without a source.

        Args:
            size_hw: even height and width.
            text: what it says, in ASCII.
            pts: its time.
            time_base: seconds per unit of `pts`.
            index: number of the frame.
        """
        height, width = size_hw
        canvas = np.full((height * 3 // 2, width), 128, np.uint8)
        canvas[:height] = _STUB_LUMA
        scale = max(width / 640, 0.3)
        font = cv2.FONT_HERSHEY_SIMPLEX
        (wide, high), _ = cv2.getTextSize(text, font, scale, 2)
        place = (max((width - wide) // 2, 0), (height + high) // 2)
        cv2.putText(canvas[:height], text, place, font, scale, 200, 2)
        canvas.setflags(write=False)
        return AnonymizedFrame(canvas, ColorSpec(), pts, time_base, index, seal=_SEAL)
