"""The faces that the product would make in a file, key choice included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.generator_material import Product, key_of
from benchmarks.key_choice import Looked, RecallSpace, choose_drawings
from engines.arrays import Float32Array, UInt8Array

__all__ = ["MadeFaces", "make_faces", "turn_each"]

_NEXT_KEY: Final = 1000  # between the numbers of a password's keys


@dataclass(frozen=True, slots=True, eq=False)
class MadeFaces:
    """What came of some faces.

    Attributes:
        crops: (N, 160, 160, 3) uint8 RGB, the new faces pasted in.
        keys: the key of each.
    """

    crops: UInt8Array
    keys: list[bytes]


def turn_each(
    product: Product,
    identities: Float32Array,
    keys: Sequence[bytes],
    levels: NDArray[np.int64],
    *,
    back: bool = False,
    people_like: bool = True,
) -> Float32Array:
    """(N, D) identities, each under its own key and level, or back again; see `Product.turn`."""
    turned = [
        product.turn(z[None], key, int(level), back=back, people_like=people_like)
        for z, key, level in zip(identities, keys, levels, strict=True)
    ]
    return np.concatenate(turned)


def make_faces(
    product: Product,
    originals: UInt8Array,
    levels: NDArray[np.int64],
    *,
    password: int,
    recall: RecallSpace | None = None,
) -> MadeFaces:
    """What the product would make of faces of long tracks in a file.

    Args:
        product: encoder, rotation and generator.
        originals: (N, 160, 160, 3) uint8 RGB.
        levels: (N,) privacy level of each.
        password: number of its first key.
        recall: None: nobody depends on what can be read in the new faces.
    """
    identities, people_like = product.embed(originals), recall is None

    def keys_of(attempts: NDArray[np.int64]) -> list[bytes]:
        return [key_of(password + _NEXT_KEY * int(number)) for number in attempts]

    def look(rows: NDArray[np.int64], attempts: NDArray[np.int64], drawn: Float32Array) -> Looked:
        keys = keys_of(attempts)
        turned = turn_each(product, drawn, keys, levels[rows], people_like=people_like)
        made = product.make(originals[rows], turned)
        if recall is None:
            return Looked(product.embed(made), looks=product.looks(made))
        read = turn_each(product, product.read(made), keys, levels[rows], back=True)
        back = product.likeliest(read)
        shown = product.embed(product.make(made, back))
        likeness = (shown * identities[rows]).sum(1)
        return Looked(product.embed(made), back=back, likeness=likeness)

    found = choose_drawings(identities, look, recall, is_file=True)
    keys = keys_of(found.attempts)
    wanted = turn_each(product, found.drawn, keys, levels, people_like=people_like)
    return MadeFaces(product.make(originals, wanted), keys)
