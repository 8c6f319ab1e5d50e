"""Likeness guard: a synthetic face that still looks like the person is not used."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.face_mask import blended, face_mask
from engines.generator import FaceGenerator
from streamer.aligner import encoder_views

__all__ = ["LikenessGuard", "redrawn", "seen_embeddings"]

# Answers this near to the limit hold for their own frame only: a face turns, and the cosine with
# it, by less than this in a fifth of a second.
_NEAR = 0.08
_MOST_REMEMBERED = 256


def seen_embeddings(
    embedder: FaceEmbedder, crops: UInt8Array, faces: UInt8Array, masks: Float32Array
) -> Float32Array:
    """Who would be seen, once the new faces are blended in.

    Args:
        embedder: E_id.
        crops: (N, S, S, 3) uint8 RGB originals.
        faces: (N, S, S, 3) uint8 RGB synthetic faces.
        masks: (N, S, S) float32 in [0, 1], share of the new face in what will be seen.

    Returns:
        (N, D) float32 unit embeddings.

    Raises:
        EngineRunError: The network failed.
    """
    return embedder.embed(encoder_views(blended(crops, faces, masks)))


def redrawn(generator: FaceGenerator, crops: UInt8Array, identities: Float32Array) -> UInt8Array:
    """The crops with the faces of `identities` (N, 512) drawn into them.

    Args:
        generator: E_attr and G.
        crops: (N, S, S, 3) uint8 RGB, S as the generator wants it.
        identities: (N, 512) unit embeddings.

    Returns:
        (N, S, S, 3) uint8 RGB.

    Raises:
        EngineRunError: The network failed.
    """
    faces, alphas = generator.generate(crops, identities)
    return blended(crops, faces, alphas * face_mask(generator.crop_size_px))


class LikenessGuard:
    """Compares what would be seen with who the person is. Thread-safe if the embedder's engine is.

    It asks the encoder that ships, so it stops what that encoder notices and no more; how much
    other recognisers notice is measured in benchmarks/exposure.py. The encoder costs half as much
    as the generator, so a face of which it was quite sure is not asked about again for a few
    frames; one that comes anywhere near is asked about in every frame.

    Args:
        embedder: E_id.
        originals: identity id -> (512,) unit embedding of the person.
        most_alike: cosine from which a synthetic face counts as the person.
        rest_frames: frames for which a clear answer holds.
    """

    def __init__(
        self,
        embedder: FaceEmbedder,
        originals: Mapping[int, Float32Array],
        *,
        most_alike: float,
        rest_frames: int = 5,
    ) -> None:
        self._embedder = embedder
        self._originals = originals
        self._most_alike = most_alike
        self._rest_frames = rest_frames
        self._lock = threading.Lock()
        self._clear_at: dict[int, int] = {}

    def rejects(
        self,
        crops: UInt8Array,
        faces: UInt8Array,
        masks: Float32Array,
        whose: Sequence[tuple[int, int]],
        *,
        frame_index: int,
    ) -> list[bool]:
        """Which synthetic faces must not be shown.

        Args:
            crops: (N, S, S, 3) uint8 RGB originals.
            faces: (N, S, S, 3) uint8 RGB synthetic faces.
            masks: (N, S, S) float32 in [0, 1], share of the new face in what will be seen.
            whose: track and identity of each.
            frame_index: number of the frame.
        """
        asked = [row for row, (track, _) in enumerate(whose) if self._is_due(track, frame_index)]
        alike = [False] * len(whose)
        if not asked:
            return alike
        found = seen_embeddings(self._embedder, crops[asked], faces[asked], masks[asked])
        for row, embedding in zip(asked, found, strict=True):
            track, identity = whose[row]
            cosine = float(embedding @ self._originals[identity])
            alike[row] = cosine >= self._most_alike
            if cosine < self._most_alike - _NEAR:
                self._note_clear(track, frame_index)
        return alike

    def _is_due(self, track: int, frame_index: int) -> bool:
        with self._lock:
            clear_at = self._clear_at.get(track)
        # Frames are drawn in parallel; an answer holds for later frames only.
        return clear_at is None or not clear_at <= frame_index < clear_at + self._rest_frames

    def _note_clear(self, track: int, frame_index: int) -> None:
        with self._lock:
            self._clear_at[track] = frame_index
            if len(self._clear_at) > _MOST_REMEMBERED:
                old = frame_index - self._rest_frames
                self._clear_at = {key: at for key, at in self._clear_at.items() if at > old}
