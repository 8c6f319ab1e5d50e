"""What is measured on each face: is it still the person, and is it still useful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.judges import (
    DLIB_TAU,
    ImageJudge,
    accepted_by_any,
    distance_matrix,
    row_distances,
)
from benchmarks.privacy_looks import (
    FaceReader,
    Looks,
    inner_psnr,
    outer_psnr,
    perceptual_distance,
)
from benchmarks.privacy_sample import Sample, turns_of
from engines.arrays import Float32Array, Float64Array, UInt8Array

__all__ = ["Measures", "identity_measures", "ranks", "recovery_measures", "utility_measures"]

_PX_256: Final = 256 / 160
_MOST_GALLERIES: Final = 8
# 99 dB: what is printed as "no difference".
_LEAST_ERROR: Final = 255.0**2 / 10**9.9
# Points of the 68-point order; the first 60 of the 66-point model are the same.
_PARTS: Final = {"eyes": slice(36, 48), "nose": slice(27, 36), "mouth": slice(48, None)}

Measures = dict[str, Float64Array]


def ranks(distances: Float64Array, people: np.ndarray) -> Float64Array:
    """How many of a gallery are nearer than the right person, ties counted half; (N,).

    Args:
        distances: (N, P) of probes to gallery.
        people: (N,) the right column of each probe.
    """
    own = distances[np.arange(len(people)), people][:, None]
    nearer, equal = (distances < own).sum(1), (distances == own).sum(1) - 1
    return np.asarray(nearer + equal / 2, np.float64)


def identity_measures(sample: Sample, made: UInt8Array, judges: Sequence[ImageJudge]) -> Measures:
    """Id-dis, SR and ranks of anonymised faces by all judges (eq. 19 and 20).

    SR is 1 where the judge says "another person". "any" is 1 where at least one judge accepts the
    face at FAR 1e-3 as the person of the same picture.
    """
    out: Measures = {}
    same_picture: dict[str, Float64Array] = {}
    for judge in judges:
        after = judge.embed(made)
        originals = judge.embed(sample.probes)
        same_picture[judge.name] = row_distances(originals, after)
        out |= _verdicts(judge, same_picture[judge.name])
        out |= _in_galleries(judge, sample, originals, after)
    for name in ("FAR 1e-3", "FAR 1e-4"):
        out[f"any judge {name}"] = accepted_by_any(same_picture, judges, name)
    return out


def _in_galleries(
    judge: ImageJudge, sample: Sample, originals: Float32Array, after: Float32Array
) -> Measures:
    """What an attacker with another picture of everybody gets, on average over such galleries.

    The sample's own gallery is one; the first pictures of the probes' people are another, the
    second ones the next, each for the probes that are not in it.
    """
    turns = turns_of(sample.people)
    first, rows = judge.embed(sample.gallery), np.arange(len(after))
    found: dict[str, list[Float64Array]] = {}
    for turn in range(-1, min(int(turns.max()), _MOST_GALLERIES - 2) + 1):
        is_in = turns == turn
        if is_in.all():
            continue
        gallery = first.copy()
        gallery[sample.people[is_in]] = originals[is_in]
        distances = distance_matrix(after, gallery)
        place = ranks(distances, sample.people)
        other_picture = distances[rows, sample.people]
        for name, value in (
            ("SR other picture FAR 1e-3", _differs(other_picture, judge.thresholds["FAR 1e-3"])),
            ("rank-1", (place < 0.5).astype(np.float64)),
            ("rank-5", (place < 4.5).astype(np.float64)),
        ):
            found.setdefault(f"{judge.name} {name}", []).append(_where(~is_in, value))
    return {name: np.nanmean(np.stack(values), 0) for name, values in found.items()}


def recovery_measures(
    originals: UInt8Array, restored: UInt8Array, judges: Sequence[ImageJudge]
) -> Measures:
    """Id-dis and SR against the original (Table 3) and picture quality (Table 4)."""
    out: Measures = {}
    for judge in judges:
        distance = row_distances(judge.embed(originals), judge.embed(restored))
        out |= _verdicts(judge, distance)
    return out | picture_measures(originals, restored)


def picture_measures(originals: UInt8Array, changed: UInt8Array) -> Measures:
    """PSNR and MAE of the whole crop as in the paper, PSNR of the face, and how alike it looks."""
    error = originals.astype(np.float32) - changed
    mse = np.maximum((error**2).mean((1, 2, 3)), _LEAST_ERROR)
    looks = perceptual_distance(originals, changed)
    return {
        "PSNR dB": np.asarray(10 * np.log10(255.0**2 / mse), np.float64),
        "MAE": np.asarray(np.abs(error).mean((1, 2, 3)) / 255, np.float64),
        "SSIM": looks.ssim,
        "1 - MS-SSIM": looks.distance,
        "face PSNR dB": inner_psnr(originals, changed),
        "outside PSNR dB": outer_psnr(originals, changed),
    }


def utility_measures(originals: UInt8Array, made: UInt8Array, reader: FaceReader) -> Measures:
    """What a picture is still good for (Table 2), pose and expression.

    Where no face is found in one of the two pictures, distances are NaN and are left out.
    """
    before, after = reader.read(originals), reader.read(made)
    out: Measures = {"DR": after.is_face.astype(np.float64)}
    known = before.is_face & after.is_face
    corners = np.abs(before.boxes_xyxy_px - after.boxes_xyxy_px).mean(1)
    out["face px"] = _where(known, corners * _PX_256)
    for name in before.points:
        a, b = before.points[name], after.points[name]
        moved = np.linalg.norm(a - b, axis=2) * _PX_256
        out[f"landmarks px ({name})"] = _where(known, moved.mean(1))
        for part, points in _PARTS.items():
            out[f"{part} px ({name})"] = _where(known, moved[:, points].mean(1))
    out |= _pose_and_expression(before, after, known)
    return out | {k: v for k, v in picture_measures(originals, made).items() if k != "MAE"}


def _pose_and_expression(before: Looks, after: Looks, known: np.ndarray) -> Measures:
    turned = np.abs(before.pose_deg - after.pose_deg)
    turned = np.minimum(turned, 360 - turned)
    moved = np.linalg.norm(before.dark_centres - after.dark_centres, axis=2)
    seen = np.isfinite(moved)
    mean = np.where(seen, moved, 0).sum(1) / np.maximum(seen.sum(1), 1)
    return {
        "dark of the eyes, eye widths": _where(known & seen.any(1), mean),
        **{f"{n} deg": _where(known, turned[:, i]) for i, n in enumerate(("pitch", "yaw", "roll"))},
        "eye opening": _where(known, np.abs(before.eye_opening - after.eye_opening)),
        "mouth opening": _where(known, np.abs(before.mouth_opening - after.mouth_opening)),
    }


def _where(known: np.ndarray, values: Float64Array) -> Float64Array:
    return np.where(known, values, np.nan).astype(np.float64)


def _verdicts(judge: ImageJudge, distance: Float64Array) -> Measures:
    out = {f"{judge.name} Id-dis": distance}
    for name, limit in judge.thresholds.items():
        label = f"tau {DLIB_TAU}" if name == "author" else name
        out[f"{judge.name} SR {label}"] = _differs(distance, limit)
    return out


def _differs(distance: Float64Array, limit: float) -> Float64Array:
    return (distance > limit).astype(np.float64)
