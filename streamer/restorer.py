"""Restoring: the only place where a frame of an anonymised video gets original faces back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from streamer.key_log import Face, Thumbnail
from streamer.recovery_log import PlacedRecords
from streamer.recovery_scale import scaled_planes
from streamer.sealed_patch import decode_planes, paste_planes_into
from streamer.thumbnail import decode_thumbnail, enlarged, held_to, reduced

__all__ = ["RecoveredFrame", "Restorer"]

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

    def wanted(self, faces: Sequence[Face], thumbnails: Sequence[Thumbnail] = ()) -> list[Face]:
        """The faces that are drawn again: synthetic ones of known tracks, and all on thumbnails."""
        known, pictured = self._identities, {thumbnail.track_id for thumbnail in thumbnails}
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
        face is drawn from its thumbnail; one of an unknown identity comes back as that shows it.

        Raises:
            MediaError: see `unseal`.
        """
        thumbnails = self._thumbnails(frame, records)
        return self._draw(frame, self.wanted(records.faces, records.thumbnails), thumbnails)

    def _thumbnails(self, frame: Frame, records: PlacedRecords) -> dict[int, UInt8Array]:
        """Track id -> (40, 40, 3) uint8 RGB of the original."""
        found = {}
        if records.patches:
            pixels, size = self._unsealed(frame, records), self._generator.crop_size_px
            sealed = {patch.track_id for patch in records.patches}
            found = {
                face.track_id: reduced(crop_rgb(pixels, frame.color, face.frame_from_crop, size))
                for face in records.faces
                if face.is_generated and face.track_id in sealed
            }
        return found | {t.track_id: decode_thumbnail(t.payload) for t in records.thumbnails}

    def _draw(
        self, frame: Frame, wanted: Sequence[Face], thumbnails: Mapping[int, UInt8Array]
    ) -> RecoveredFrame:
        canvas, size = frame.pixels.copy(), self._generator.crop_size_px
        if not wanted:
            return self._finish(frame, canvas)
        faces = np.stack([_seen(frame, face, thumbnails, size) for face in wanted])
        masks = np.stack([face_mask(size)] * len(wanted))
        known = [row for row, face in enumerate(wanted) if face.track_id in self._identities]
        if known:
            targets = np.stack([self._identities[wanted[row].track_id] for row in known])
            faces[known], alphas = self._generator.generate(faces[known], targets)
            for row, alpha in zip(known, alphas, strict=True):
                # What lies in front of a filled face is hidden, too.
                masks[row] *= alpha if wanted[row].is_generated else 1.0
        for face, made, mask in zip(wanted, faces, masks, strict=True):
            thumbnail = thumbnails.get(face.track_id)
            drawn = made if thumbnail is None else held_to(thumbnail, made)
            paste_rgb_into(canvas, frame.color, drawn, mask, face.frame_from_crop)
        return self._finish(frame, canvas)

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


def _seen(
    frame: Frame, face: Face, thumbnails: Mapping[int, UInt8Array], size_px: int
) -> UInt8Array:
    """(S, S, 3) uint8 RGB: what the generator looks at; behind a cover the thumbnail is all."""
    if face.is_generated or face.track_id not in thumbnails:
        return crop_rgb(frame.pixels, frame.color, face.frame_from_crop, size_px)
    return enlarged(thumbnails[face.track_id], size_px)
