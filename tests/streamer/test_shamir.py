from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.shamir import combine_shares, split_secret
from tests.key_log_forge import counted_bytes

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "keys" / "shamir.json"


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text())["cases"])
def test_vector(case: dict[str, object]) -> None:
    shares = case["shares"]
    assert isinstance(shares, dict)
    pieces = {int(x): bytes.fromhex(share) for x, share in shares.items()}
    assert (combine_shares(pieces).hex() == case["secret"]) == case["is_equal"]


@given(
    secret=st.binary(min_size=1, max_size=40), threshold=st.integers(2, 4), more=st.integers(0, 2)
)
def test_any_threshold_of_shares_gives_it_back(secret: bytes, threshold: int, more: int) -> None:
    count = threshold + more
    shares = split_secret(secret, threshold=threshold, count=count)
    for picked in itertools.combinations(shares, threshold):
        assert combine_shares({x: shares[x] for x in picked}) == secret


def test_one_share_less_tells_nothing() -> None:
    secret = bytes(range(32))
    shares = split_secret(secret, threshold=3, count=3, random_bytes=counted_bytes())
    assert combine_shares({x: shares[x] for x in (1, 2)}) != secret
    # With two of three shares fixed, each value of a byte is still possible.
    one_byte = split_secret(b"\x2a", threshold=2, count=2, random_bytes=counted_bytes())
    seen = {combine_shares({1: one_byte[1], 2: bytes([guess])}) for guess in range(256)}
    assert len(seen) == 256


def test_refuses_misuse() -> None:
    for threshold, count in ((1, 3), (33, 40), (3, 2), (2, 256)):
        with pytest.raises(ValueError, match="threshold"):
            split_secret(b"x", threshold=threshold, count=count)
    for shares in ({}, {1: b"a", 2: b"bc"}, {0: b"a"}, {256: b"a"}):
        with pytest.raises(ValueError, match="one length"):
            combine_shares(shares)
