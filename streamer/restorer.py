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
from streamer.key_log import Face, SealedPatch
from streamer.recovery_scale import Scale, scaled_planes
from streamer.sealed_patch import decode_planes, paste_planes_into

__all__ = ["RecoveredFrame", "Restorer"]

# Private, as in `streamer.blender`: recovered frames come from here and nowhere else.
_SEAL: Final = object()
_SAME: Final = Scale()


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
        identities: track id -> (512,) embedding to give its face; other tracks stay as they are.
    """

    def __init__(self, generator: FaceGenerator, identities: Mapping[int, Float32Array]) -> None:
        self._generator = generator
        self._identities = identities

    def wanted(self, faces: Sequence[Face]) -> list[Face]:
        """Those of the faces that `generate` draws again."""
        return [f for f in faces if f.is_generated and f.track_id in self._identities]

    def generate(self, frame: Frame, faces: Sequence[Face]) -> RecoveredFrame:
        """Generative and assisted recovery: G(z, E_attr(Y)) in place of each synthetic face.

        Filled faces stay filled: there is nothing behind them to work from.
        """
        canvas = frame.pixels.copy()
        wanted = self.wanted(faces)
        if wanted:
            size = self._generator.crop_size_px
            crops = np.stack(
                [crop_rgb(frame.pixels, frame.color, f.frame_from_crop, size) for f in wanted]
            )
            targets = np.stack([self._identities[f.track_id] for f in wanted])
            made, alphas = self._generator.generate(crops, targets)
            for row, face in enumerate(wanted):
                mask = alphas[row] * face_mask(size)
                paste_rgb_into(canvas, frame.color, made[row], mask, face.frame_from_crop)
        return self._finish(frame, canvas)

    def unseal(
        self, frame: Frame, patches: Sequence[SealedPatch], scale: Scale = _SAME
    ) -> RecoveredFrame:
        """Sealed recovery: the original regions, as they were decoded; scaled like the frame.

        Raises:
            MediaError: the picture ends before a region does: it was cut to another shape.
        """
        canvas = frame.pixels.copy()
        height, width = frame.size_hw
        for patch in patches:
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
        return self._finish(frame, canvas)

    def _finish(self, frame: Frame, canvas: UInt8Array) -> RecoveredFrame:
        canvas.setflags(write=False)
        return RecoveredFrame(canvas, frame.color, frame.pts, frame.time_base, seal=_SEAL)
