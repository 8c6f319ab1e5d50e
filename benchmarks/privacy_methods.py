"""The baselines: blur, pixelation and noise as in the paper, a black box, and `deface`.

The paper's pictures are 256 px squares, so its settings are applied to our crops at that size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import run_command
from engines.arrays import UInt8Array
from engines.manifest import sha256_of

__all__ = ["Baseline", "baselines", "deface_crops", "methods_version", "unchanged"]

_PAPER_PX: Final = 256
_BLUR_SIGMA_PX: Final = 8.0
_BLOCK_PX: Final = 8
_NOISE_SIGMA: Final = 15.0
# Power of noise over power of signal that Wiener's filter assumes; 8-bit rounding is the noise.
_WIENER_NOISE: Final = 1e-3
_WIENER_EDGE_PX: Final = 64
_NLM_STRENGTH: Final = 15.0
# A face on the aligned canvas, from above the brows to below the chin.
_BOX_LTRB_PX: Final = (22, 28, 138, 152)
_DEFACE_MARGIN_PX: Final = 48

Pictures = Callable[[UInt8Array], UInt8Array]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Another way to hide a face.

    Attributes:
        name: for tables, with its setting.
        apply: (N, 160, 160, 3) uint8 RGB to the same.
        restore: what somebody without any key does to undo it; None where nothing is known.
    """

    name: str
    apply: Pictures
    restore: Pictures | None = None


@cache
def methods_version() -> str:
    """A digest of this file: answers of other settings are other answers."""
    return sha256_of(Path(__file__))[:16]


def unchanged(crops: UInt8Array) -> UInt8Array:
    """The crops themselves: the control that must be recognised."""
    return crops


def baselines() -> list[Baseline]:
    """All that need no other program; `deface_crops` is the one that does."""
    return [
        Baseline("original (control)", unchanged),
        Baseline("Gaussian blur, s = 8", _each(_blurred), _each(_deblurred)),
        Baseline("pixelation, 8 x 8", _each(_pixelated), _each(_smoothed)),
        Baseline("Gaussian noise, sigma = 15", _each(_noisy), _each(_denoised)),
        Baseline("black box", _boxed),
    ]


def _each(change: Callable[[UInt8Array], UInt8Array]) -> Pictures:
    """Lift a change of one 256 px picture to crops of any size."""

    def apply(crops: UInt8Array) -> UInt8Array:
        out = np.empty_like(crops)
        for index, crop in enumerate(crops):
            large = cv2.resize(crop, (_PAPER_PX, _PAPER_PX), interpolation=cv2.INTER_CUBIC)
            changed = change(np.asarray(large, np.uint8))
            out[index] = cv2.resize(changed, crop.shape[1::-1], interpolation=cv2.INTER_AREA)
        return out

    return apply


def _blurred(picture: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), _BLUR_SIGMA_PX), np.uint8)


def _pixelated(picture: UInt8Array) -> UInt8Array:
    side = _PAPER_PX // _BLOCK_PX
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(large, np.uint8)


def _noisy(picture: UInt8Array) -> UInt8Array:
    # The seed is the picture's own, so that a run can be repeated and two pictures differ.
    rng = np.random.default_rng(int(picture.sum()))
    noise = rng.normal(0, _NOISE_SIGMA, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _boxed(crops: UInt8Array) -> UInt8Array:
    left, top, right, bottom = _BOX_LTRB_PX
    out = crops.copy()
    out[:, top:bottom, left:right] = 0
    return out


def _deblurred(picture: UInt8Array) -> UInt8Array:
    """Wiener's filter with the true kernel, as in the paper; mirrored edges against ringing."""
    edge = (_WIENER_EDGE_PX,) * 4
    wide = cv2.copyMakeBorder(picture, *edge, cv2.BORDER_REFLECT_101)
    frequency = np.fft.fftfreq(len(wide))
    squared = frequency[:, None] ** 2 + frequency[None] ** 2
    kernel = np.exp(-2 * (np.pi * _BLUR_SIGMA_PX) ** 2 * squared)
    wiener = kernel / (kernel**2 + _WIENER_NOISE)
    spectrum = np.fft.fft2(wide.astype(np.float64), axes=(0, 1))
    restored = np.fft.ifft2(spectrum * wiener[..., None], axes=(0, 1)).real
    inner = slice(_WIENER_EDGE_PX, -_WIENER_EDGE_PX)
    return np.clip(np.rint(restored[inner, inner]), 0, 255).astype(np.uint8)


def _smoothed(picture: UInt8Array) -> UInt8Array:
    """Bilinear interpolation between the blocks, as in the paper."""
    side = _PAPER_PX // _BLOCK_PX
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)


def _denoised(picture: UInt8Array) -> UInt8Array:
    """Non-local means, as in the paper."""
    cleaned = cv2.fastNlMeansDenoisingColored(picture, None, _NLM_STRENGTH, _NLM_STRENGTH, 5, 15)
    return np.asarray(cleaned, np.uint8)


def deface_crops(python: str) -> Pictures:
    """The `deface` package with its defaults, each crop in a picture of 256 px.

    Args:
        python: interpreter that has the package.
    """

    def apply(crops: UInt8Array) -> UInt8Array:
        edge = _DEFACE_MARGIN_PX
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            names = [folder / f"{index:05d}.png" for index in range(len(crops))]
            for name, crop in zip(names, crops, strict=True):
                padded = cv2.copyMakeBorder(crop, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
                cv2.imwrite(str(name), np.ascontiguousarray(padded[..., ::-1]))
            call = "import sys; from deface.deface import main; sys.exit(main())"
            command = [python, "-c", call, *map(str, names)]
            run_command(command).require_success("deface")
            found = [cv2.imread(str(n.with_name(f"{n.stem}_anonymized.png"))) for n in names]
        if any(picture is None for picture in found):
            raise BenchmarkError("deface left no picture")
        inner = slice(edge, -edge)
        return np.stack([np.asarray(p)[inner, inner, ::-1] for p in found]).astype(np.uint8)

    return apply
