"""CUDA without a device: memory is the host's, and every mistake with it is an error."""

from __future__ import annotations

import ctypes
from typing import Any

__all__ = ["FakeCuda"]


class FakeCuda:
    """Implements `engines.trt_cuda.CudaRuntime`."""

    def __init__(self, *, devices: int = 1, name: str = "Fake GPU") -> None:
        self.devices = devices
        self.name = name
        self.memory: dict[int, tuple[str, Any]] = {}
        self.streams: set[int] = set()
        self.waited = 0

    def device_count(self) -> int:
        return self.devices

    def device_name(self) -> str:
        assert self.devices, "asked for the name of no device"
        return self.name

    def create_stream(self) -> int:
        stream = 1000 + len(self.streams)
        self.streams.add(stream)
        return stream

    def destroy_stream(self, stream: int) -> None:
        self.streams.remove(stream)

    def synchronize(self, stream: int) -> None:
        assert stream in self.streams
        self.waited += 1

    def allocate_device(self, size_bytes: int) -> int:
        return self._allocate("device", size_bytes)

    def free_device(self, address: int) -> None:
        self._free("device", address)

    def allocate_pinned(self, size_bytes: int) -> int:
        return self._allocate("pinned", size_bytes)

    def free_pinned(self, address: int) -> None:
        self._free("pinned", address)

    def copy_to_device(self, device: int, host: int, size_bytes: int, stream: int) -> None:
        self._copy(("device", device), ("pinned", host), size_bytes, stream)

    def copy_to_host(self, host: int, device: int, size_bytes: int, stream: int) -> None:
        self._copy(("pinned", host), ("device", device), size_bytes, stream)

    def _allocate(self, kind: str, size_bytes: int) -> int:
        assert size_bytes > 0
        block = (ctypes.c_uint8 * size_bytes)()
        address = ctypes.addressof(block)
        self.memory[address] = kind, block
        return address

    def _free(self, kind: str, address: int) -> None:
        assert self.memory.pop(address)[0] == kind

    def _copy(
        self, target: tuple[str, int], source: tuple[str, int], size_bytes: int, stream: int
    ) -> None:
        assert stream in self.streams
        for kind, address in (target, source):
            assert self.memory[address][0] == kind
            assert len(self.memory[address][1]) >= size_bytes
        ctypes.memmove(target[1], source[1], size_bytes)
