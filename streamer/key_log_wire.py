"""The key log's byte-level codec: strict little-endian fields, read in order, none left over."""

from __future__ import annotations

import math
import struct
from typing import Final

from engines.errors import KeyLogFormatError

__all__ = ["ByteReader", "check_range", "pack_bytes16", "pack_str8"]

_MAX_STR8: Final = 255


class ByteReader:
    """Reads fields from bytes and refuses what is short, long or spelled otherwise.

    Not thread-safe.

    Args:
        data: the bytes of one structure.
        what: its name, for messages.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises:
            KeyLogFormatError: fewer are left.
        """
        if size > self.remaining:
            raise KeyLogFormatError(f"{self._what} is shorter than its fields")
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Two bytes."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """Four bytes."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """Eight bytes."""
        return int.from_bytes(self.take(8), "little")

    def i64(self) -> int:
        """Eight bytes, signed."""
        return int.from_bytes(self.take(8), "little", signed=True)

    def flag(self) -> bool:
        """One byte, 0 or 1."""
        value = self.u8()
        if value > 1:
            raise KeyLogFormatError(f"{self._what}: a flag must be 0 or 1, not {value}")
        return value == 1

    def f32s(self, count: int) -> tuple[float, ...]:
        """`count` finite single floats."""
        return self._finite(struct.unpack(f"<{count}f", self.take(4 * count)))

    def f64s(self, count: int) -> tuple[float, ...]:
        """`count` finite double floats."""
        return self._finite(struct.unpack(f"<{count}d", self.take(8 * count)))

    def str8(self) -> str:
        """A short UTF-8 text."""
        return self.text(self.u8())

    def text(self, size: int) -> str:
        """UTF-8 text of a known length in bytes."""
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise KeyLogFormatError(f"{self._what}: a text is not UTF-8") from None

    def finish(self) -> None:
        """Checks that nothing is left.

        Raises:
            KeyLogFormatError: there are more bytes than fields.
        """
        if self.remaining:
            raise KeyLogFormatError(f"{self._what} has {self.remaining} bytes too many")

    def _finite(self, values: tuple[float, ...]) -> tuple[float, ...]:
        if not all(math.isfinite(value) for value in values):
            raise KeyLogFormatError(f"{self._what}: a number is not finite")
        return values


def pack_str8(text: str) -> bytes:
    """A text of at most 255 bytes with its length.

    Raises:
        ValueError: it is longer.
    """
    raw = text.encode()
    if len(raw) > _MAX_STR8:
        raise ValueError(f"a text of {len(raw)} bytes is over the limit of {_MAX_STR8}")
    return bytes([len(raw)]) + raw


def pack_bytes16(raw: bytes) -> bytes:
    """At most 65,535 bytes with their length.

    Raises:
        ValueError: there are more.
    """
    if len(raw) > 0xFFFF:
        raise ValueError(f"{len(raw)} bytes are over the limit of 65535")
    return struct.pack("<H", len(raw)) + raw


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Checks one number of a record.

    Raises:
        ValueError: not within low to high, both included (NaN never is).
    """
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")
