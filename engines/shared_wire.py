"""What goes between a process and the engine server: JSON lines, and tensors in shared memory.

A connection is a Unix socket with one call at a time. The client makes a file without a name (in
memory, under Linux) and sends its descriptor first; tensors of both directions lie in it. It
vanishes with the two processes.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines.arrays import AnyArray
from engines.manifest import ModelManifest
from engines.types import TensorSpec

__all__ = [
    "SharedMemory",
    "WireError",
    "manifest_from",
    "manifest_to",
    "receive",
    "receive_memory",
    "send",
    "send_memory",
    "specs_from",
    "specs_to",
]

_LENGTH: Final = struct.Struct(">I")
_MOST_BYTES: Final = 1 << 20
_MOST_MEMORY_BYTES: Final = 1 << 30
_ALIGN_BYTES: Final = 64


class WireError(Exception):
    """The other side is gone, or said what it never should."""


class SharedMemory:
    """A file without a name that two processes map.

    Args:
        descriptor: of the file; owned from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None

    @staticmethod
    def create() -> SharedMemory:
        """A new one, empty."""
        if hasattr(os, "memfd_create"):
            return SharedMemory(os.memfd_create("veilstream"))
        with tempfile.TemporaryFile() as file:
            return SharedMemory(os.dup(file.fileno()))

    def put(self, arrays: Mapping[str, AnyArray]) -> list[dict[str, Any]]:
        """Copy arrays in; returns where each lies, for `views`.

        Raises:
            WireError: more than the limit of one call.
        """
        places, end = [], 0
        for name, array in arrays.items():
            places.append(
                {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "at": end}
            )
            end += -(-array.nbytes // _ALIGN_BYTES) * _ALIGN_BYTES
        memory = self._at_least(end, may_grow=True)
        for place, array in zip(places, arrays.values(), strict=True):
            _view(memory, place)[...] = array
        return places

    def views(self, places: Sequence[Mapping[str, Any]]) -> dict[str, AnyArray]:
        """The arrays that lie there, without a copy: good until the next call on this connection.

        Raises:
            WireError: a place that is none.
        """
        try:
            end = max((_end(place) for place in places), default=0)
            memory = self._at_least(end, may_grow=False)
            return {str(place["name"]): _view(memory, place) for place in places}
        except (KeyError, TypeError, ValueError, OSError) as exc:
            raise WireError(f"a tensor lies nowhere ({exc})") from exc

    def _at_least(self, size: int, *, may_grow: bool) -> mmap.mmap:
        if size > _MOST_MEMORY_BYTES:
            raise WireError(f"{size} bytes in one call")
        present = self._map
        if present is not None and len(present) >= size:
            return present
        have = os.fstat(self.descriptor).st_size
        wanted = max(-(-size // mmap.PAGESIZE), 1) * mmap.PAGESIZE
        if have < size:
            if not may_grow:
                raise WireError(f"{size} bytes were promised, there are {have}")
            self._grow(have, wanted)
        # The old map goes when the last view of it has gone.
        self._map = mmap.mmap(self.descriptor, max(have, wanted) if may_grow else have)
        return self._map

    def _grow(self, have: int, wanted: int) -> None:
        # Written, not only promised: a full disk must be an error here, no signal later.
        try:
            with os.fdopen(os.dup(self.descriptor), "wb", buffering=0) as file:
                file.seek(have)
                missing = memoryview(bytes(wanted - have))
                while missing:
                    missing = missing[file.write(missing) :]
        except OSError as exc:
            raise WireError(f"no memory for {wanted} bytes ({exc})") from exc

    def close(self) -> None:
        """Let go of it."""
        self._map = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _end(place: Mapping[str, Any]) -> int:
    shape, at = [int(size) for size in place["shape"]], int(place["at"])
    if at < 0 or any(size < 0 for size in shape):
        raise ValueError("negative")
    kind = np.dtype(place["dtype"])
    if kind.kind not in "biuf":
        raise ValueError(f"of {kind}")
    return at + math.prod(shape) * int(kind.itemsize)


def _view(memory: mmap.mmap, place: Mapping[str, Any]) -> AnyArray:
    shape = tuple(int(size) for size in place["shape"])
    return np.ndarray(shape, np.dtype(place["dtype"]), memory, int(place["at"]))


def send(link: socket.socket, message: Mapping[str, Any]) -> None:
    """Send one message.

    Raises:
        WireError: the other side is gone.
    """
    data = json.dumps(message).encode()
    try:
        link.sendall(_LENGTH.pack(len(data)) + data)
    except OSError as exc:
        raise WireError(f"the link broke ({exc})") from exc


def receive(link: socket.socket) -> dict[str, Any]:
    """Wait for one message.

    Raises:
        WireError: the other side is gone, silent for too long or talks nonsense.
    """
    (length,) = _LENGTH.unpack(_exactly(link, _LENGTH.size))
    if length > _MOST_BYTES:
        raise WireError(f"a message of {length} bytes")
    try:
        message = json.loads(_exactly(link, length))
    except ValueError as exc:
        raise WireError("a message that is none") from exc
    if not isinstance(message, dict):
        raise WireError("a message that is none")
    return message


def _exactly(link: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        try:
            part = link.recv(count - len(data))
        except OSError as exc:
            raise WireError(f"the link broke ({exc})") from exc
        if not part:
            raise WireError("the other side is gone")
        data += part
    return bytes(data)


def send_memory(link: socket.socket, memory: SharedMemory) -> None:
    """Give the other side the memory, once, before the first message.

    Raises:
        WireError: the other side is gone.
    """
    try:
        socket.send_fds(link, [b"m"], [memory.descriptor])
    except OSError as exc:
        raise WireError(f"the link broke ({exc})") from exc


def receive_memory(link: socket.socket) -> SharedMemory:
    """The memory of the other side.

    Raises:
        WireError: it sent none.
    """
    try:
        _, descriptors, _, _ = socket.recv_fds(link, 1, 1)
    except OSError as exc:
        raise WireError(f"the link broke ({exc})") from exc
    if len(descriptors) != 1:
        raise WireError("no memory came")
    return SharedMemory(descriptors[0])


def manifest_to(manifest: ModelManifest) -> dict[str, Any]:
    """A manifest as JSON has it."""
    return {**asdict(manifest), "path": str(manifest.path.absolute())}


def manifest_from(message: Mapping[str, Any]) -> ModelManifest:
    """The manifest again.

    Raises:
        WireError: something is missing.
    """
    try:
        values = {field.name: message[field.name] for field in fields(ModelManifest)}
    except KeyError as exc:
        raise WireError(f"a manifest without {exc}") from exc
    size = values["input_size_hw"]
    values["input_size_hw"] = None if size is None else (int(size[0]), int(size[1]))
    return ModelManifest(**{**values, "path": Path(values["path"])})


def specs_to(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
    """Descriptions of tensors as JSON has them."""
    return [asdict(spec) for spec in specs]


def specs_from(message: Iterable[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """The descriptions again."""
    return tuple(TensorSpec(one["name"], tuple(one["shape"]), one["dtype"]) for one in message)
