from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.keys import (
    KdfParams,
    KeyScope,
    MasterKey,
    derive_key,
    derive_master_key,
    key_stream,
    scope_id_for,
)

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "keys"
CHEAP = KdfParams(bytes(16), memory_kib=64, iterations=1, lanes=1)


def load(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())["cases"]
    return cases


@pytest.mark.parametrize("case", load("scope_keys.json"), ids=lambda case: str(case["covers"]))
def test_scope_key_vector(case: dict[str, Any]) -> None:
    kdf = KdfParams(
        bytes.fromhex(case["salt"]), case["memory_kib"], case["iterations"], case["lanes"]
    )
    master = derive_master_key(bytes.fromhex(case["password"]), kdf)
    key = master.scope_key(
        bytes.fromhex(case["recording_id"]), KeyScope(case["scope"]), case["scope_id"]
    )
    assert (key.hex() == case["key"]) == case["is_equal"]


@pytest.mark.parametrize("case", load("kdf_refused.json"), ids=lambda case: str(case["covers"]))
def test_hostile_cost_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Argon2id|salt"):
        KdfParams(
            bytes.fromhex(case["salt"]), case["memory_kib"], case["iterations"], case["lanes"]
        )


def test_rfc_5869_case_3() -> None:
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derive_key(b"\x0b" * 22, salt=b"", info=b"").hex() == expected


def test_rfc_8439_key_stream() -> None:
    # Appendix A.1, test vector 1: key, nonce and counter of zeros.
    expected = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    assert key_stream(bytes(32), 32).hex() == expected


def test_default_cost_is_the_second_choice_of_rfc_9106() -> None:
    kdf = KdfParams.generate()
    assert (kdf.memory_kib, kdf.iterations, kdf.lanes) == (64 * 1024, 3, 4)
    assert kdf.salt != KdfParams.generate().salt


def test_camera_salt_depends_on_the_camera_only() -> None:
    assert KdfParams.for_camera("a") == KdfParams.for_camera("a")
    assert KdfParams.for_camera("a") != KdfParams.for_camera("b")


def test_empty_password_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        derive_master_key(b"", CHEAP)


def test_master_depends_on_password_salt_and_cost() -> None:
    def key(password: bytes, kdf: KdfParams) -> bytes:
        return derive_master_key(password, kdf).scope_key(bytes(16), KeyScope.TRACK, "0")

    base = key(b"a", CHEAP)
    others = [key(b"b", CHEAP), key(b"a", replace(CHEAP, salt=bytes([1] * 16)))]
    others += [key(b"a", replace(CHEAP, iterations=2)), key(b"a", replace(CHEAP, memory_kib=128))]
    assert len({base, *others}) == 5


recordings = st.binary(min_size=16, max_size=16)
names = st.text(max_size=8)


@given(a=st.tuples(recordings, names), b=st.tuples(recordings, names))
def test_scopes_are_separate(a: tuple[bytes, str], b: tuple[bytes, str]) -> None:
    master = MasterKey(bytes(range(32)))
    for scope in KeyScope:
        same = a[1] == b[1] and (scope is KeyScope.CAMERA or a[0] == b[0])
        assert (master.scope_key(a[0], scope, a[1]) == master.scope_key(b[0], scope, b[1])) == same
    assert len({master.scope_key(a[0], scope, a[1]) for scope in KeyScope}) == 3


def test_scope_ids() -> None:
    assert scope_id_for(KeyScope.TRACK, track_id=7, camera_id="x") == "7"
    assert scope_id_for(KeyScope.RECORDING, track_id=7, camera_id="x") == ""
    assert scope_id_for(KeyScope.CAMERA, track_id=7, camera_id="x") == "x"


def test_master_key_shows_nothing_and_can_be_wiped() -> None:
    master = MasterKey(b"\x41" * 32)
    assert "AAAA" not in repr(master)
    assert "AAAA" not in str(master)
    with pytest.raises(TypeError):
        pickle.dumps(master)
    master.wipe()
    with pytest.raises(ValueError, match="wiped"):
        master.scope_key(bytes(16), KeyScope.TRACK, "0")


def test_master_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        MasterKey(bytes(31))


def test_calibrated_cost_follows_the_machine_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master = MasterKey(bytes(32))
    monkeypatch.setattr("streamer.keys.derive_master_key", lambda password, params: master)

    def ticking(step_s: float) -> Callable[[], float]:
        clock = itertools.count()
        return lambda: next(clock) * step_s

    # One pass "takes" 0.1 s here: half a second is five passes.
    assert KdfParams.calibrated(0.5, now=ticking(0.1)).iterations == 5
    assert KdfParams.calibrated(0.01, now=ticking(0.1)).iterations == 3  # never below the default
    assert KdfParams.calibrated(9.0, now=ticking(0.1)).iterations == 16
    salts = {KdfParams.calibrated(0.01, now=ticking(0.1)).salt for _ in range(2)}
    assert len(salts) == 2
