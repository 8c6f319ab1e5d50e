"""Writes the rotation vectors: `python -m tests.vectors.rotation.make_vectors`.

The values come from a second, plain implementation of docs/rotation-format.md that shares no code
with the product: its own key stream, loops, and whole matrices. Existing files stay as they are.
"""

from __future__ import annotations

import hmac
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
Vector = npt.NDArray[np.float64]
DIM = 16


def hkdf(ikm: bytes, info: bytes) -> bytes:
    prk = hmac.digest(bytes(32), ikm, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")


def quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[x] = (state[x] + state[y]) & 0xFFFFFFFF
        mixed = state[z] ^ state[x]
        state[z] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF


def key_stream(key: bytes, size: int) -> bytes:
    out, counter = b"", 0
    while len(out) < size:
        start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8I", key)]
        start += [counter, 0, 0, 0]
        state = list(start)
        for _ in range(10):
            for i in range(4):
                quarter(state, i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(state, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        out += struct.pack(
            "<16I", *((s + t) & 0xFFFFFFFF for s, t in zip(state, start, strict=True))
        )
        counter += 1
    return out[:size]


def gaussians(key: bytes, count: int) -> list[float]:
    words = struct.unpack(f"<{count}Q", key_stream(key, 8 * count))
    values = []
    for one, two in zip(words[::2], words[1::2], strict=True):
        u, turn = ((one >> 11) + 0.5) * 2.0**-53, 2 * math.pi * ((two >> 11) + 0.5) * 2.0**-53
        radius = math.sqrt(-2 * math.log(u))
        values += [radius * math.cos(turn), radius * math.sin(turn)]
    return values


def orthogonal(scope_key: bytes, angle_deg: float, z: Vector) -> tuple[Vector, float]:
    label = b"veilstream-rotation/1 orthogonal" + struct.pack("<H", DIM)
    count = DIM * (DIM + 1) // 2
    values = gaussians(hkdf(scope_key, label), count + count % 2)
    q, signs, at = np.eye(DIM), np.ones(DIM), 0
    for j in range(DIM):
        v = np.zeros(DIM)
        v[j:] = values[at : at + DIM - j]
        at += DIM - j
        if j == DIM - 1:
            signs[j] = 1.0 if v[j] >= 0 else -1.0
            continue
        signs[j] = -1.0 if v[j] >= 0 else 1.0
        v[j] -= signs[j] * math.sqrt(v @ v)
        q = q @ (np.eye(DIM) - 2 * np.outer(v, v) / (v @ v))
    q = q * signs
    b = np.zeros((DIM, DIM))
    for k in range(0, DIM, 2):
        b[k, k + 1], b[k + 1, k] = -1.0, 1.0
    turned = q @ b @ q.T @ z
    angle = math.radians(angle_deg)
    return math.cos(angle) * z + math.sin(angle) * turned, 1.0


def reference(scope_key: bytes, angle_deg: float, z: Vector) -> tuple[Vector, float]:
    size = struct.pack("<H", DIM)
    gallery = np.array(
        gaussians(hkdf(bytes(32), b"veilstream-rotation/1 reference gallery" + size), 1000 * DIM)
    ).reshape(1000, DIM)
    stream = key_stream(hkdf(scope_key, b"veilstream-rotation/1 reference pick" + size), 4096)
    picked: list[int] = []
    for word in struct.unpack("<1024I", stream):
        if word < 4294967000 and word % 1000 not in picked and len(picked) < 10:
            picked.append(word % 1000)
    f = sum((gallery[i] / math.sqrt(gallery[i] @ gallery[i]) for i in picked), np.zeros(DIM))
    f /= math.sqrt(f @ f)
    angle = math.radians(angle_deg)
    new = z * math.cos(angle) + (f - (z @ f) * z) * math.sin(angle)
    norm = math.sqrt(new @ new)
    return new / norm, norm


def case(rotation: str, key: bytes, angle_deg: float, seed: int) -> dict[str, Any]:
    z = np.array(gaussians(bytes([seed] * 32), DIM))
    z = (z / math.sqrt(z @ z)).astype(np.float32).astype(np.float64)
    z /= math.sqrt(z @ z)
    rotate = orthogonal if rotation == "orthogonal" else reference
    rotated, norm = rotate(key, angle_deg, z)
    return {
        "covers": f"{rotation} {angle_deg} key {key[0]} z {seed}",
        "rotation": rotation,
        "scope_key": key.hex(),
        "angle_deg": angle_deg,
        "dim": DIM,
        "z": z.tolist(),
        "rotated": rotated.tolist(),
        "norm": norm,
        "tolerance": 1e-6,
        "is_equal": True,
    }


def cases(rotation: str, angles: tuple[float, ...]) -> list[dict[str, Any]]:
    good = [
        case(rotation, bytes([n] * 32), angle, 10 + n) for n, angle in enumerate(angles, start=1)
    ]
    bad: list[dict[str, Any]] = []
    for one in good:
        wrong_key = bytes([bytes.fromhex(one["scope_key"])[0] ^ 128] * 32).hex()
        for covers, changes in {
            "wrong key": {"scope_key": wrong_key},
            "wrong angle": {"angle_deg": one["angle_deg"] + 1.5},
        }.items():
            bad.append(
                {**one, **changes, "covers": f"{one['covers']}, {covers}", "is_equal": False}
            )
    return good + bad


def main() -> None:
    for rotation, angles in (
        ("orthogonal", (70.0, 85.0, 90.0, 95.0, 120.0)),
        ("reference", (70.0, 85.0, 95.0, 120.0)),
    ):
        path = HERE / f"{rotation}.json"
        if not path.exists():
            path.write_text(json.dumps({"cases": cases(rotation, angles)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
