"""ONNX Runtime backend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime as ort

from engines.arrays import AnyArray
from engines.errors import EngineLoadError, EngineRunError
from engines.feeds import check_feeds, smallest_feeds
from engines.types import EngineInfo, TensorSpec

__all__ = ["OrtEngine", "available_ort_providers"]

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def available_ort_providers() -> list[str]:
    """Names of the execution providers of the installed ONNX Runtime build."""
    return list(ort.get_available_providers())


def _spec(node: Any) -> TensorSpec:  # noqa: ANN401 - onnxruntime ships no types
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, shape, _DTYPES.get(node.type, node.type))


class OrtEngine:
    """A network in ONNX Runtime on one provider, without silent fallback.

    May be called from several threads at a time, as ONNX Runtime's sessions may.

    Args:
        model: the ONNX file's bytes.
        model_path: where they came from, for messages.
        model_name: name and version, for `describe`.
        provider: "cpu" or "cuda".
        threads: threads of one call; 0 lets ONNX Runtime decide.
        reason: why this provider was chosen, for `describe`.
        precision: "fp32", "fp16" or "int8", for `describe`.

    Raises:
        EngineLoadError: the model or the provider cannot be used here.
    """

    def __init__(
        self,
        model: bytes,
        model_path: Path,
        *,
        model_name: str,
        provider: str = "cpu",
        threads: int = 0,
        reason: str = "asked for",
        precision: str = "fp32",
    ) -> None:
        wanted = _PROVIDERS[provider]
        if wanted not in ort.get_available_providers():
            raise EngineLoadError(model_path, f"{wanted} is not in this ONNX Runtime build")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take the cores from the codec threads between two calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # An arena keeps what the largest of all input shapes needed, for ever and in each session:
        # batches and sizes change with the faces and the camera (docs/decisions/0071).
        options.enable_cpu_mem_arena = False
        try:
            self._session = ort.InferenceSession(model, options, providers=[wanted])
        except Exception as exc:  # ONNX Runtime's errors have no common base of their own
            raise EngineLoadError(model_path, str(exc).splitlines()[0]) from exc
        if self._session.get_providers()[0] != wanted:
            # ONNX Runtime only warns and takes the CPU; a live stream would then fall behind.
            raise EngineLoadError(model_path, f"{wanted} cannot start here")
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]
        self._info = EngineInfo("onnxruntime", provider, provider, model_name, precision, reason)

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the network; see `engines.protocols.Engine`."""
        check_feeds(self._info.model, self.inputs, inputs)
        try:
            values = self._session.run(self._names, dict(inputs))
        except Exception as exc:  # ONNX Runtime's errors have no common base of their own
            raise EngineRunError(f"{self._info.model}: {str(exc).splitlines()[0]}") from exc
        return dict(zip(self._names, values, strict=True))

    def warm_up(self) -> None:
        """Run once on zeros; free sizes become 1 (batch) or 64 (pixels)."""
        self.infer(smallest_feeds(self.inputs))

    def describe(self) -> EngineInfo:
        """What runs here."""
        return self._info

    def close(self) -> None:
        """Release the session."""
        self.__dict__.pop("_session", None)
