"""What recovery from the password alone would bring back, asked before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.generator import FaceGenerator
from streamer.aligner import encoder_views
from streamer.identity import IdentitySpace
from streamer.identity_prior import IdentityPrior
from streamer.likeness import redrawn
from streamer.reader import WantedReader

__all__ = ["KeyRecalls", "ReaderRecall", "Recalled"]


class KeyRecalls(Protocol):
    """Whoever can turn an identity back that was read."""

    def recall(
        self, identity_id: int, read: Float32Array, attempt: int, prior: IdentityPrior | None
    ) -> Float32Array:
        """The (K,) unit coordinates that key number ``attempt`` leads back to."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Recalled:
    """What recovery makes of a new face.

    Attributes:
        back: (K,) unit coordinates that it finds.
        likeness: cosine of the person and the face that it draws for them.
    """

    back: Float32Array
    likeness: float


class ReaderRecall:
    """Reads new faces and draws people back as recovery does. Thread-safe if the engines are.

    How near the identity is that recovery finds says little about how near the face is that it
    draws, so the face is drawn (docs/decisions/0083).

    Args:
        reader: the generator's.
        keys: of the job.
        space: of the generator's identities.
        generator: E_attr and G.
        embedder: E_id.

    Attributes:
        space: as given.
        gain: (K,) how much of each coordinate is read.
    """

    def __init__(
        self,
        reader: WantedReader,
        keys: KeyRecalls,
        space: IdentitySpace,
        generator: FaceGenerator,
        embedder: FaceEmbedder,
    ) -> None:
        self._reader, self._keys, self.space = reader, keys, space
        self._generator, self._embedder = generator, embedder
        self.gain = reader.gain(space.dim)

    def back(
        self, identity_id: int, attempt: int, seen: UInt8Array, original: Float32Array
    ) -> Recalled:
        """What recovery finds in a new face, and how like the person the face is that it draws.

        Args:
            identity_id: whose.
            attempt: number of the key.
            seen: (1, S, S, 3) uint8 RGB, the new face as it goes into the frame.
            original: (D,) unit embedding of the person.

        Raises:
            EngineRunError: a network failed.
        """
        read = self._reader.embedder.embed(encoder_views(seen))[0]
        found = self._keys.recall(identity_id, read, attempt, self._reader.prior)
        shown = redrawn(self._generator, seen, self.space.embedding(found)[None])
        (face,) = self._embedder.embed(encoder_views(shown))
        return Recalled(found, float(face @ original))
