"""What a key log keeps of the pictures of original faces: all of them, thumbnails, or nothing."""

from __future__ import annotations

from enum import Enum, auto

from engines.arrays import UInt8Array
from streamer.config import KeyLogConfig
from streamer.frames import Frame
from streamer.key_log_records import SealedPatch, Thumbnail
from streamer.plan import PlannedFace
from streamer.sealed_patch import seal_region
from streamer.thumbnail import encode_thumbnail

__all__ = ["KeptPictures", "kept_picture", "kept_pictures"]


class KeptPictures(Enum):
    """What is kept of each original face."""

    NOTHING = auto()
    THUMBNAILS = auto()
    ORIGINALS = auto()
    LOSSLESS = auto()


def kept_pictures(log: KeyLogConfig) -> KeptPictures:
    """What the log of a job is to hold. Originals make thumbnails needless."""
    if log.irreversible:
        return KeptPictures.NOTHING
    if log.seal:
        return KeptPictures.LOSSLESS if log.lossless else KeptPictures.ORIGINALS
    has_thumbnails = log.assisted and log.thumbnails
    return KeptPictures.THUMBNAILS if has_thumbnails else KeptPictures.NOTHING


def kept_picture(
    kept: KeptPictures,
    frame: Frame,
    face: PlannedFace,
    *,
    rect: tuple[int, int, int, int] | None,
    crop: UInt8Array | None,
) -> SealedPatch | Thumbnail | None:
    """The record of one face, or None.

    Args:
        kept: what is kept.
        frame: the original.
        face: where its face is.
        rect: x, y, width, height of what was changed in the frame; None: nothing.
        crop: (S, S, 3) uint8 RGB, the aligned original; None: the face has no place to align to.
    """
    if kept is KeptPictures.THUMBNAILS:
        if crop is None:
            return None
        return Thumbnail(face.track_id, frame.pts, encode_thumbnail(crop))
    if kept is KeptPictures.NOTHING or rect is None:
        return None
    is_lossless = kept is KeptPictures.LOSSLESS
    return seal_region(
        frame.pixels, rect, track_id=face.track_id, pts=frame.pts, is_lossless=is_lossless
    )
