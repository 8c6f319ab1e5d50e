"""The contact sheet of the model card: ``python -m benchmarks.generator_sheet``.

Rows: original; anonymised with three passwords; recovered from the first with the stored identity;
recovered from its pixels and the password alone; recovered with a wrong password. Keys are chosen
as for long tracks in files. Only AI-generated CC0 portraits are shown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.assisted import assisted
from benchmarks.generator_material import Product, key_of
from benchmarks.product_faces import make_faces, turn_each
from engines.arrays import UInt8Array
from training.portraits import load_portraits
from training.teachers import load_teachers

__all__ = ["main", "sheet"]

_LEVEL: Final = 3
_COLUMNS: Final = 10
_QUALITY: Final = 90


def sheet(product: Product, faces: UInt8Array) -> UInt8Array:
    """All rows as one picture.

    Args:
        product: Encoder, rotation and generator.
        faces: (N, 160, 160, 3) uint8 RGB.

    Returns:
        (7 x 160, N x 160, 3) uint8 RGB.
    """
    levels = np.full(len(faces), _LEVEL)
    made = [make_faces(product, faces, levels, password=k) for k in (1, 2, 3)]
    read, wrong_keys = product.read(made[0].crops), [key_of(9)] * len(faces)
    back = [
        product.likeliest(turn_each(product, read, keys, levels, back=True))
        for keys in (made[0].keys, wrong_keys)
    ]
    seen = made[0].crops
    recovered = [
        assisted(product.generator, seen, product.embed(faces), faces),
        *(product.make(seen, z) for z in back),
    ]
    rows = [faces, *(one.crops for one in made), *recovered]
    return np.vstack([np.hstack(list(row)) for row in rows])


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.generator_sheet", description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path("docs/models/generator_sheet.jpg"))
    args = parser.parse_args(argv)
    folder = args.shared / "faces" / "portraits_cc0"
    if not folder.is_dir():
        sys.stderr.write(f"error: no portraits in {folder}; say where with --shared\n")
        return 2
    faces = load_portraits(folder, load_teachers(args.shared / "models"))
    picture = sheet(Product(), faces[:: max(1, len(faces) // _COLUMNS)][:_COLUMNS])
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    if not cv2.imwrite(str(args.out), picture[:, :, ::-1], quality):
        sys.stderr.write(f"error: cannot write {args.out}\n")
        return 2
    sys.stdout.write(f"{args.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
