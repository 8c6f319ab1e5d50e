"""Keys: password to master key to scope key, and the key stream that rotations are drawn from.

password -> Argon2id (salt of the recording) -> master key -> HKDF (recording, scope) -> scope key.
docs/threat-model.md says what each scope protects and what guessing a password costs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = [
    "KEY_BYTES",
    "SALT_BYTES",
    "KdfParams",
    "KeyScope",
    "MasterKey",
    "derive_key",
    "derive_master_key",
    "key_stream",
    "scope_id_for",
]

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
# A header may come from an enemy: whatever it asks for is bounded before memory is taken.
_MAX_MEMORY_KIB: Final = 1 << 20
_MAX_ITERATIONS: Final = 64
_MAX_LANES: Final = 16
_MAX_COST_KIB: Final = 4 << 20
# Leaves room for three more passwords under the limit for a whole header.
_MOST_CALIBRATED_PASSES: Final = 16

_SCOPE_LABEL: Final = b"veilstream/1 scope"
_CAMERA_SALT_LABEL: Final = b"veilstream/1 camera salt"


class KeyScope(StrEnum):
    """Which appearances of a person share a pseudonym.

    TRACK: none; two tracks cannot be linked (the default).
    RECORDING: all tracks of one recording.
    CAMERA: all recordings of one camera; linkable for ever, so known pairs weaken it.
    """

    TRACK = "track"
    RECORDING = "recording"
    CAMERA = "camera"


_SCOPE_CODES: Final = {KeyScope.TRACK: 0, KeyScope.RECORDING: 1, KeyScope.CAMERA: 2}


@dataclass(frozen=True, slots=True)
class KdfParams:
    """Salt and cost of Argon2id; the defaults are RFC 9106's second recommended choice.

    Attributes:
        salt: 16 bytes, public.
        memory_kib: memory in KiB, at least 8 a lane, at most 1 GiB.
        iterations: passes over the memory, 1 to 64; memory times passes at most 4 GiB.
        lanes: parallel lanes, 1 to 16.
    """

    salt: bytes
    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_BYTES:
            raise ValueError(f"the salt must have {SALT_BYTES} bytes, not {len(self.salt)}")
        if not 1 <= self.lanes <= _MAX_LANES:
            raise ValueError(f"Argon2id lanes must be 1 to {_MAX_LANES}, not {self.lanes}")
        if not 1 <= self.iterations <= _MAX_ITERATIONS:
            raise ValueError(
                f"Argon2id iterations must be 1 to {_MAX_ITERATIONS}, not {self.iterations}"
            )
        if not 8 * self.lanes <= self.memory_kib <= _MAX_MEMORY_KIB:
            raise ValueError(
                f"Argon2id memory must be {8 * self.lanes} to {_MAX_MEMORY_KIB} KiB, "
                f"not {self.memory_kib}"
            )
        if self.memory_kib * self.iterations > _MAX_COST_KIB:
            raise ValueError(
                f"Argon2id cost of {self.memory_kib} KiB x {self.iterations} is over the "
                f"limit of {_MAX_COST_KIB} KiB passes"
            )

    @staticmethod
    def generate(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> KdfParams:
        """Default cost with a fresh salt, as each recording gets one."""
        return KdfParams(random_bytes(SALT_BYTES))

    @staticmethod
    def calibrated(
        seconds: float,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        now: Callable[[], float] = time.monotonic,
    ) -> KdfParams:
        """Cost by which this machine takes about so long; never below the default.

        Args:
            seconds: for one derivation, which each guess of an attacker costs too.
            random_bytes: source of the salt.
            now: clock in seconds.
        """
        base = KdfParams.generate(random_bytes)
        trial = dataclasses.replace(base, iterations=1)
        times = []
        for _ in range(2):
            began = now()
            derive_master_key(b"trial", trial).wipe()
            times.append(now() - began)
        passes = round(seconds / max(min(times), 1e-6))
        return dataclasses.replace(
            base, iterations=min(max(passes, base.iterations), _MOST_CALIBRATED_PASSES)
        )

    @staticmethod
    def for_camera(camera_id: str) -> KdfParams:
        """Default cost with a salt fixed by the camera's name.

        Camera scope needs the same master key in each recording, so its salt cannot be random.
        """
        digest = hashlib.sha256(_CAMERA_SALT_LABEL + camera_id.encode()).digest()
        return KdfParams(digest[:SALT_BYTES])


class MasterKey:
    """What a password derives to. Its bytes appear in no repr, and are wiped on `wipe`.

    Immutable apart from `wipe`, so safe to share between threads.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes")
        self._key = bytearray(key)

    def __repr__(self) -> str:
        return "MasterKey(***)"

    def __reduce__(self) -> str:
        raise TypeError("a master key is never pickled or copied")

    def derive(self, *, salt: bytes, info: bytes) -> bytes:
        """A 32-byte key for another purpose, named by `info`.

        Raises:
            ValueError: the key was wiped.
        """
        if not self._key:
            raise ValueError("the master key was wiped")
        return derive_key(self._key, salt=salt, info=info)

    def scope_key(self, recording_id: bytes, scope: KeyScope, scope_id: str) -> bytes:
        """The rotation key of one track, recording or camera.

        Args:
            recording_id: 16 bytes; left out of the derivation in camera scope, where the same
                key must come out for every recording.
            scope: the policy.
            scope_id: what it applies to, as `scope_id_for` spells it.

        Returns:
            32 bytes.
        """
        bound = b"" if scope is KeyScope.CAMERA else recording_id
        name = scope_id.encode()
        info = (
            _SCOPE_LABEL
            + struct.pack("<BI", _SCOPE_CODES[scope], len(bound))
            + bound
            + struct.pack("<I", len(name))
            + name
        )
        return self.derive(salt=b"", info=info)

    def wipe(self) -> None:
        """Overwrite the key. Copies made by libraries cannot be reached from Python."""
        self._key[:] = bytes(len(self._key))
        self._key.clear()


def scope_id_for(scope: KeyScope, *, track_id: int, camera_id: str, attempt: int = 0) -> str:
    """Spells the scope id: the track's number, nothing, or the camera's name.

    A track's further keys have the number of the attempt behind a dot; shared keys are the only
    ones of their scope.
    """
    if scope is KeyScope.TRACK:
        return f"{track_id}.{attempt}" if attempt else str(track_id)
    return camera_id if scope is KeyScope.CAMERA else ""


def derive_master_key(password: bytes, params: KdfParams) -> MasterKey:
    """Stretch a password with Argon2id; about 0.12 s and 64 MiB with the defaults.

    Args:
        password: as `streamer.passwords` reads it; not empty.
        params: salt and cost, already within bounds.

    Raises:
        ValueError: the password is empty.
    """
    if not password:
        raise ValueError("the password is empty")
    kdf = Argon2id(
        salt=params.salt,
        length=KEY_BYTES,
        iterations=params.iterations,
        lanes=params.lanes,
        memory_cost=params.memory_kib,
    )
    return MasterKey(kdf.derive(password))


def derive_key(key: bytes | bytearray, *, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869), 32 bytes out; an empty salt is 32 zero bytes."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt or None, info=info).derive(key)


def key_stream(key: bytes, size_bytes: int) -> bytes:
    """ChaCha20 key stream (RFC 8439): counter from 0, nonce of zeros.

    Args:
        key: 32 bytes, used for this stream only.
        size_bytes: how much, below 256 GiB.
    """
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
    return stream.update(bytes(size_bytes))
