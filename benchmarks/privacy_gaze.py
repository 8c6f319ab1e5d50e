"""Where the dark of the eye lies in its opening: a stand-in for gaze, which no model reads here."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from engines.arrays import Float64Array, UInt8Array

__all__ = ["dark_centres"]

# First of the six points of each eye in the 68-point order: outer or inner corner, upper lid,
# other corner, lower lid.
_EYES: Final = (36, 42)
# An eye is looked at with its corners here, on a patch so large.
_CORNERS: Final = np.array([[8.0, 24.0], [88.0, 24.0]])
_PATCH_WH: Final = (96, 48)
_EYE_WIDTH_PX: Final = 80.0
_BRIGHT_PERCENTILE: Final = 90
_LEAST_PX: Final = 100


def dark_centres(crops: UInt8Array, points: Float64Array) -> Float64Array:
    """The middle of the dark in each eye's opening, in eye widths from the middle of its corners.

    Iris and pupil are the darkest in an open eye, so the middle moves with them; so it does with
    shadows of lids and lashes. Differences between two pictures of one face mean more than values.

    Args:
        crops: (N, H, W, 3) uint8 RGB.
        points: (N, K, 2) landmarks in the 68-point order, of which points 36 to 47 are used.

    Returns:
        (N, 2, 2): for each eye along and across the line through its corners; NaN where the eye is
        shut or its landmarks are no eye.
    """
    out = np.full((len(crops), len(_EYES), 2), np.nan)
    for row, (crop, face) in enumerate(zip(crops, points, strict=True)):
        gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        for eye, first in enumerate(_EYES):
            out[row, eye] = _dark_centre(np.asarray(gray), face[first : first + 6])
    return out


def _dark_centre(gray: UInt8Array, opening: Float64Array) -> Float64Array:
    """One eye of an (H, W) picture with its (6, 2) points."""
    across = opening[3] - opening[0]
    if np.linalg.norm(across) < 2:
        return np.full(2, np.nan)
    # The similarity that brings the corners to their places, as one complex factor.
    wanted = complex(*(_CORNERS[1] - _CORNERS[0])) / complex(*across)
    turn = np.array([[wanted.real, -wanted.imag], [wanted.imag, wanted.real]])
    shift = _CORNERS[0] - turn @ opening[0]
    matrix = np.column_stack([turn, shift])
    patch = cv2.warpAffine(gray, matrix, _PATCH_WH, flags=cv2.INTER_LINEAR)
    outline = np.rint(opening @ turn.T + shift).astype(np.int32)
    inside = cv2.fillPoly(np.zeros(_PATCH_WH[::-1], np.uint8), [outline], 1) > 0
    if inside.sum() < _LEAST_PX:
        return np.full(2, np.nan)
    shown = patch.astype(np.float64)
    dark = np.maximum(np.percentile(shown[inside], _BRIGHT_PERCENTILE) - shown, 0) ** 2 * inside
    if dark.sum() <= 0:
        return np.full(2, np.nan)
    rows, columns = np.indices(dark.shape)
    middle = np.array([(dark * columns).sum(), (dark * rows).sum()]) / dark.sum()
    return np.asarray((middle - _CORNERS.mean(0)) / _EYE_WIDTH_PX, np.float64)
