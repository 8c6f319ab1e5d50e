"""The face generator: aligned crops and wanted identities to new faces."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from engines.arrays import AnyArray, Float32Array, UInt8Array, require_array
from engines.errors import EngineRunError
from engines.preprocess import to_tensor
from engines.protocols import Engine
from engines.types import EngineInfo

__all__ = ["FaceGenerator"]

_CROP: Final = "crop"
_IDENTITY: Final = "identity"
_FACE: Final = "face"
_ALPHA: Final = "alpha"
_HALF_RANGE: Final = 127.5


class FaceGenerator:
    """Makes a new face for each aligned crop.

    Owns the engine. One call at a time, as for the engine itself.

    Args:
        engine: A network with inputs ``crop`` and ``identity`` and outputs ``face`` and ``alpha``.
        max_batch: Faces in one run of the network; larger requests are split, which bounds the
            memory that a crowd in the picture can take.

    Raises:
        ValueError: The network has other inputs or outputs, or its crop is not square.
    """

    def __init__(self, engine: Engine, *, max_batch: int = 8) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be positive, got {max_batch}")
        inputs = {spec.name: spec for spec in engine.inputs}
        outputs = {spec.name for spec in engine.outputs}
        if set(inputs) != {_CROP, _IDENTITY} or not {_FACE, _ALPHA} <= outputs:
            raise ValueError(
                f"a generator takes crop and identity and gives face and alpha, "
                f"not {sorted(inputs)} and {sorted(outputs)}"
            )
        shape = inputs[_CROP].shape
        if len(shape) != 4 or shape[1] != 3 or shape[2] is None or shape[2] != shape[3]:
            raise ValueError(
                f"the generator's crop must be (N, 3, S, S) with a fixed S, not {shape}"
            )
        self._engine = engine
        self._size_px = int(shape[2])
        self._dim = inputs[_IDENTITY].shape[-1]
        self._max_batch = min(max_batch, shape[0] or max_batch)

    @property
    def crop_size_px(self) -> int:
        """Side S of the crops."""
        return self._size_px

    def generate(
        self, crops: UInt8Array, identities: Float32Array
    ) -> tuple[UInt8Array, Float32Array]:
        """New faces: protects with a turned identity, and recovers with the original one.

        Args:
            crops: (N, S, S, 3) uint8 RGB.
            identities: (N, 512) float32 unit vectors, the wanted identity of each crop.

        Returns:
            Faces (N, S, S, 3) uint8 RGB, and alphas (N, S, S) float32 in [0, 1]: where a face
            replaces its crop. Both belong to the caller.

        Raises:
            EngineRunError: The network failed or gave values that are not finite.
        """
        size, count = self._size_px, len(crops)
        require_array("crops", crops, (None, size, size, 3), np.uint8)
        require_array("identities", identities, (count, self._dim), np.float32)
        faces = np.empty((count, size, size, 3), np.uint8)
        alphas = np.empty((count, size, size), np.float32)
        for start in range(0, count, self._max_batch):
            part = slice(start, start + self._max_batch)
            faces[part], alphas[part] = self._run(crops[part], identities[part])
        return faces, alphas

    def _run(self, crops: UInt8Array, identities: Float32Array) -> tuple[UInt8Array, Float32Array]:
        pixels = to_tensor(list(crops), mean=_HALF_RANGE, std=_HALF_RANGE)
        out = self._engine.infer({_CROP: pixels, _IDENTITY: identities})
        face, alpha = out[_FACE], out[_ALPHA]
        square = (self._size_px, self._size_px)
        self._check(_FACE, face, (len(crops), 3, *square))
        self._check(_ALPHA, alpha, (len(crops), 1, *square))
        pictures = np.stack([_picture(planes) for planes in face])
        return pictures, alpha[:, 0].clip(0, 1)

    @staticmethod
    def _check(name: str, array: AnyArray, shape: tuple[int, ...]) -> None:
        # A NaN would become some byte and look like a face that was made: fail closed instead.
        if array.shape != shape or not np.isfinite(array).all():
            raise EngineRunError(
                f"the generator's {name} is {array.shape}, expected {shape} with finite values"
            )

    def warm_up(self) -> None:
        """Run once, so that the first face is not late."""
        identity = np.zeros((1, self._dim or 1), np.float32)
        identity[0, 0] = 1
        self.generate(np.zeros((1, self._size_px, self._size_px, 3), np.uint8), identity)

    def describe(self) -> EngineInfo:
        """What runs here."""
        return self._engine.describe()

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()


def _picture(planes: Float32Array) -> UInt8Array:
    """(3, S, S) float32 in [-1, 1] to (S, S, 3) uint8, rounded and kept in range."""
    scaled = [
        cv2.addWeighted(plane, _HALF_RANGE, plane, 0.0, _HALF_RANGE, dtype=cv2.CV_8U)
        for plane in planes
    ]
    return np.asarray(cv2.merge(scaled), np.uint8)
