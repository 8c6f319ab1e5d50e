"""The face embedder: aligned crops to unit embeddings."""

from __future__ import annotations

from typing import Final

import numpy as np

from engines.arrays import Float32Array, UInt8Array, require_array
from engines.errors import EngineRunError
from engines.protocols import Engine
from engines.types import EngineInfo

__all__ = ["EMBEDDER_SIZE_PX", "FaceEmbedder"]

EMBEDDER_SIZE_PX: Final = 112
# Shorter raw outputs carry no direction: a model that gives them is broken.
_SHORTEST_LENGTH: Final = 1e-6


class FaceEmbedder:
    """Turns aligned crops into embeddings with any ArcFace-style network.

    The network takes (N, 3, 112, 112) float32 RGB and gives one vector for each crop; its output
    need not be normalised. Owns the engine. One call at a time, as for the engine itself.

    Args:
        engine: The loaded network.
        mean: Subtracted from pixel values 0..255, as the manifest says.
        std: Divides the difference.

    Raises:
        ValueError: The network does not take 112x112 RGB crops.
    """

    def __init__(self, engine: Engine, *, mean: float = 127.5, std: float = 127.5) -> None:
        if std <= 0:
            raise ValueError(f"std must be positive, got {std}")
        wanted = (3, EMBEDDER_SIZE_PX, EMBEDDER_SIZE_PX)
        spec = engine.inputs[0]
        sizes = zip(spec.shape[1:], wanted, strict=False)
        if len(spec.shape) != 4 or any(have not in (None, want) for have, want in sizes):
            raise ValueError(
                f"an embedder takes (N, {', '.join(map(str, wanted))}), not {spec.shape}"
            )
        self._engine = engine
        self._mean = np.float32(mean)
        self._std = np.float32(std)
        self._input = spec.name
        self._output = engine.outputs[0].name
        # Some drop-in models are exported for a fixed number of crops.
        self._batch = spec.shape[0]

    def embed(self, crops: UInt8Array) -> Float32Array:
        """Embed aligned crops.

        Args:
            crops: (N, 112, 112, 3) uint8 RGB.

        Returns:
            (N, D) float32, each row of length 1; D is 512 for the models we ship.

        Raises:
            EngineRunError: The network failed or gave something that is no embedding.
        """
        size = EMBEDDER_SIZE_PX
        require_array("crops", crops, (None, size, size, 3), np.uint8)
        pixels = (crops.transpose(0, 3, 1, 2).astype(np.float32) - self._mean) / self._std
        step = self._batch or max(len(pixels), 1)
        rows = [self._run(pixels[i : i + step], step) for i in range(0, len(pixels), step)]
        if not rows:
            return np.zeros((0, self._engine.outputs[0].shape[-1] or 0), np.float32)
        return _unit(np.concatenate(rows))

    def _run(self, pixels: Float32Array, step: int) -> Float32Array:
        count = len(pixels)
        if self._batch is not None and count < step:
            pixels = np.concatenate([pixels, np.zeros_like(pixels[:1]).repeat(step - count, 0)])
        raw = self._engine.infer({self._input: np.ascontiguousarray(pixels)})[self._output]
        if raw.ndim != 2 or len(raw) != len(pixels):
            raise EngineRunError(f"the embedder gave shape {raw.shape} for {len(pixels)} crops")
        return np.asarray(raw[:count], np.float32)

    def warm_up(self) -> None:
        """Run once, so that the first face is not late."""
        self.embed(np.zeros((1, EMBEDDER_SIZE_PX, EMBEDDER_SIZE_PX, 3), np.uint8))

    def describe(self) -> EngineInfo:
        """What runs here."""
        return self._engine.describe()

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()


def _unit(raw: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    # Written so that NaN fails too.
    if not np.all(lengths > _SHORTEST_LENGTH):
        raise EngineRunError("the embedder gave a vector without a direction (zero or not finite)")
    return np.asarray(raw / lengths, np.float32)
