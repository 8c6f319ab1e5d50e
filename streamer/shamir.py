"""Shamir's secret sharing over GF(2^8), for M-of-N access to a key log.

Byte i of the share at x is the value at x of a random polynomial whose constant is byte i of the
secret; field polynomial x^8 + x^4 + x^3 + x + 1. Vectors: tests/vectors/keys/.
Products go through no table and no branch on secret values, so their time tells nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

__all__ = ["combine_shares", "split_secret"]


def split_secret(
    secret: bytes,
    *,
    threshold: int,
    count: int,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> dict[int, bytes]:
    """Shares of a secret, by their x from 1 up.

    Args:
        secret: what to share.
        threshold: how many shares give it back, 2..32.
        count: how many to make, threshold..255.
        random_bytes: source of the polynomials.

    Raises:
        ValueError: threshold or count out of range, or no secret.
    """
    if not 2 <= threshold <= 32 or not threshold <= count <= 255 or not secret:
        raise ValueError("threshold must be 2 to 32, and shares from threshold to 255")
    coefficients = [secret, *(random_bytes(len(secret)) for _ in range(threshold - 1))]
    return {x: _evaluate(coefficients, x) for x in range(1, count + 1)}


def combine_shares(shares: Mapping[int, bytes]) -> bytes:
    """The secret from exactly as many shares as its threshold (Lagrange at 0).

    Too few, too many from another polynomial, or wrong shares give another secret, not an error.

    Raises:
        ValueError: no shares, an x out of 1..255, or shares of different lengths.
    """
    sizes = {len(share) for share in shares.values()}
    if len(sizes) != 1 or not all(1 <= x <= 255 for x in shares):
        raise ValueError("shares must have one length and an x of 1 to 255")
    secret = bytearray(sizes.pop())
    for x, share in shares.items():
        weight = 1
        for other in shares:
            if other != x:
                weight = _multiply(weight, _multiply(other, _inverse(other ^ x)))
        for i, value in enumerate(share):
            secret[i] ^= _multiply(weight, value)
    return bytes(secret)


def _evaluate(coefficients: list[bytes], x: int) -> bytes:
    result = bytearray(len(coefficients[0]))
    for coefficient in reversed(coefficients):
        for i, value in enumerate(coefficient):
            result[i] = _multiply(result[i], x) ^ value
    return bytes(result)


def _multiply(a: int, b: int) -> int:
    product = 0
    for _ in range(8):
        product ^= -(b & 1) & a
        a = (a << 1) ^ (-(a >> 7) & 0x11B)
        b >>= 1
    return product


def _inverse(value: int) -> int:
    # value^254; only ever called on public x values.
    result = 1
    for _ in range(254):
        result = _multiply(result, value)
    return result
