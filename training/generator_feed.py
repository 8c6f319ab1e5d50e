"""Makes the generator's batches in a process of their own, ahead of the training."""

from __future__ import annotations

import dataclasses
import multiprocessing
from types import TracebackType
from typing import Final, Self

import cv2
import numpy as np
import torch

from training.generator_data import Batch, FaceBank, to_tensor

__all__ = ["Feed"]

_AHEAD: Final = 4
_PICTURES: Final = ("crops", "pseudo")


class Feed:
    """Batches of a bank, drawn by a child process. Use as a context manager.

    Make it before torch has started threads: the child is forked, to share the bank's memory.

    Args:
        bank: The faces.
        batch: Faces in a batch.
        seed: Equal seeds give equal batches.
    """

    def __init__(self, bank: FaceBank, *, batch: int, seed: int) -> None:
        context = multiprocessing.get_context("fork")
        self._queue = context.Queue(_AHEAD)
        self._child = context.Process(
            target=_produce, args=(bank, batch, seed, self._queue), daemon=True
        )

    def __enter__(self) -> Self:
        self._child.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.terminate()
        self._child.join()

    def take(self, device: str) -> Batch:
        """The next batch, its pictures as floats in [-1, 1].

        Raises:
            queue.Empty: The child died or is stuck.
        """
        arrays = self._queue.get(timeout=120)
        fields = {
            name: (to_tensor(value) if name in _PICTURES else torch.from_numpy(value)).to(device)
            for name, value in arrays.items()
        }
        return Batch(**fields)


def _produce(
    bank: FaceBank, batch: int, seed: int, queue: multiprocessing.queues.Queue[object]
) -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    names = [field.name for field in dataclasses.fields(Batch)]
    while True:
        made = bank.sample(batch, rng)
        queue.put({name: getattr(made, name).numpy() for name in names})
