"""A network that doubles, for tests of what stands between a network and who asks it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from engines.arrays import AnyArray
from engines.errors import EngineRunError
from engines.types import EngineInfo, TensorSpec

__all__ = ["DoubleEngine", "rows_of"]


class DoubleEngine:
    """Doubles; can be held up, and fails for negative numbers."""

    inputs = (TensorSpec("x", (None, None), "float32"),)
    outputs = (TensorSpec("y", (None, None), "float32"),)

    def __init__(self, *, rows: int | None = None) -> None:
        if rows is not None:
            self.inputs = (TensorSpec("x", (rows, None), "float32"),)
        self.may_run = threading.Event()
        self.may_run.set()
        self.started = threading.Semaphore(0)
        self.sizes: list[int] = []
        self.is_closed = False

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        x = inputs["x"]
        self.sizes.append(len(x))
        self.started.release()
        assert self.may_run.wait(20)
        if (x < 0).any():
            raise EngineRunError("double 1: negative")
        return {"y": 2 * x}

    def warm_up(self) -> None: ...

    def describe(self) -> EngineInfo:
        return EngineInfo("fake", "cpu", "cpu", "double 1", "fp32", "asked for")

    def close(self) -> None:
        self.is_closed = True


def rows_of(*values: float) -> dict[str, AnyArray]:
    return {"x": np.array([[v] for v in values], np.float32)}
