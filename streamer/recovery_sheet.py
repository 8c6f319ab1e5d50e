"""The contact sheet of a recovery: moments of each track, anonymised above, brought back below."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from engines.arrays import UInt8Array
from engines.errors import ConfigError, SinkError
from streamer.recovery_samples import SAMPLE_PX, Sample

__all__ = ["png_bytes", "write_private", "write_sheet"]

_GAP_PX: Final = 6
_TEXT_PX: Final = 20
_LABEL_PX: Final = 150
_PAPER: Final = 250
_INK: Final = (30, 30, 30)


def write_sheet(
    path: Path, samples: Sequence[Sample], *, title: Sequence[str], overwrite: bool
) -> None:
    """Write the sheet as a PNG of mode 0600.

    Args:
        path: where it goes.
        samples: the pictures.
        title: lines above them.
        overwrite: replace an existing file.

    Raises:
        ConfigError: there is nothing to show.
        SinkError: it cannot be written.
    """
    if not samples:
        raise ConfigError(f"{path}: no face came back, so there is nothing to show on a sheet")
    by_track: dict[int, list[Sample]] = {}
    for sample in samples:
        by_track.setdefault(sample.track_id, []).append(sample)
    columns = max(map(len, by_track.values()))
    width = max(_LABEL_PX + columns * (SAMPLE_PX + _GAP_PX) + _GAP_PX, 700)
    rows = [_line(text, width) for text in title]
    for track_id in sorted(by_track):
        rows.append(_row(track_id, by_track[track_id], width))
    write_private(path, png_bytes(np.vstack(rows)), overwrite=overwrite)


def png_bytes(picture: UInt8Array) -> bytes:
    """A picture (H, W, 3) uint8 RGB as PNG."""
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not done:
        raise SinkError("a picture cannot be coded as PNG")
    return data.tobytes()


def write_private(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write a file of mode 0600: what comes back is for those who asked.

    Raises:
        SinkError: it exists, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        if overwrite:
            path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
    except FileExistsError:
        raise SinkError(f"{path} exists already; use --overwrite to replace it") from None
    except OSError as exc:
        raise SinkError(f"cannot write {path}: {exc.strerror}") from None


def _row(track_id: int, samples: Sequence[Sample], width: int) -> UInt8Array:
    height = 2 * (SAMPLE_PX + _GAP_PX) + _TEXT_PX
    row = np.full((height, width, 3), _PAPER, np.uint8)
    _write(row, f"track {track_id}", _GAP_PX, _TEXT_PX)
    _write(row, "anonymised", _GAP_PX, _TEXT_PX + SAMPLE_PX // 2)
    _write(row, "recovered", _GAP_PX, _TEXT_PX + _GAP_PX + SAMPLE_PX * 3 // 2)
    for number, sample in enumerate(samples):
        left = _LABEL_PX + number * (SAMPLE_PX + _GAP_PX)
        mark = "" if sample.placed.how == "proven" else " (by time)"
        _write(row, f"{sample.time_s:.3f} s{mark}", left, _TEXT_PX - 6)
        for top, picture in (
            (_TEXT_PX, sample.anonymised),
            (_TEXT_PX + SAMPLE_PX + _GAP_PX, sample.recovered),
        ):
            row[top : top + SAMPLE_PX, left : left + SAMPLE_PX] = picture
    return row


def _line(text: str, width: int) -> UInt8Array:
    line = np.full((_TEXT_PX, width, 3), _PAPER, np.uint8)
    _write(line, text, _GAP_PX, _TEXT_PX - 6)
    return line


def _write(picture: UInt8Array, text: str, x: int, y: int) -> None:
    # OpenCV's fonts know ASCII only.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(picture, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
