"""The few CUDA runtime calls that TensorRT needs, behind a small protocol.

`BindingsCuda` makes them with NVIDIA's `cuda-bindings` package. It works on device 0, which is the
first that `CUDA_VISIBLE_DEVICES` names.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from engines.errors import EngineRunError

__all__ = ["BindingsCuda", "CudaRuntime", "load_cuda"]

_MODULES = ("cuda.bindings.runtime", "cuda.cudart")  # the second is the name before version 12.6


class CudaRuntime(Protocol):
    """Memory, copies and streams of one CUDA device; addresses and streams are plain integers."""

    def device_count(self) -> int:
        """How many devices can be used; 0 also without a driver."""
        ...

    def device_name(self) -> str:
        """Product name of device 0."""
        ...

    def create_stream(self) -> int:
        """A stream that does not wait for the default one."""
        ...

    def destroy_stream(self, stream: int) -> None:
        """Release a stream."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait until everything in the stream is done."""
        ...

    def allocate_device(self, size_bytes: int) -> int:
        """Address of new device memory."""
        ...

    def free_device(self, address: int) -> None:
        """Release device memory."""
        ...

    def allocate_pinned(self, size_bytes: int) -> int:
        """Address of new page-locked host memory, from which copies run at full speed."""
        ...

    def free_pinned(self, address: int) -> None:
        """Release page-locked host memory."""
        ...

    def copy_to_device(self, device: int, host: int, size_bytes: int, stream: int) -> None:
        """Queue a copy from page-locked host memory to the device."""
        ...

    def copy_to_host(self, host: int, device: int, size_bytes: int, stream: int) -> None:
        """Queue a copy from the device to page-locked host memory."""
        ...


class BindingsCuda:
    """`CudaRuntime` by NVIDIA's bindings.

    Safe to use from several threads, as the CUDA runtime is.

    Args:
        runtime: the module `cuda.bindings.runtime`.
    """

    def __init__(self, runtime: Any) -> None:  # noqa: ANN401 - the bindings ship no types
        self._runtime = runtime

    def _call(self, name: str, *args: Any) -> Any:  # noqa: ANN401 - the bindings ship no types
        """Call a function whose result is a tuple that begins with an error code."""
        error, *values = getattr(self._runtime, name)(*args)
        if int(error) != 0:
            _, text = self._runtime.cudaGetErrorString(error)
            raise EngineRunError(f"{name}: {text.decode(errors='replace')}")
        return values[0] if values else None

    def device_count(self) -> int:
        """How many devices can be used; 0 also without a driver."""
        error, count = self._runtime.cudaGetDeviceCount()
        return int(count) if int(error) == 0 else 0

    def device_name(self) -> str:
        """Product name of device 0."""
        name = self._call("cudaGetDeviceProperties", 0).name
        return bytes(name).split(b"\0")[0].decode(errors="replace")

    def create_stream(self) -> int:
        """A stream that does not wait for the default one."""
        flags = int(self._runtime.cudaStreamNonBlocking)
        return int(self._call("cudaStreamCreateWithFlags", flags))

    def destroy_stream(self, stream: int) -> None:
        """Release a stream."""
        self._call("cudaStreamDestroy", stream)

    def synchronize(self, stream: int) -> None:
        """Wait until everything in the stream is done."""
        self._call("cudaStreamSynchronize", stream)

    def allocate_device(self, size_bytes: int) -> int:
        """Address of new device memory."""
        return int(self._call("cudaMalloc", size_bytes))

    def free_device(self, address: int) -> None:
        """Release device memory."""
        self._call("cudaFree", address)

    def allocate_pinned(self, size_bytes: int) -> int:
        """Address of new page-locked host memory."""
        return int(self._call("cudaMallocHost", size_bytes))

    def free_pinned(self, address: int) -> None:
        """Release page-locked host memory."""
        self._call("cudaFreeHost", address)

    def copy_to_device(self, device: int, host: int, size_bytes: int, stream: int) -> None:
        """Queue a copy to the device."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", device, host, size_bytes, kind, stream)

    def copy_to_host(self, host: int, device: int, size_bytes: int, stream: int) -> None:
        """Queue a copy to the host."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", host, device, size_bytes, kind, stream)


def load_cuda() -> CudaRuntime:
    """The bindings that are installed.

    Raises:
        ImportError: neither name of the bindings can be imported.
    """
    for name in _MODULES:
        try:
            return BindingsCuda(importlib.import_module(name))
        except ImportError:
            continue
    raise ImportError(f"none of {', '.join(_MODULES)} can be imported")
