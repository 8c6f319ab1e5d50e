"""Rendering, the second pass: a frame and its plan become an anonymised frame and log records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array, UInt8Array
from engines.errors import EngineRunError
from engines.face_mask import core_mask, face_mask
from engines.generator import FaceGenerator
from streamer.blender import Blender, BlendResult
from streamer.color import crop_rgb
from streamer.face_reuse import DrawnFace, FaceReuse
from streamer.frames import Frame, GeneratedFace
from streamer.kept_pictures import KeptPictures, kept_picture
from streamer.key_log_records import Face, Record
from streamer.likeness import LikenessGuard
from streamer.media_info import Notices
from streamer.plan import FramePlan, PlannedFace

__all__ = ["RenderObserver", "RenderedFrame", "Renderer", "is_replaced"]

# A face that still correlates this much with the old one, or of which too little was painted,
# counts as not replaced (a generator that copies its input would do that).
_SAME_CORRELATION: Final = 0.985
_SAME_DIFFERENCE: Final = 4.0
_PAINTED_MIN: Final = 0.6
_GREY: Final = np.full(3, 1 / 3, np.float32)


class RenderObserver(Protocol):
    """Whoever counts what goes wrong; called by the thread that renders."""

    def guard_rejected(self, count: int) -> None:
        """So many synthetic faces of a frame still showed the person and were not used."""
        ...

    def engine_failed(self, text: str) -> None:
        """The generator failed for a frame, whose faces are covered instead."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrame:
    """An anonymised frame and what the key log must hold of it."""

    result: BlendResult
    records: tuple[Record, ...]


def is_replaced(crop: UInt8Array, face: UInt8Array, mask: Float32Array) -> bool:
    """Whether blending would really change eyes, nose and mouth.

    Args:
        crop: (S, S, 3) uint8 RGB original.
        face: (S, S, 3) uint8 RGB synthetic face.
        mask: (S, S) float32 blending weight.
    """
    core = _sampled_core(len(crop))
    weight = mask.reshape(-1)[core]
    if not np.isfinite(weight).all() or float(weight.mean()) < _PAINTED_MIN:
        return False
    old = crop.reshape(-1, 3)[core] @ _GREY
    new = old + weight * (face.reshape(-1, 3)[core] @ _GREY - old)
    if float(np.abs(new - old).mean()) >= _SAME_DIFFERENCE:
        return True
    a, b = old - old.mean(), new - new.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return spread > 0 and float((a * b).sum()) / spread < _SAME_CORRELATION


@cache
def _sampled_core(size: int) -> NDArray[np.int64]:
    """Pixels of eyes, nose and mouth, counted by rows: every other one of every other row."""
    rows, columns = np.nonzero(core_mask(size)[::2, ::2])
    return 2 * (rows * size + columns)


