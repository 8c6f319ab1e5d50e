"""What recovery from the password alone would bring back, asked before anything is drawn."""

from __future__ import annotations

from typing import Protocol

from engines.arrays import Float32Array, UInt8Array
from streamer.aligner import encoder_views
from streamer.identity_prior import IdentityPrior
from streamer.reader import WantedReader

__all__ = ["KeyRecalls", "ReaderRecall"]


class KeyRecalls(Protocol):
    """Whoever can turn an identity back that was read."""

    def recall(
        self, identity_id: int, read: Float32Array, attempt: int, prior: IdentityPrior | None
    ) -> Float32Array:
        """The (D,) unit embedding that key number ``attempt`` leads back to."""
        ...


class ReaderRecall:
    """Reads new faces as recovery does. Thread-safe if the reader's engine and the keys are.

    Args:
        reader: the generator's.
        keys: of the job.
    """

    def __init__(self, reader: WantedReader, keys: KeyRecalls) -> None:
        self._reader, self._keys = reader, keys

    def likeness(
        self, identity_id: int, attempt: int, seen: UInt8Array, original: Float32Array
    ) -> float:
        """Cosine of the person and what is recovered from (1, S, S, 3) uint8 RGB of a new face.

        Args:
            identity_id: whose.
            attempt: number of the key.
            seen: the new face as it goes into the frame.
            original: (D,) unit embedding of the person.

        Raises:
            EngineRunError: the network failed.
        """
        read = self._reader.embedder.embed(encoder_views(seen))[0]
        back = self._keys.recall(identity_id, read, attempt, self._reader.prior)
        return float(back @ original)
