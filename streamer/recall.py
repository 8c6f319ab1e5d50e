"""What recovery from the password alone would bring back, asked before anything is drawn."""

from __future__ import annotations

from typing import Protocol

from engines.arrays import Float32Array, UInt8Array
from streamer.aligner import encoder_views
from streamer.identity import IdentitySpace
from streamer.identity_prior import IdentityPrior
from streamer.reader import WantedReader

__all__ = ["KeyRecalls", "ReaderRecall"]


class KeyRecalls(Protocol):
    """Whoever can turn an identity back that was read."""

    def recall(
        self, identity_id: int, read: Float32Array, attempt: int, prior: IdentityPrior | None
    ) -> Float32Array:
        """The (K,) unit coordinates that key number ``attempt`` leads back to."""
        ...


class ReaderRecall:
    """Reads new faces as recovery does. Thread-safe if the reader's engine and the keys are.

    Args:
        reader: the generator's.
        keys: of the job.
        space: of the generator's identities.

    Attributes:
        space: as given.
        gain: (K,) how much of each coordinate is read.
    """

    def __init__(self, reader: WantedReader, keys: KeyRecalls, space: IdentitySpace) -> None:
        self._reader, self._keys, self.space = reader, keys, space
        self.gain = reader.gain(space.dim)

    def back(self, identity_id: int, attempt: int, seen: UInt8Array) -> Float32Array:
        """The (K,) unit coordinates that recovery finds in a new face.

        Args:
            identity_id: whose.
            attempt: number of the key.
            seen: (1, S, S, 3) uint8 RGB, the new face as it goes into the frame.

        Raises:
            EngineRunError: the network failed.
        """
        read = self._reader.embedder.embed(encoder_views(seen))[0]
        return self._keys.recall(identity_id, read, attempt, self._reader.prior)
