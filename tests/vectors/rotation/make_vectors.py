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


def quarter_turned(key: bytes, z: Vector) -> Vector:
    dim = len(z)
    count = dim * (dim + 1) // 2
    values = gaussians(key, count + count % 2)
    q, signs, at = np.eye(dim), np.ones(dim), 0
    for j in range(dim):
        v = np.zeros(dim)
        v[j:] = values[at : at + dim - j]
        at += dim - j
        if j == dim - 1:
            signs[j] = 1.0 if v[j] >= 0 else -1.0
            continue
        signs[j] = -1.0 if v[j] >= 0 else 1.0
        v[j] -= signs[j] * math.sqrt(v @ v)
        q = q @ (np.eye(dim) - 2 * np.outer(v, v) / (v @ v))
    q = q * signs
    b = np.zeros((dim, dim))
    for k in range(0, dim, 2):
        b[k, k + 1], b[k + 1, k] = -1.0, 1.0
    turned: Vector = q @ b @ q.T @ z
    return turned


def orthogonal(scope_key: bytes, angle_deg: float, z: Vector) -> tuple[Vector, float]:
    label = b"veilstream-rotation/1 orthogonal" + struct.pack("<H", DIM)
    turned = quarter_turned(hkdf(scope_key, label), z)
    angle = math.radians(angle_deg)
    return math.cos(angle) * z + math.sin(angle) * turned, 1.0


def orthogonal_2(scope_key: bytes, angle_deg: float, z: Vector) -> tuple[Vector, float]:
    dim = len(z)
    fractions = ((1, 8), (1, 3), (5, 8)) if dim >= 48 else ()
    # Half a coordinate pair and more counts as one.
    ends = [2 * math.floor(dim * a / (2 * b) + 0.5) for a, b in fractions]
    turned = np.zeros(dim)
    for start, end in zip([0, *ends], [*ends, dim], strict=True):
        label = b"veilstream-rotation/2 orthogonal" + struct.pack("<HHH", dim, start, end)
        turned[start:end] = quarter_turned(hkdf(scope_key, label), z[start:end])
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


def case(
    rotation: str, key: bytes, angle_deg: float, seed: int, version: int, dim: int
) -> dict[str, Any]:
    z = np.array(gaussians(bytes([seed] * 32), dim))
    z = (z / math.sqrt(z @ z)).astype(np.float32).astype(np.float64)
    z /= math.sqrt(z @ z)
    rotate = {"orthogonal": orthogonal, "orthogonal-2": orthogonal_2, "reference": reference}
    rotated, norm = rotate[f"{rotation}-{version}".removesuffix("-1")](key, angle_deg, z)
    return {
        "covers": f"{rotation} {version} {angle_deg} dim {dim} key {key[0]} z {seed}",
        "rotation": rotation,
        "version": version,
        "scope_key": key.hex(),
        "angle_deg": angle_deg,
        "dim": dim,
        "z": z.tolist(),
        "rotated": rotated.tolist(),
        "norm": norm,
        "tolerance": 1e-6,
        "is_equal": True,
    }


def cases(rotation: str, angles: tuple[float, ...], version: int, dim: int) -> list[dict[str, Any]]:
    good = [
        case(rotation, bytes([n] * 32), angle, 10 + n, version, dim)
        for n, angle in enumerate(angles, start=1)
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
    for name, rotation, angles, version, dim in (
        ("orthogonal", "orthogonal", (70.0, 85.0, 90.0, 95.0, 120.0), 1, DIM),
        ("orthogonal-2", "orthogonal", (70.0, 90.0, 120.0), 2, 50),
        ("orthogonal-2-small", "orthogonal", (70.0, 90.0, 120.0), 2, DIM),
        ("reference", "reference", (70.0, 85.0, 95.0, 120.0), 1, DIM),
    ):
        path = HERE / f"{name}.json"
        if not path.exists():
            made = cases(rotation, angles, version, dim)
            path.write_text(json.dumps({"cases": made}, indent=1) + "\n")


if __name__ == "__main__":
    main()