class Renderer:
    """Renders frames. Without reuse safe to call from several threads if the engine is.

    Args:
        generator: E_attr and G.
        blender: covers and blends.
        identities: identity id -> (512,) embedding of the new face; a face of another identity
            is covered.
        guard: rejects synthetic faces that still look like the person.
        keeps: what the key log keeps of original faces.
        notices: told when the generator fails.
        observer: told each time it fails or a guard refuses a face.
        reuse: lets late frames show faces of the frame before; None: each frame is drawn.
    """

    def __init__(
        self,
        generator: FaceGenerator,
        blender: Blender,
        identities: Mapping[int, Float32Array],
        *,
        guard: LikenessGuard | None,
        keeps: KeptPictures,
        notices: Notices,
        observer: RenderObserver | None = None,
        reuse: FaceReuse | None = None,
    ) -> None:
        self._reuse = reuse
        self._guard = guard
        self._observer = observer
        self._generator = generator
        self._blender = blender
        self._identities = identities
        self._keeps = keeps
        self._notices = notices

    def render(self, frame: Frame, plan: FramePlan, *, is_late: bool = False) -> RenderedFrame:
        """Anonymise one frame.

        Args:
            frame: the frame.
            plan: all its faces.
            is_late: faces that were drawn a frame ago may serve once more, where that is safe.

        Raises:
            CoverageError: a face cannot be covered.
        """
        crops = self._crops(frame, plan)
        faces = self._generate(frame, plan, crops, is_late=is_late)
        result = self._blender.blend(frame, plan, faces)
        records: list[Record] = []
        for face in plan:
            record = _face_record(frame, face, result)
            kept = kept_picture(
                self._keeps, frame, record, rect=result.rects_xywh_px.get(face.track_id),
                crop=crops.get(face.track_id), crop_size_px=self._generator.crop_size_px,
            )  # fmt: skip
            records += [record] if kept is None else [record, kept]
        return RenderedFrame(result, tuple(records))

    def _crops(self, frame: Frame, plan: FramePlan) -> dict[int, UInt8Array]:
        """Track id -> aligned original of the faces that are drawn."""
        size = self._generator.crop_size_px
        return {
            face.track_id: crop_rgb(frame.pixels, frame.color, face.frame_from_crop, size)
            for face in plan
            if face.frame_from_crop is not None and face.identity_id in self._identities
        }

    def _generate(
        self,
        frame: Frame,
        plan: FramePlan,
        crop_of: Mapping[int, UInt8Array],
        *,
        is_late: bool,
    ) -> dict[int, GeneratedFace]:
        wanted = [
            (face, face.frame_from_crop)
            for face in plan
            if face.frame_from_crop is not None and face.track_id in crop_of
        ]
        if not wanted:
            return {}
        crops = np.stack([crop_of[face.track_id] for face, _ in wanted])
        targets = np.stack([self._identities[face.identity_id] for face, _ in wanted])
        try:
            whose = [(face.track_id, face.identity_id) for face, _ in wanted]
            faces, masks = self._drawn(
                crops, targets, [track for track, _ in whose], frame.time_s, is_late=is_late
            )
            alike = [False] * len(wanted)
            if self._guard is not None:
                alike = self._guard.rejects(crops, faces, masks, whose, frame_index=frame.index)
        except EngineRunError as exc:
            # Fail closed: the faces of this frame are covered instead.
            text = f"a network failed, faces are covered instead: {exc}"
            self._notices.add(text)
            if self._observer is not None:
                self._observer.engine_failed(text)
            return {}
        usable = {
            face.track_id: GeneratedFace(face.track_id, faces[row], masks[row], matrix)
            for row, (face, matrix) in enumerate(wanted)
            if is_replaced(crops[row], faces[row], masks[row]) and not alike[row]
        }
        if self._observer is not None and len(usable) < len(wanted):
            self._observer.guard_rejected(len(wanted) - len(usable))
        return usable

    def _drawn(
        self,
        crops: UInt8Array,
        targets: Float32Array,
        tracks: Sequence[int],
        time_s: float,
        *,
        is_late: bool,
    ) -> tuple[UInt8Array, Float32Array]:
        """New faces and their masks; of late frames as few new ones as possible."""
        reuse, size = self._reuse, self._generator.crop_size_px
        faces, masks = np.empty_like(crops), np.empty(crops.shape[:3], np.float32)
        fresh = []
        for row, track in enumerate(tracks):
            last = None
            if reuse is not None and is_late:
                last = reuse.find(track, time_s=time_s, target=targets[row], crop=crops[row])
            if last is None:
                fresh.append(row)
            else:
                faces[row], masks[row] = last.face, last.mask
        if fresh:
            faces[fresh], alphas = self._generator.generate(crops[fresh], targets[fresh])
            masks[fresh] = alphas * face_mask(size)
        if reuse is not None:
            reuse.keep(tracks)
            for row in fresh:
                one = DrawnFace(time_s, targets[row], crops[row], faces[row], masks[row])
                reuse.remember(tracks[row], one)
        return faces, masks


def _face_record(frame: Frame, face: PlannedFace, result: BlendResult) -> Face:
    nothing = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    x1, y1, x2, y2 = (float(value) for value in face.box_xyxy_px)
    return Face(
        track_id=face.track_id,
        pts=frame.pts,
        box_xyxy_px=np.array([x1, y1, max(x1, x2), max(y1, y2)], np.float32),
        frame_from_crop=nothing if face.frame_from_crop is None else face.frame_from_crop,
        is_generated=face.track_id in result.replaced,
        is_filled=face.track_id in result.filled,
        is_coasting=face.is_coasting,
    )
