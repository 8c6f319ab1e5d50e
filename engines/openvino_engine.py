"""OpenVINO backend: for Intel processors with AMX, which multiply bfloat16 matrices in hardware.

Results differ from float32 in the third digit there, which is less than INT8 costs. The network is
compiled for the sizes that come again: with sizes left free it is prepared anew whenever they
change, and that takes as long as the network itself (docs/decisions/0087).
"""

from __future__ import annotations

import importlib
import io
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from engines.arrays import AnyArray
from engines.cores import usable_cores
from engines.errors import EngineLoadError, EngineRunError
from engines.feeds import check_feeds, smallest_feeds
from engines.types import EngineInfo, TensorSpec

__all__ = ["OpenVinoEngine"]

_Shapes: TypeAlias = tuple[tuple[int, ...], ...]

_DEVICE: Final = "CPU"
_HINTS: Final = {"fp32": "f32", "bf16": "bf16"}
# A size is compiled for when it was seen so often: parts of frames are of all sizes, and compiling
# takes as long as ten to fifty calls.
_COMES_AGAIN: Final = 3
_MOST_SIZES: Final = 6


def _open(model_path: Path) -> Any:  # noqa: ANN401 - openvino ships no types that mypy follows
    try:
        return importlib.import_module("openvino")
    except ImportError as exc:
        raise EngineLoadError(
            model_path, "OpenVINO is not installed: pip install 'veilstream[openvino]'"
        ) from exc


def _thread_settings(threads: int) -> dict[str, object]:
    """As many calls at a time as there are cores where one thread is to do a call.

    Args:
        threads: of one call; 0: all cores.
    """
    cores = usable_cores()
    return {
        "NUM_STREAMS": cores if threads == 1 else 1,
        "INFERENCE_NUM_THREADS": cores if threads in (0, 1) else threads,
        # Pinned threads would all sit on the same cores when several cameras run.
        "ENABLE_CPU_PINNING": False,
    }


class _Compiled:
    """A compiled network with its idle requests; may run in several threads at a time."""

    def __init__(self, compiled: Any) -> None:  # noqa: ANN401 - see `_open`
        self._compiled = compiled
        self._idle: deque[Any] = deque()

    def run(self, feeds: Mapping[str, AnyArray]) -> list[AnyArray]:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        # Copies: the request's own memory is written again by the next call.
        results = request.infer(dict(feeds), share_inputs=True, share_outputs=False)
        values = [np.asarray(results[index]) for index in range(len(self._compiled.outputs))]
        self._idle.append(request)
        return values


class OpenVinoEngine:
    """A network in OpenVINO on the processor.

    May be called from several threads at a time. A batch is computed row by row, which costs no
    more on a processor and needs one compiled size instead of one for each number of faces.

    Args:
        model: the ONNX file's bytes.
        model_path: where they came from, for messages.
        model_name: name and version, for `describe`.
        threads: threads of one call; 0: all cores.
        reason: why this provider was chosen, for `describe`.
        precision: "fp32" or "bf16", what is computed with.

    Raises:
        EngineLoadError: OpenVINO is missing, or cannot use the model.
    """

    def __init__(
        self,
        model: bytes,
        model_path: Path,
        *,
        model_name: str,
        threads: int = 0,
        reason: str = "asked for",
        precision: str = "fp32",
    ) -> None:
        openvino = _open(model_path)
        self._core, self._model = openvino.Core(), model
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision], **_thread_settings(threads),
        }  # fmt: skip
        try:
            network = self._read()
            self.inputs = tuple(_spec(port) for port in network.inputs)
            self.outputs = tuple(_spec(port) for port in network.outputs)
            device = str(self._core.get_property(_DEVICE, "FULL_DEVICE_NAME"))
            rows = self._rows()
            self._general = self._compiled(network, rows)
        except Exception as exc:  # OpenVINO's errors have no common base of their own
            raise EngineLoadError(model_path, str(exc).strip().splitlines()[0]) from exc
        # Where only the batch was free nothing is, now that rows are computed one by one.
        self._has_free_sizes = any(None in shape for shape in rows.values())
        self._info = EngineInfo("openvino", "openvino", device, model_name, precision, reason)
        self._lock = threading.Lock()
        self._seen: Counter[_Shapes] = Counter()
        self._sizes: OrderedDict[_Shapes, _Compiled] = OrderedDict()

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the network; see `engines.protocols.Engine`."""
        check_feeds(self._info.model, self.inputs, inputs)
        rows = len(next(iter(inputs.values())))
        if not rows:
            return _nothing(self.outputs)
        try:
            parts = [
                self._run({name: np.ascontiguousarray(v[i : i + 1]) for name, v in inputs.items()})
                for i in range(rows)
            ]
        except Exception as exc:  # OpenVINO's errors have no common base of their own
            reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
            raise EngineRunError(f"{self._info.model}: {reason}") from exc
        values = parts[0] if rows == 1 else [np.concatenate(v) for v in zip(*parts, strict=True)]
        return dict(zip((spec.name for spec in self.outputs), values, strict=True))

    def warm_up(self) -> None:
        """Run once on zeros; free sizes become 1 (batch) or 64 (pixels)."""
        self.infer(smallest_feeds(self.inputs))

    def describe(self) -> EngineInfo:
        """What runs here."""
        return self._info

    def close(self) -> None:
        """Release the network."""
        self.__dict__.pop("_general", None)
        self._sizes.clear()

    def _run(self, row: Mapping[str, AnyArray]) -> list[AnyArray]:
        return self._fitting({name: value.shape for name, value in row.items()}).run(row)

    def _fitting(self, shapes: Mapping[str, tuple[int, ...]]) -> _Compiled:
        """The network compiled for these sizes, if they come again, or for any."""
        if not self._has_free_sizes:
            return self._general
        key = tuple(shapes.values())
        with self._lock:
            if key in self._sizes:
                self._sizes.move_to_end(key)
                return self._sizes[key]
            self._seen[key] += 1
            if self._seen[key] != _COMES_AGAIN:
                return self._general
        fitting = self._compiled(self._read(), shapes)
        with self._lock:
            self._sizes[key] = fitting
            while len(self._sizes) > _MOST_SIZES:
                forgotten, _ = self._sizes.popitem(last=False)
                del self._seen[forgotten]
        return fitting

    def _rows(self) -> dict[str, tuple[int | None, ...]]:
        """Shapes of the inputs for one row of a batch."""
        return {spec.name: (spec.shape[0] or 1, *spec.shape[1:]) for spec in self.inputs}

    def _read(self) -> Any:  # noqa: ANN401 - see `_open`
        return self._core.read_model(io.BytesIO(self._model))

    def _compiled(
        self,
        network: Any,  # noqa: ANN401 - see `_open`
        shapes: Mapping[str, tuple[int | None, ...]],
    ) -> _Compiled:
        free = -1
        network.reshape(
            {name: [free if n is None else n for n in shape] for name, shape in shapes.items()}
        )
        return _Compiled(self._core.compile_model(network, _DEVICE, self._options))


def _nothing(outputs: Sequence[TensorSpec]) -> dict[str, AnyArray]:
    """What comes of no rows."""
    return {s.name: np.zeros((0, *(size or 0 for size in s.shape[1:])), s.dtype) for s in outputs}


def _spec(port: Any) -> TensorSpec:  # noqa: ANN401 - see `_open`
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return TensorSpec(port.any_name, shape, np.dtype(port.element_type.to_dtype()).name)
