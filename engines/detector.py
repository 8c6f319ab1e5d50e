"""The face detector: any SCRFD-style network behind an engine.

Ours has one anchor a cell; the public SCRFD models with landmarks (two anchors, outputs grouped by
kind, fixed or free input size) fit without changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from engines.arrays import AnyArray, Float32Array, UInt8Array
from engines.boxes import RawFaces, decode_stride, nms
from engines.detector_settings import DetectorSettings
from engines.errors import EngineLoadError
from engines.landmarks import LandmarkRefiner
from engines.preprocess import (
    Letterbox,
    fit_free,
    fit_inside,
    i420_to_canvas,
    rgb_to_canvas,
    to_tensor,
)
from engines.protocols import Engine
from engines.pyramid import (
    LookLimits,
    coarse_factor,
    doubted_giants,
    has_doubtful_giants,
    merge_looks,
    shrunk,
)
from engines.types import Detections

__all__ = ["DetectorSettings", "FaceDetector"]

_STRIDES = (8, 16, 32)
_Names = tuple[list[str], list[str], list[str]]
_WIDTHS = {1: "scores", 4: "boxes", 10: "landmarks"}
_PROBE_PX = 64
_MOST_ENLARGED = 2.0
_DOUBTFUL_RATIO = 0.95  # of the score that keeps a track: just too little for it


class FaceDetector:
    """Finds faces in frames.

    One thread at a time.  The engines belong to the caller, who closes them.

    Args:
        engine: a loaded network with SCRFD-style outputs.
        settings: thresholds, input size, normalisation.
        refiner: finds the landmarks again in the full frame, of faces above ``keep_threshold``.

    Raises:
        EngineLoadError: the network's inputs or outputs are not those of an SCRFD with landmarks.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        settings: DetectorSettings,
        refiner: LandmarkRefiner | None = None,
    ) -> None:
        self._engine, self.settings, self._refiner = engine, settings, refiner
        self._fixed_hw, self._one_by_one = self._read_input()
        self._names, self._anchors, self._batched = self._probe()

    def detect(
        self,
        frames_rgb: Sequence[UInt8Array],
        *,
        threshold: float | None = None,
        long_side_px: int | None = None,
    ) -> list[Detections]:
        """Find the faces of ``(H, W, 3) uint8 RGB`` frames, strongest first.

        Args:
            frames_rgb: frames, which may differ in size; equal sizes share one network call.
            threshold: least score; the settings' ``score_threshold`` when None.
            long_side_px: other input size for this call, such as a larger one now and then.
        """
        boxes = [self._letterbox((f.shape[0], f.shape[1]), long_side_px) for f in frames_rgb]
        found = self._run(frames_rgb, boxes, rgb_to_canvas, threshold)
        return self._refined(frames_rgb, found, _luma_of_rgb)

    def detect_i420(
        self,
        frames_i420: Sequence[UInt8Array],
        *,
        threshold: float | None = None,
        long_side_px: int | None = None,
    ) -> list[Detections]:
        """The same for ``(3H/2, W) uint8 I420`` frames; cheaper, see `i420_to_canvas`."""
        boxes = [
            self._letterbox((f.shape[0] * 2 // 3, f.shape[1]), long_side_px) for f in frames_i420
        ]
        found = self._run(frames_i420, boxes, i420_to_canvas, threshold)
        return self._refined(frames_i420, found, _luma_of_i420)

    def refine(self, luma: UInt8Array, found: Detections) -> Detections:
        """The same faces with landmarks found anew in ``luma (H, W) uint8``."""
        if self._refiner is None or not len(found):
            return found
        return self._refiner.refine(luma, found, least_score=self.settings.keep_threshold)

    def _refined(
        self,
        frames: Sequence[UInt8Array],
        found: list[Detections],
        luma_of: Callable[[UInt8Array], UInt8Array],
    ) -> list[Detections]:
        if self._refiner is None:
            return found
        return [
            self.refine(luma_of(frame), faces) if len(faces) else faces
            for frame, faces in zip(frames, found, strict=True)
        ]

    def _letterbox(self, frame_hw: tuple[int, int], long_side_px: int | None) -> Letterbox:
        if self._fixed_hw is not None:
            return fit_inside(frame_hw, self._fixed_hw)
        side = self.settings.long_side_px if long_side_px is None else long_side_px
        return fit_free(frame_hw, long_side_px=side, most_enlarged=_MOST_ENLARGED)

    def _run(
        self,
        frames: Sequence[UInt8Array],
        boxes: list[Letterbox],
        scale: Callable[[UInt8Array, Letterbox], UInt8Array],
        threshold: float | None,
    ) -> list[Detections]:
        least = self.settings.score_threshold if threshold is None else threshold
        canvases = [scale(frame, box) for frame, box in zip(frames, boxes, strict=True)]
        fine = self._look(canvases, boxes, least)
        if not self.settings.two_looks or self._fixed_hw is not None:
            return fine
        return [
            self._joined(canvas, box, near, least)
            for canvas, box, near in zip(canvases, boxes, fine, strict=True)
        ]

    def _joined(
        self, canvas: UInt8Array, box: Letterbox, fine: Detections, least: float
    ) -> Detections:
        """What the fine look found, joined with coarser looks at the same picture."""
        settings = self.settings
        limits = LookLimits(
            nms_iou=settings.nms_iou,
            sure_score=settings.score_threshold,
            doubtful_score=_DOUBTFUL_RATIO * settings.keep_threshold,
        )
        factor = coarse_factor(max(box.content_hw))
        small, small_box = shrunk(canvas, box, factor)
        coarse = self._look([small], [small_box], least)[0]
        if has_doubtful_giants(coarse, small_box, limits):
            tiny, tiny_box = shrunk(small, small_box, 2)
            coarser = self._look([tiny], [tiny_box], least)[0]
            coarse = doubted_giants(coarse, coarser, small_box, limits)
        return merge_looks(fine, coarse, box, limits, factor=factor)

    def _look(
        self, canvases: list[UInt8Array], boxes: list[Letterbox], threshold: float
    ) -> list[Detections]:
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, box in enumerate(boxes):
            alone = (index,) if self._one_by_one else ()
            groups[(*box.canvas_hw, *alone)].append(index)
        found = [Detections.empty()] * len(canvases)
        for members in groups.values():
            batch = [canvases[index] for index in members]
            x = to_tensor(batch, mean=self.settings.mean, std=self.settings.std)
            values = self._engine.infer({self._engine.inputs[0].name: x})
            for position, index in enumerate(members):
                found[index] = self._decode(values, position, boxes[index], threshold)
        return found

    def _decode(
        self, values: dict[str, AnyArray], position: int, box: Letterbox, threshold: float
    ) -> Detections:
        parts: list[RawFaces] = []
        for level, stride in enumerate(_STRIDES):
            scores, distances, offsets = (
                values[names[level]][position] if self._batched else values[names[level]]
                for names in self._names
            )
            parts.append(
                decode_stride(
                    scores[:, 0],
                    distances,
                    offsets,
                    stride_px=stride,
                    columns=box.canvas_hw[1] // stride,
                    anchors=self._anchors,
                    threshold=threshold,
                )
            )
        corners, points, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        keep = nms(corners, scores, iou_threshold=self.settings.nms_iou)
        return _in_frame(corners[keep], points[keep], scores[keep], box)

    def _fail(self, reason: str) -> EngineLoadError:
        return EngineLoadError(
            Path(self._engine.describe().model),
            f"{reason}; a detector needs SCRFD-style outputs with landmarks for strides 8, 16, 32",
        )

    def _read_input(self) -> tuple[tuple[int, int] | None, bool]:
        inputs = self._engine.inputs
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] not in (3, None):
            raise self._fail("its input is not one (N, 3, H, W) tensor")
        count, _, height, width = inputs[0].shape
        if (height is None) != (width is None):
            raise self._fail("its input has one free and one fixed side")
        if height is None or width is None:
            return None, count is not None
        if height % _STRIDES[-1] or width % _STRIDES[-1]:
            raise self._fail(f"its input size {width}x{height} is no multiple of 32")
        return (height, width), count is not None

    def _probe(self) -> tuple[_Names, int, bool]:
        """Run once on zeros: the shapes tell what each output is, whatever its name says."""
        height, width = self._fixed_hw or (_PROBE_PX, _PROBE_PX * 2)
        x = np.zeros((1, 3, height, width), np.float32)
        values = self._engine.infer({self._engine.inputs[0].name: x})
        names = self._group(values)
        batched = values[names[0][0]].ndim == 3
        cells = [height // stride * (width // stride) for stride in _STRIDES]
        anchors = values[names[0][0]].shape[-2] // cells[0]
        for group, last in zip(names, _WIDTHS, strict=True):
            for name, count in zip(group, cells, strict=True):
                wanted = (count * anchors, last)
                shape = values[name].shape
                if anchors < 1 or shape != ((1, *wanted) if batched else wanted):
                    raise self._fail(f"output {name} has shape {shape} where {wanted} belongs")
        scores = np.concatenate([values[name].ravel() for name in names[0]])
        if not ((scores >= 0) & (scores <= 1)).all():
            raise self._fail("its scores leave [0, 1], so its sigmoid is missing")
        self._one_by_one = self._one_by_one or not batched
        return names, anchors, batched

    def _group(self, values: dict[str, AnyArray]) -> _Names:
        groups: dict[int, list[str]] = {width: [] for width in _WIDTHS}
        for spec in self._engine.outputs:
            shape = values[spec.name].shape
            if len(shape) in (2, 3) and shape[-1] in groups:
                groups[shape[-1]].append(spec.name)
        for width, kind in _WIDTHS.items():
            if len(groups[width]) != len(_STRIDES):
                raise self._fail(f"it has {len(groups[width])} outputs of {kind} instead of 3")
        return groups[1], groups[4], groups[10]


def _luma_of_rgb(frame_rgb: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _luma_of_i420(frame_i420: UInt8Array) -> UInt8Array:
    return frame_i420[: frame_i420.shape[0] * 2 // 3]


def _in_frame(
    corners: Float32Array, points: Float32Array, scores: Float32Array, box: Letterbox
) -> Detections:
    """Back to frame pixels, cut to the frame; what lies in the padding goes."""
    factor = box.factor_xy
    height, width = box.frame_hw
    boxes = corners / np.tile(factor, 2)
    boxes = boxes.clip(0, np.array([width, height, width, height], np.float32))
    inside = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    return Detections(
        boxes[inside].astype(np.float32),
        (points[inside] / factor).astype(np.float32),
        scores[inside].astype(np.float32),
    )
