"""Writes the key vectors: `python -m tests.vectors.keys.make_vectors`. Existing files stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamer.keys import KdfParams, KeyScope, derive_master_key
from streamer.shamir import split_secret
from tests.key_log_forge import counted_bytes

HERE = Path(__file__).resolve().parent
RECORDING = bytes(range(16))


def scope_case(
    covers: str,
    password: bytes = b"123456",
    kdf: KdfParams | None = None,
    recording: bytes = RECORDING,
    scope: KeyScope = KeyScope.TRACK,
    scope_id: str = "7",
) -> dict[str, Any]:
    kdf = kdf or KdfParams(bytes(range(16)), 64, 1, 1)
    return {
        "covers": covers,
        "password": password.hex(),
        "salt": kdf.salt.hex(),
        "memory_kib": kdf.memory_kib,
        "iterations": kdf.iterations,
        "lanes": kdf.lanes,
        "recording_id": recording.hex(),
        "scope": scope.value,
        "scope_id": scope_id,
        "key": derive_master_key(password, kdf).scope_key(recording, scope, scope_id).hex(),
        "is_equal": True,
    }


def scope_cases() -> list[dict[str, Any]]:
    base = scope_case("track scope")
    cases = [
        base,
        scope_case("recording scope", scope=KeyScope.RECORDING, scope_id=""),
        scope_case("camera scope", scope=KeyScope.CAMERA, scope_id="gate 3"),
        scope_case("camera scope, other recording", recording=bytes(16), scope=KeyScope.CAMERA),
        scope_case("default cost", kdf=KdfParams(bytes(range(16)))),
        scope_case("text in UTF-8", password="größe 🙂".encode(), scope_id="ä"),
    ]
    wrong: dict[str, dict[str, Any]] = {
        "wrong password": {"password": b"123457".hex()},
        "other salt": {"salt": bytes(16).hex()},
        "other memory": {"memory_kib": 65},
        "other iterations": {"iterations": 2},
        "other recording": {"recording_id": bytes(16).hex()},
        "other scope": {"scope": "recording"},
        "other track": {"scope_id": "8"},
        "track with a leading zero": {"scope_id": "07"},
    }
    for covers, changes in wrong.items():
        cases.append({**base, "covers": covers, **changes, "is_equal": False})
    return cases


def refused_cases() -> list[dict[str, Any]]:
    salt = bytes(16).hex()
    table = {
        "memory over 1 GiB": (salt, (1 << 20) + 1, 1, 1),
        "memory of 4 TiB": (salt, (1 << 32) - 1, 1, 1),
        "memory under 8 KiB a lane": (salt, 31, 1, 4),
        "no memory": (salt, 0, 1, 1),
        "65 iterations": (salt, 64, 65, 1),
        "no iterations": (salt, 64, 0, 1),
        "17 lanes": (salt, 65536, 3, 17),
        "no lanes": (salt, 65536, 3, 0),
        "product over the cap": (salt, 1 << 20, 5, 4),
        "short salt": (salt[:-2], 65536, 3, 4),
        "long salt": (salt + "00", 65536, 3, 4),
    }
    names = ("salt", "memory_kib", "iterations", "lanes")
    return [{"covers": key, **dict(zip(names, row, strict=True))} for key, row in table.items()]


def shamir_cases() -> list[dict[str, Any]]:
    # The first is the worked example f(x) = 0x2a + 0x1c x, by hand: f(1) = 0x36, f(2) = 0x12.
    cases = [{"secret": "2a", "shares": {"1": "36", "2": "12"}, "is_equal": True}]
    secret = bytes(range(32))
    for threshold, count in ((2, 3), (3, 5)):
        source = counted_bytes(f"{threshold} of {count}")
        shares = split_secret(secret, threshold=threshold, count=count, random_bytes=source)
        texts = {str(x): share.hex() for x, share in shares.items()}
        last = dict(list(texts.items())[-threshold:])
        cases.append({"secret": secret.hex(), "shares": last, "is_equal": True})
        fewer = dict(list(texts.items())[: threshold - 1])
        cases.append({"secret": secret.hex(), "shares": fewer, "is_equal": False})
        moved = dict(zip(map(str, range(10, 10 + threshold)), last.values(), strict=True))
        cases.append({"secret": secret.hex(), "shares": moved, "is_equal": False})
    return cases


def main() -> None:
    for name, cases in (
        ("scope_keys", scope_cases()),
        ("kdf_refused", refused_cases()),
        ("shamir", shamir_cases()),
    ):
        path = HERE / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps({"cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
