"""A shared pool of composed samples that workers renew while training draws from it.

Composing costs about as much as a training step; a pool lets each sample serve a few times
(flipped and recoloured) and never lets the trainer wait.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data_scenes_compose import Composer, Sample
from training.detector_loss import ROW

__all__ = ["MAX_FACES", "SamplePool", "target_rows"]

MAX_FACES = 48
_USES = 3.0  # times a sample is drawn on average before another takes its place


def target_rows(sample: Sample) -> NDArray[np.float32]:
    """Return the target rows ``(MAX_FACES, 16)`` of a sample, biggest faces first.

    ``training.detector_loss`` says what a row holds.
    """
    faces, rows = sample.faces, np.zeros((MAX_FACES, ROW), np.float32)
    area = (faces.box_xyxy_px[:, 2:] - faces.box_xyxy_px[:, :2]).prod(1)
    order = np.argsort(-area)[:MAX_FACES]
    count = len(order)
    points = faces.points_px[order].reshape(count, 10)
    known = np.asarray(np.isfinite(points).all(1))
    rows[:count, :4] = faces.box_xyxy_px[order]
    rows[:count, 4:14] = np.where(known[:, None], points, 0.0)
    rows[:count, 14] = known
    rows[:count, 15] = np.where(faces.ignore[order], 2, 1)
    return rows


class SamplePool:
    """Ring of ``slots`` samples in shared memory, filled and then renewed by worker processes.

    Not thread-safe; one trainer draws from it.  Close it to stop the workers.
    """

    def __init__(
        self, composer: Composer, *, size_px: int, slots: int, workers: int, seed: int
    ) -> None:
        self._image_memory = SharedMemory(create=True, size=slots * size_px * size_px * 3)
        self._row_memory = SharedMemory(create=True, size=slots * MAX_FACES * ROW * 4)
        self.rgb: NDArray[np.uint8] = np.ndarray(
            (slots, size_px, size_px, 3), np.uint8, self._image_memory.buf
        )
        self.rows: NDArray[np.float32] = np.ndarray(
            (slots, MAX_FACES, ROW), np.float32, self._row_memory.buf
        )
        context = multiprocessing.get_context(
            "fork"
        )  # the composer's pictures are shared, not copied
        self._written = context.Value("q", 0)
        self._drawn = context.Value("q", 0)
        self._lock = context.Lock()
        self._composer, self._slots, self._workers = composer, slots, workers
        self._processes = [
            context.Process(target=self._fill, args=(n, seed), daemon=True) for n in range(workers)
        ]
        for process in self._processes:
            process.start()

    def _fill(self, worker: int, seed: int) -> None:
        os.nice(3)
        cv2.setNumThreads(1)
        number, parent = worker, os.getppid()
        while os.getppid() == parent:  # a trainer that was killed leaves nobody to stop us
            while number > self._slots + self._drawn.value / _USES:
                time.sleep(0.05)  # far enough ahead: leave the core to the trainer
            sample = self._composer.draw(np.random.default_rng((seed, number)))
            rows = target_rows(sample)
            with self._lock:
                self.rgb[number % self._slots] = sample.rgb
                self.rows[number % self._slots] = rows
                self._written.value = max(self._written.value, number + 1)
            number += self._workers

    @property
    def written(self) -> int:
        """Samples composed so far."""
        return int(self._written.value)

    def batch(
        self, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Copy random samples: ``(count, size, size, 3)`` and ``(count, MAX_FACES, 16)``."""
        ready = min(self.written, self._slots)
        if ready == 0:
            raise ValueError("the sample pool is still empty; wait until written > 0")
        picks = rng.integers(0, ready, count)
        with self._lock:
            self._drawn.value += count
            return self.rgb[picks], self.rows[picks]

    def close(self) -> None:
        """Stop the workers and free the memory."""
        for process in self._processes:
            process.terminate()
            process.join()
        del self.rgb, self.rows
        for memory in (self._image_memory, self._row_memory):
            memory.close()
            memory.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
