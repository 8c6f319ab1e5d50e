"""The key log's header: the core, which never changes, and the access part, which may.

Layout and rules: docs/keylog-format.md, section 2. No I/O and no cryptography.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from engines.errors import KeyLogFormatError
from streamer.key_log_wire import ByteReader, check_range, pack_str8
from streamer.keys import SALT_BYTES, KdfParams, KeyScope
from streamer.rotation_kinds import ROTATION_KINDS, check_rotation, rotation_code

__all__ = [
    "CUSTOM_LEVEL",
    "MAGIC",
    "MAX_HEADER_PART",
    "SCOPES",
    "KeyLogHeader",
    "core_hash",
    "decode_core",
    "encode_core",
    "pack_kdf",
    "read_kdf",
]

MAGIC: Final = b"veilstream-keylog/1\n"
MAX_HEADER_PART: Final = 65536
CUSTOM_LEVEL: Final = 255
SCOPES: Final = (KeyScope.TRACK, KeyScope.RECORDING, KeyScope.CAMERA)
_I64: Final = (1 << 63) - 1
_U32: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class KeyLogHeader:
    """What a key log says about its recording. All of it is public.

    Attributes:
        recording_id: 16 random bytes.
        created_unix_us: microseconds since 1970 UTC.
        width: frame width in pixels.
        height: frame height in pixels.
        time_base: seconds per pts unit.
        angle_deg: rotation angle, over 0 up to 180.
        level: privacy level 0..9, or CUSTOM_LEVEL.
        scope: which appearances share a rotation.
        camera_id: not empty in camera scope.
        rotation: "orthogonal" or "reference".
        rotation_version: version of the construction.
        is_sealed: sealed original regions may be present.
        is_assisted: tracks hold the original embedding.
        kdf: the rotation keys come from a password with this; None: they are random.
        tool: program and version.
        expires_unix_us: retention limit; 0 for none.
        previous_log: 32 bytes, last chunk hash of the log continued here; zeros for none.
        signer: Ed25519 public key, 32 bytes, or None.
        codec: codec name of the anonymised video, may be empty.
        pixel_format: its pixel format, may be empty.
        models: (name, sha256) pairs, ascending by name.
        labels: (key, value) pairs of free public text, ascending by key.
    """

    recording_id: bytes
    created_unix_us: int
    width: int
    height: int
    time_base: Fraction
    angle_deg: float
    level: int = CUSTOM_LEVEL
    scope: KeyScope = KeyScope.TRACK
    camera_id: str = ""
    rotation: str = "orthogonal"
    rotation_version: int = 1
    is_sealed: bool = False
    is_assisted: bool = False
    kdf: KdfParams | None = None
    tool: str = ""
    expires_unix_us: int = 0
    previous_log: bytes = bytes(32)
    signer: bytes | None = None
    codec: str = ""
    pixel_format: str = ""
    models: tuple[tuple[str, bytes], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(self.recording_id) != 16 or len(self.previous_log) != 32:
            raise ValueError("recording_id has 16 bytes and previous_log 32")
        if self.signer is not None and len(self.signer) != 32:
            raise ValueError("a signer key has 32 bytes")
        check_range("created_unix_us", self.created_unix_us, -_I64 - 1, _I64)
        check_range("expires_unix_us", self.expires_unix_us, -_I64 - 1, _I64)
        check_range("width", self.width, 1, 0xFFFF)
        check_range("height", self.height, 1, 0xFFFF)
        check_range("time_base numerator", self.time_base.numerator, 1, _U32)
        check_range("time_base denominator", self.time_base.denominator, 1, _U32)
        if self.level != CUSTOM_LEVEL:
            check_range("level", self.level, 0, 9)
        if not 0.0 < self.angle_deg <= 180.0:
            raise ValueError(f"angle_deg must be over 0 up to 180, not {self.angle_deg}")
        check_rotation(self.rotation, self.rotation_version)
        if self.scope is KeyScope.CAMERA and not self.camera_id:
            raise ValueError("camera scope needs a camera_id")
        _check_sorted("models", [name for name, _ in self.models])
        _check_sorted("labels", [key for key, _ in self.labels])
        if any(len(digest) != 32 for _, digest in self.models):
            raise ValueError("a model's sha256 has 32 bytes")


def encode_core(header: KeyLogHeader) -> bytes:
    """The core of a header, without its length.

    Raises:
        ValueError: a text is too long, or all of it over 64 KiB.
    """
    parts = [
        header.recording_id,
        struct.pack("<qq", header.created_unix_us, header.expires_unix_us),
        pack_str8(header.tool),
        header.previous_log,
        b"\0" if header.signer is None else b"\1" + header.signer,
        bytes([SCOPES.index(header.scope)]),
        pack_str8(header.camera_id),
        bytes([rotation_code(header.rotation), header.rotation_version, header.level]),
        struct.pack("<d??", header.angle_deg, header.is_sealed, header.is_assisted),
        b"\0" if header.kdf is None else b"\1" + pack_kdf(header.kdf),
        struct.pack("<II", header.width, header.height),
        struct.pack("<II", header.time_base.numerator, header.time_base.denominator),
        pack_str8(header.codec),
        pack_str8(header.pixel_format),
        bytes([len(header.models)]),
        *(pack_str8(name) + digest for name, digest in header.models),
        bytes([len(header.labels)]),
        *(pack_str8(key) + pack_str8(value) for key, value in header.labels),
    ]
    core = b"".join(parts)
    if len(core) > MAX_HEADER_PART:
        raise ValueError(f"a header of {len(core)} bytes is over {MAX_HEADER_PART}")
    return core


def decode_core(core: bytes) -> KeyLogHeader:
    """The header that `encode_core` spells this way.

    Raises:
        KeyLogFormatError: any field breaks its rules.
    """
    reader = ByteReader(core, "key log header")
    try:
        header = _read_core(reader)
    except (ValueError, IndexError) as exc:
        raise KeyLogFormatError(f"key log header: {exc}") from None
    reader.finish()
    return header


def core_hash(core: bytes) -> bytes:
    """H of the format: the name that everything encrypted is bound to; 32 bytes."""
    return hashlib.sha256(MAGIC + struct.pack("<I", len(core)) + core).digest()


def pack_kdf(params: KdfParams) -> bytes:
    """KDF: 25 bytes."""
    cost = struct.pack("<IIB", params.memory_kib, params.iterations, params.lanes)
    return cost + params.salt


def read_kdf(reader: ByteReader) -> KdfParams:
    """KDF, its cost within bounds.

    Raises:
        KeyLogFormatError: the cost is over the cap, or the bytes are short.
    """
    memory_kib, iterations, lanes = reader.u32(), reader.u32(), reader.u8()
    salt = reader.take(SALT_BYTES)
    try:
        return KdfParams(salt, memory_kib, iterations, lanes)
    except ValueError as exc:
        raise KeyLogFormatError(f"key log header: {exc}") from None


def _read_core(reader: ByteReader) -> KeyLogHeader:
    recording_id, created, expires = reader.take(16), reader.i64(), reader.i64()
    tool, previous_log = reader.str8(), reader.take(32)
    signer = reader.take(32) if reader.flag() else None
    scope, camera_id = SCOPES[reader.u8()], reader.str8()
    rotation, rotation_version = ROTATION_KINDS[reader.u8()], reader.u8()
    level, (angle_deg,) = reader.u8(), reader.f64s(1)
    is_sealed, is_assisted = reader.flag(), reader.flag()
    kdf = read_kdf(reader) if reader.flag() else None
    width, height = reader.u32(), reader.u32()
    time_base = _read_time_base(reader)
    codec, pixel_format = reader.str8(), reader.str8()
    models = tuple((reader.str8(), reader.take(32)) for _ in range(reader.u8()))
    labels = tuple((reader.str8(), reader.str8()) for _ in range(reader.u8()))
    return KeyLogHeader(
        recording_id=recording_id,
        created_unix_us=created,
        width=width,
        height=height,
        time_base=time_base,
        angle_deg=angle_deg,
        level=level,
        scope=scope,
        camera_id=camera_id,
        rotation=rotation,
        rotation_version=rotation_version,
        is_sealed=is_sealed,
        is_assisted=is_assisted,
        kdf=kdf,
        tool=tool,
        expires_unix_us=expires,
        previous_log=previous_log,
        signer=signer,
        codec=codec,
        pixel_format=pixel_format,
        models=models,
        labels=labels,
    )


def _read_time_base(reader: ByteReader) -> Fraction:
    numerator, denominator = reader.u32(), reader.u32()
    if not numerator or not denominator or math.gcd(numerator, denominator) != 1:
        raise KeyLogFormatError("key log header: time base is not a fraction in lowest terms")
    return Fraction(numerator, denominator)


def _check_sorted(what: str, names: list[str]) -> None:
    raw = [name.encode() for name in names]
    if not all(raw) or any(a >= b for a, b in pairwise(raw)):
        raise ValueError(f"{what} must have names in ascending order, without repeats")
    if len(raw) > 255:
        raise ValueError(f"at most 255 {what}")
