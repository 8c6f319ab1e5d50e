"""Fields, header and keys of the independent key-log reader (see independent_key_log_reader)."""

from __future__ import annotations

import hmac
import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

NO_PTS, NO_TRACK = -(2**63), 0xFFFFFFFF
MAGIC = b"veilstream-keylog/1\n"


class RefusedError(Exception):
    """The log cannot be read (on); `outcome` is the word of section 7."""

    def __init__(self, outcome: str, why: str) -> None:
        super().__init__(f"{outcome}: {why}")
        self.outcome = outcome


class Fields:
    """Takes fields off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def raw(self, size: int) -> bytes:
        if len(self.data) < size:
            raise RefusedError("format", "short")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def num(self, code: str) -> Any:  # noqa: ANN401 - int or float, as the code says
        (value,) = struct.unpack("<" + code, self.raw(struct.calcsize("<" + code)))
        if isinstance(value, float):
            need(math.isfinite(value), "not finite")
        return value

    def nums(self, code: str, count: int) -> list[Any]:
        return [self.num(code) for _ in range(count)]

    def text(self, size: int) -> str:
        try:
            return self.raw(size).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise RefusedError("format", "not UTF-8") from None

    def str8(self) -> str:
        return self.text(self.num("B"))

    def flag(self) -> bool:
        value = self.num("B")
        need(value in (0, 1), "flag")
        return bool(value)

    def choice(self, count: int) -> int:
        value: int = self.num("B")
        need(value < count, "enumeration")
        return value

    def end(self) -> None:
        need(not self.data, "left-over bytes")


def need(condition: bool, why: str, outcome: str = "format") -> None:
    if not condition:
        raise RefusedError(outcome, why)


def hkdf(salt: bytes, ikm: bytes, info: bytes) -> bytes:
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")


def kdf_fields(f: Fields) -> tuple[int, int, int, bytes]:
    memory, iterations, lanes = f.num("I"), f.num("I"), f.num("B")
    need(1 <= lanes <= 16 and 1 <= iterations <= 64, "kdf bounds")
    need(8 * lanes <= memory <= 1048576 and memory * iterations <= 4194304, "kdf bounds")
    return memory, iterations, lanes, f.raw(16)


def angle_field(f: Fields) -> float:
    angle: float = f.num("d")
    need(0 < angle <= 180, "angle")
    return angle


def ascending(names: Sequence[str]) -> None:
    raw = [name.encode() for name in names]
    need(all(raw) and all(a < b for a, b in itertools.pairwise(raw)), "not ascending")


def parse_core(data: bytes) -> dict[str, Any]:
    f = Fields(data)
    f.raw(16)
    f.num("q")
    expires = f.num("q")
    f.str8()
    f.raw(32)
    signer = f.raw(32) if f.flag() else None
    scope, camera = f.choice(3), f.str8()
    need(scope != 2 or camera != "", "camera id")
    rotation = f.choice(2)
    need(1 <= f.num("B") <= 2 - rotation, "rotation version")
    level = f.num("B")
    need(level <= 9 or level == 255, "level")
    angle_field(f)
    f.flag()
    f.flag()
    if f.flag():
        kdf_fields(f)
    width, height, num, den = f.nums("I", 4)
    need(1 <= width <= 65535 and 1 <= height <= 65535, "size")
    need(num >= 1 and den >= 1 and math.gcd(num, den) == 1, "time base")
    f.str8()
    f.str8()
    names = []
    for _ in range(f.num("B")):
        names.append(f.str8())
        f.raw(32)
    ascending(names)
    keys = []
    for _ in range(f.num("B")):
        keys.append(f.str8())
        f.str8()
    ascending(keys)
    f.end()
    return {"signer": signer, "expires": expires}


def parse_access(data: bytes) -> list[dict[str, Any]]:
    f = Fields(data)
    f.num("I")
    stanzas: list[dict[str, Any]] = []
    count = f.num("B")
    need(1 <= count <= 64, "number of stanzas")
    for _ in range(count):
        kind, _label = f.num("B"), f.str8()
        body = Fields(f.raw(f.num("H")))
        stanza: dict[str, Any] = {"kind": kind}
        if kind == 1:
            stanza["kdf"], stanza["salt"] = kdf_fields(body), body.raw(16)
        elif kind in (2, 3):
            if kind == 3:
                stanza["group"], stanza["threshold"], stanza["x"] = body.nums("B", 3)
                need(2 <= stanza["threshold"] <= 32 and stanza["x"] >= 1, "share")
            stanza["recipient"], stanza["ephemeral"] = body.raw(32), body.raw(32)
        else:
            raise RefusedError("format", "stanza type")
        stanza["wrapped"] = body.raw(48)
        body.end()
        stanzas.append(stanza)
    f.end()
    passwords = [s["kdf"] for s in stanzas if s["kind"] == 1]
    need(len(passwords) <= 8, "passwords")
    need(sum(memory * times for memory, times, _, _ in passwords) <= 4194304, "kdf sum")
    groups: dict[int, list[dict[str, Any]]] = {}
    for stanza in stanzas:
        if stanza["kind"] == 3:
            groups.setdefault(stanza["group"], []).append(stanza)
    for members in groups.values():
        need(len({s["threshold"] for s in members}) == 1, "thresholds")
        need(len({s["x"] for s in members}) == len(members), "shares")
    return stanzas


def gf_mul(a: int, b: int) -> int:
    result = 0
    for bit in range(8):
        if b >> bit & 1:
            result ^= a << bit
    for bit in range(14, 7, -1):
        if result >> bit & 1:
            result ^= 0x11B << (bit - 8)
    return result


def gf_div(a: int, b: int) -> int:
    return next(q for q in range(256) if gf_mul(q, b) == a)


def interpolate(shares: Mapping[int, bytes]) -> bytes:
    secret = [0] * 32
    for x, share in shares.items():
        weight = 1
        for other in shares:
            if other != x:
                weight = gf_mul(weight, gf_div(other, other ^ x))
        secret = [s ^ gf_mul(weight, v) for s, v in zip(secret, share, strict=True)]
    return bytes(secret)


def try_open(kek: bytes, wrapped: bytes) -> bytes | None:
    try:
        return ChaCha20Poly1305(kek).decrypt(bytes(12), wrapped, None)
    except InvalidTag:
        return None


def open_share(stanza: dict[str, Any], secret: bytes) -> bytes | None:
    private = X25519PrivateKey.from_private_bytes(secret)
    if private.public_key().public_bytes_raw() != stanza["recipient"]:
        return None
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(stanza["ephemeral"]))
    except ValueError:
        return None
    label = b"wrap-x25519" if stanza["kind"] == 2 else b"wrap-share"
    salt = stanza["ephemeral"] + stanza["recipient"]
    return try_open(hkdf(salt, shared, b"veilstream-keylog/1 " + label), stanza["wrapped"])


def open_password(stanza: dict[str, Any], password: bytes) -> bytes | None:
    memory, times, lanes, salt = stanza["kdf"]
    kdf = Argon2id(salt=salt, length=32, iterations=times, lanes=lanes, memory_cost=memory)
    kek = hkdf(stanza["salt"], kdf.derive(password), b"veilstream-keylog/1 wrap-password")
    return try_open(kek, stanza["wrapped"])


def find_file_key(
    stanzas: list[dict[str, Any]], password: bytes | None, secrets: Sequence[bytes]
) -> bytes:
    shares: dict[int, dict[int, bytes]] = {}
    for stanza, secret in itertools.product(stanzas, secrets):
        opened = open_share(stanza, secret) if stanza["kind"] != 1 else None
        if opened is not None and stanza["kind"] == 2:
            return opened
        if opened is not None:
            group = shares.setdefault(stanza["group"], {})
            group[stanza["x"]] = opened
            if len(group) == stanza["threshold"]:
                return interpolate(group)
    for stanza in stanzas:
        if stanza["kind"] == 1 and password:
            opened = open_password(stanza, password)
            if opened is not None:
                return opened
    raise RefusedError("wrong-password", "no stanza opens")
