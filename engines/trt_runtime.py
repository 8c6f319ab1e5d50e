"""Whether TensorRT can run here: its libraries, the CUDA bindings, and a device.

Nothing of TensorRT may be created or deserialised before this said yes: without a device some
releases crash the process instead of raising.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import EngineLoadError
from engines.trt_cuda import CudaRuntime, load_cuda

__all__ = ["TrtRuntime", "make_logger", "open_tensorrt"]

_LOG = logging.getLogger(__name__)
_SUPPORTED = (10, 11)
_INSTALL = "install NVIDIA's own wheels, see docs/how_to/tensorrt.md"


@dataclass(frozen=True, slots=True)
class TrtRuntime:
    """TensorRT with a device that was seen.

    Attributes:
        trt: the module `tensorrt`.
        cuda: CUDA runtime calls.
        version: version of TensorRT, such as "10.13.3.9".
        major: its first number.
        device_name: product name of the GPU.
    """

    trt: Any
    cuda: CudaRuntime
    version: str
    major: int
    device_name: str


def _import_tensorrt() -> Any:  # noqa: ANN401 - tensorrt ships no types
    return importlib.import_module("tensorrt")


def open_tensorrt(
    model_path: Path,
    *,
    import_trt: Callable[[], Any] = _import_tensorrt,
    import_cuda: Callable[[], CudaRuntime] = load_cuda,
) -> TrtRuntime:
    """Look for TensorRT 10 or 11 and a CUDA device.

    Args:
        model_path: the model that wants it, for the message.
        import_trt: gives the module; other ones for tests.
        import_cuda: gives the CUDA runtime; other ones for tests.

    Raises:
        EngineLoadError: one line that says what is missing.
    """
    try:
        trt = import_trt()
    except ImportError as exc:
        raise EngineLoadError(
            model_path, f"TensorRT is not installed ({_line(exc)}); {_INSTALL}"
        ) from exc
    except Exception as exc:  # wheels without their libraries fail with errors of all kinds
        raise EngineLoadError(
            model_path, f"TensorRT cannot load its libraries ({_line(exc)}); {_INSTALL}"
        ) from exc
    version = str(getattr(trt, "__version__", ""))
    if not version or not hasattr(trt, "Builder"):
        raise EngineLoadError(
            model_path,
            f"the installed package tensorrt is a stub without its libraries; {_INSTALL}",
        )
    major = int(version.split(".")[0]) if version.split(".")[0].isdigit() else 0
    if major not in _SUPPORTED:
        raise EngineLoadError(
            model_path, f"TensorRT {version} is not supported; versions 10 and 11 are"
        )
    try:
        cuda = import_cuda()
    except ImportError as exc:
        raise EngineLoadError(
            model_path, "TensorRT needs CUDA's Python bindings; pip install cuda-bindings"
        ) from exc
    if cuda.device_count() < 1:
        raise EngineLoadError(
            model_path, f"TensorRT {version} is here, but no CUDA device or no driver for it"
        )
    return TrtRuntime(trt, cuda, version, major, cuda.device_name())


def _line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]


def make_logger(trt: Any) -> Any:  # noqa: ANN401 - tensorrt ships no types
    """A TensorRT logger that writes to ours and keeps the errors in its list `errors`."""
    severity = trt.ILogger.Severity

    class TrtLogger(trt.ILogger):  # type: ignore[misc]  # tensorrt ships no types
        """Hands messages on; errors are kept because TensorRT's calls return None for them."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 wants the base named
            self.errors: list[str] = []

        def log(self, level: Any, text: str) -> None:  # noqa: ANN401 - an enum of tensorrt
            if level in (severity.ERROR, severity.INTERNAL_ERROR):
                self.errors.append(text)
            elif level == severity.WARNING:
                _LOG.info("TensorRT: %s", text)

    return TrtLogger()
