"""How much a new face looks like a face: what the detector makes of it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.detector import FaceDetector

__all__ = ["FaceLooks"]

# Room around a crop, a tenth of its side.
_MARGIN_RATIO: Final = 0.1
_LEAST: Final = 0.05


class FaceLooks:
    """Scores new faces. Safe to call from several threads if the detector's engine is.

    Spots, doubled features and torn edges make a detector less sure of a face. The score differs
    more between people and poses than between the keys of a person, so only faces of one view can
    be compared (docs/decisions/0077).

    Args:
        detector: the one that finds faces.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def of(self, crops: UInt8Array) -> Float32Array:
        """How sure the detector is of each crop.

        Args:
            crops: (N, S, S, 3) uint8 RGB aligned crops, new faces blended in.

        Returns:
            (N,) float32 in [0, 1]; 0 where it sees none.

        Raises:
            EngineRunError: the network failed.
        """
        margin = round(_MARGIN_RATIO * crops.shape[1])
        edge = (margin,) * 4
        framed = [
            np.asarray(cv2.copyMakeBorder(crop, *edge, cv2.BORDER_REPLICATE), np.uint8)
            for crop in crops
        ]
        found = self._detector.detect(framed, threshold=_LEAST, long_side_px=framed[0].shape[0])
        return np.array([one.scores.max() if len(one) else 0.0 for one in found], np.float32)
