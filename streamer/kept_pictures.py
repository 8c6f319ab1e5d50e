"""What a key log keeps of the pictures of original faces: all of them, thumbnails, or nothing."""

from __future__ import annotations

from enum import Enum, auto

from engines.arrays import UInt8Array
from streamer.color import crop_rgb
from streamer.config import KeyLogConfig
from streamer.frames import Frame
from streamer.key_log_records import Face, SealedPatch, Thumbnail
from streamer.sealed_patch import seal_region
from streamer.thumbnail import encode_thumbnail, thumbnail_place

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
    face: Face,
    *,
    rect: tuple[int, int, int, int] | None,
    crop: UInt8Array | None,
    crop_size_px: int,
) -> SealedPatch | Thumbnail | None:
    """The record of one face, or None.

    Args:
        kept: what is kept.
        frame: the original.
        face: where its face is.
        rect: x, y, width, height of what was changed in the frame; None: nothing.
        crop: (S, S, 3) uint8 RGB, the aligned original that a new face was drawn for, if any.
        crop_size_px: S.
    """
    if kept is KeptPictures.NOTHING or rect is None:
        return None
    if kept is KeptPictures.THUMBNAILS:
        if crop is None or not face.is_generated:
            place = thumbnail_place(face, crop_size_px)
            crop = crop_rgb(frame.pixels, frame.color, place, crop_size_px)
        return Thumbnail(face.track_id, frame.pts, encode_thumbnail(crop))
    is_lossless = kept is KeptPictures.LOSSLESS
    return seal_region(
        frame.pixels, rect, track_id=face.track_id, pts=frame.pts, is_lossless=is_lossless
    )
