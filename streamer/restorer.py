"""Restoring: the only place where a frame of an anonymised video gets original faces back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import InitVar, dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.errors import MediaError
from engines.face_mask import face_mask
from engines.generator import FaceGenerator
from streamer.color import crop_rgb, paste_rgb_into
from streamer.frames import ColorSpec, Frame
from streamer.key_log import Face
from streamer.recovery_log import PlacedRecords
from streamer.recovery_scale import scaled_planes
from streamer.sealed_patch import decode_planes, paste_planes_into
from streamer.thumbnail import decode_thumbnail, enlarged, held_to, reduced, thumbnail_place

__all__ = ["RecoveredFrame", "Restorer", "pictured_tracks"]

# Private, as in `streamer.blender`: recovered frames come from here and nowhere else.
_SEAL: Final = object()


@dataclass(frozen=True, slots=True, eq=False)
class RecoveredFrame:
    """A frame that shows original faces on purpose; only `Restorer` builds one.

    Attributes:
        pixels: (3H/2, W) uint8 I420, read-only.
        color: how to read the planes.
        pts: presentation time in units of `time_base`.
        time_base: seconds per unit.
    """

    pixels: UInt8Array
    color: ColorSpec
    pts: int
    time_base: Fraction
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only Restorer builds RecoveredFrame")


class Restorer:
    """Puts faces back. Safe to call from several threads if the generator's engine is.

    Args:
        generator: E_attr and G.
        identities: track id -> (512,) embedding to give its face; other tracks stay as they are,
            or show no more than their thumbnails do.
    """

    def __init__(self, generator: FaceGenerator, identities: Mapping[int, Float32Array]) -> None:
        self._generator = generator
        self._identities = identities

    def wanted(self, faces: Sequence[Face], pictured: Collection[int] = ()) -> list[Face]:
        """The faces that are drawn again: synthetic ones of known tracks, and `pictured` tracks."""
        known = self._identities
        return [
            face
            for face in faces
            if face.track_id in pictured or (face.is_generated and face.track_id in known)
        ]

    def generate(self, frame: Frame, faces: Sequence[Face]) -> RecoveredFrame:
        """Generative recovery: G(z, E_attr(Y)) in place of each synthetic face.

        Filled faces stay filled: there is nothing behind them to work from.
        """
        return self._draw(frame, self.wanted(faces), {})

    def assist(self, frame: Frame, records: PlacedRecords) -> RecoveredFrame:
        """Assisted recovery: G(z, E_attr(Y)), held to the thumbnails of the original faces.

        Where a log has originals instead, what a thumbnail would show is taken from them. A filled
        face, or one whose identity is not known, comes back as its thumbnail shows it.

        Raises:
            MediaError: see `unseal`.
        """
        wanted = self.wanted(records.faces, pictured_tracks(records))
        return self._draw(frame, wanted, self._thumbnails(frame, records))

    def _thumbnails(self, frame: Frame, records: PlacedRecords) -> dict[int, UInt8Array]:
        """Track id -> (40, 40, 3) uint8 RGB of the original."""
        found = {t.track_id: decode_thumbnail(t.payload) for t in records.thumbnails}
        sealed = {patch.track_id for patch in records.patches} - set(found)
        if sealed:
            pixels, size = self._unsealed(frame, records), self._generator.crop_size_px
            for face in records.faces:
                if face.track_id in sealed:
                    crop = crop_rgb(pixels, frame.color, thumbnail_place(face, size), size)
                    found[face.track_id] = reduced(crop)
        return found

    def _draw(
        self, frame: Frame, wanted: Sequence[Face], thumbnails: Mapping[int, UInt8Array]
    ) -> RecoveredFrame:
        canvas, size = frame.pixels.copy(), self._generator.crop_size_px
        known = [f for f in wanted if f.is_generated and f.track_id in self._identities]
        made = self._made(frame, known)
        for face in wanted:
            drawn, mask = made.get(face.track_id, (None, None))
            thumbnail = thumbnails.get(face.track_id)
            if thumbnail is not None:
                drawn = enlarged(thumbnail, size) if drawn is None else held_to(thumbnail, drawn)
            if mask is None:
                # A cover reaches over the whole box.
                mask = face_mask(size) if face.is_generated else np.ones((size, size), np.float32)
            if drawn is not None:
                paste_rgb_into(canvas, frame.color, drawn, mask, thumbnail_place(face, size))
        return self._finish(frame, canvas)

    def _made(
        self, frame: Frame, faces: Sequence[Face]
    ) -> dict[int, tuple[UInt8Array, Float32Array]]:
        """Track id -> (S, S, 3) uint8 RGB of the face that its identity gives, and its mask."""
        if not faces:
            return {}
        size = self._generator.crop_size_px
        crops = [crop_rgb(frame.pixels, frame.color, f.frame_from_crop, size) for f in faces]
        targets = np.stack([self._identities[face.track_id] for face in faces])
        made, alphas = self._generator.generate(np.stack(crops), targets)
        masks = alphas * face_mask(size)
        return {face.track_id: (made[row], masks[row]) for row, face in enumerate(faces)}

    def unseal(self, frame: Frame, records: PlacedRecords) -> RecoveredFrame:
        """Sealed recovery: the original regions, as they were decoded; scaled like the frame.

        Raises:
            MediaError: the picture ends before a region does: it was cut to another shape.
        """
        return self._finish(frame, self._unsealed(frame, records))

    def _unsealed(self, frame: Frame, records: PlacedRecords) -> UInt8Array:
        """(3H/2, W) uint8 I420 with the original regions in it."""
        canvas, scale = frame.pixels.copy(), records.scale
        height, width = frame.size_hw
        for patch in records.patches:
            planes = decode_planes(patch.payload, width=patch.width, height=patch.height)
            x, y = patch.x, patch.y
            if not scale.is_one:
                planes, (x, y) = scaled_planes(planes, x=x, y=y, scale=scale)
            if x + planes.y.shape[1] > width or y + planes.y.shape[0] > height:
                raise MediaError(
                    f"a face was sealed at {patch.x},{patch.y} {patch.width}x{patch.height}, but "
                    f"the picture is {width}x{height}: it was cut to another shape after it was "
                    "anonymised; recover the file that anonymize wrote"
                )
            paste_planes_into(canvas, planes, x=x, y=y)
        return canvas

    def _finish(self, frame: Frame, canvas: UInt8Array) -> RecoveredFrame:
        canvas.setflags(write=False)
        return RecoveredFrame(canvas, frame.color, frame.pts, frame.time_base, seal=_SEAL)


def pictured_tracks(records: PlacedRecords) -> frozenset[int]:
    """Tracks of which the log holds a picture for this frame."""
    return frozenset(p.track_id for p in records.patches) | {t.track_id for t in records.thumbnails}
