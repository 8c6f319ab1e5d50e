"""Page-locked host memory and its counterpart on the device, grown when needed."""

from __future__ import annotations

import ctypes

import numpy as np

from engines.arrays import AnyArray
from engines.trt_cuda import CudaRuntime

__all__ = ["BufferPair"]

_ALIGNMENT = 256  # CUDA's own; also keeps sizes that differ by a little from growing again


class BufferPair:
    """One tensor's memory, on the host and on the device.

    Not safe for several threads at a time. `release` ends its life.

    Args:
        cuda: where memory comes from.
    """

    def __init__(self, cuda: CudaRuntime) -> None:
        self._cuda = cuda
        self._size_bytes = 0
        self._host = 0
        self.device_address = 0

    def reserve(self, size_bytes: int) -> None:
        """Make room; what was in the memory is lost if it has to grow."""
        wanted = max(-(-size_bytes // _ALIGNMENT) * _ALIGNMENT, _ALIGNMENT)
        if wanted <= self._size_bytes:
            return
        self.release()
        self._host = self._cuda.allocate_pinned(wanted)
        self.device_address = self._cuda.allocate_device(wanted)
        self._size_bytes = wanted

    def upload(self, array: AnyArray, stream: int) -> None:
        """Copy an array into the host memory and queue its way to the device."""
        self.reserve(array.nbytes)
        np.copyto(self._view(array.shape, array.dtype), array)
        self._cuda.copy_to_device(self.device_address, self._host, array.nbytes, stream)

    def download(self, size_bytes: int, stream: int) -> None:
        """Queue the way back; `take` may be called after the stream was waited for."""
        self._cuda.copy_to_host(self._host, self.device_address, size_bytes, stream)

    def take(self, shape: tuple[int, ...], dtype: str) -> AnyArray:
        """A copy of what came back, which belongs to the caller."""
        return self._view(shape, np.dtype(dtype)).copy()

    def _view(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> AnyArray:
        count = int(np.prod(shape, dtype=np.int64))
        memory = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(self._host)
        return np.frombuffer(memoryview(memory), dtype=dtype, count=count).reshape(shape)

    def release(self) -> None:
        """Give the memory back; the pair can be used again."""
        if self.device_address:
            self._cuda.free_device(self.device_address)
        if self._host:
            self._cuda.free_pinned(self._host)
        self._size_bytes = self._host = self.device_address = 0
