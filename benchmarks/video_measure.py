"""One output of a clip against its source: persons over whole tracks, looks, and steadiness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import av
import cv2
import numpy as np

from benchmarks.exposure_measure import ClipExposure
from benchmarks.judges import (
    ImageJudge,
    accepted_by_any,
    distance_matrix,
    row_distances,
    unit_rows,
)
from benchmarks.privacy_looks import FaceReader
from benchmarks.privacy_measures import ranks, utility_measures
from benchmarks.video_faces import ClipFaces, aligned_canvas
from benchmarks.video_io import paired_frames
from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.face_mask import core_mask

__all__ = [
    "TrackCrops",
    "accepted_by_any_judge",
    "breakdown",
    "collect_tracks",
    "lossless_outside",
    "track_figures",
]

_PER_TRACK: Final = 12
_SHORTEST_TRACK: Final = 5
_MARGIN_RATIO: Final = 0.7


@dataclass(slots=True, eq=False)
class TrackCrops:
    """Faces of one track before and after.

    Attributes:
        before: sampled (160, 160, 3) uint8 RGB.
        after: the same places of the output.
        moved_before: per step, mean luma change inside the face from one frame to the next.
        moved_after: the same of the output.
        faces: all faces of the track, sampled or not.
    """

    before: list[UInt8Array] = field(default_factory=list)
    after: list[UInt8Array] = field(default_factory=list)
    moved_before: list[float] = field(default_factory=list)
    moved_after: list[float] = field(default_factory=list)
    faces: int = 0


def collect_tracks(
    source: Path, output: Path, clip: ClipFaces, teachers: ModuleType
) -> dict[int, TrackCrops]:
    """Crops and frame-to-frame changes of all tracks of at least five faces."""
    lengths: dict[int, int] = {}
    for names in clip.tracks:
        for name in names:
            lengths[int(name)] = lengths.get(int(name), 0) + 1
    tracks = {name: TrackCrops() for name, n in lengths.items() if n >= _SHORTEST_TRACK}
    last: dict[int, tuple[int, Float32Array, Float32Array]] = {}
    for index, before, after in paired_frames(source, output):
        if before.shape != after.shape or index >= len(clip.frames):
            break
        faces = clip.frames[index]
        for name, points in zip(clip.tracks[index], faces.landmarks_px, strict=True):
            track = tracks.get(int(name))
            if track is None:
                continue
            pair = [aligned_canvas(x, points, teachers) for x in (before, after)]
            lumas = [_luma(x) for x in pair]
            known = last.get(int(name))
            if known is not None and known[0] == index - 1:
                track.moved_before.append(_change(known[1], lumas[0]))
                track.moved_after.append(_change(known[2], lumas[1]))
            last[int(name)] = (index, lumas[0], lumas[1])
            if track.faces % max(1, lengths[int(name)] // _PER_TRACK) == 0:
                track.before.append(pair[0])
                track.after.append(pair[1])
            track.faces += 1
    return {name: track for name, track in tracks.items() if track.before}


def _luma(crop: UInt8Array) -> Float32Array:
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.float32)


def _change(a: Float32Array, b: Float32Array) -> float:
    inside = core_mask(a.shape[0]) > 0
    return float(np.abs(a[inside] - b[inside]).mean())


def track_figures(
    tracks: Mapping[int, TrackCrops],
    judges: Sequence[ImageJudge],
    gallery: UInt8Array,
    reader: FaceReader,
) -> dict[str, Any]:
    """Persons, looks and steadiness over all tracks.

    Args:
        tracks: what `collect_tracks` gave.
        judges: calibrated; every sampled face is shown to each.
        gallery: (P, 160, 160, 3) strangers among whom the tracks' people are searched.
        reader: landmarks and detector.
    """
    if not tracks:
        return {"tracks": 0}
    before, after = _faces_of(tracks)
    owner = np.repeat(np.arange(len(tracks)), [len(t.before) for t in tracks.values()])
    out: dict[str, Any] = {"tracks": len(tracks), "faces_sampled": len(before)}
    for judge in judges:
        out[judge.name] = _judged(judge, before, after, owner, gallery)
    out["accepted_by_any"] = accepted_by_any_judge(tracks, judges)
    out["utility"] = {
        name: float(np.nanmean(values)) if np.isfinite(values).any() else None
        for name, values in utility_measures(before, after, reader).items()
    }
    still = [value for track in tracks.values() for value in track.moved_before]
    moved = [value for track in tracks.values() for value in track.moved_after]
    out["flicker_ratio"] = (
        float(np.mean(moved)) / max(float(np.mean(still)), 1e-9) if still else None
    )
    return out


def accepted_by_any_judge(
    tracks: Mapping[int, TrackCrops], judges: Sequence[ImageJudge]
) -> float | None:
    """Share of all sampled faces that a judge takes for the same person; None without tracks."""
    if not tracks:
        return None
    before, after = _faces_of(tracks)
    distances = {j.name: row_distances(j.embed(before), j.embed(after)) for j in judges}
    return float(accepted_by_any(distances, judges, "FAR 1e-3").mean())


def _faces_of(tracks: Mapping[int, TrackCrops]) -> tuple[UInt8Array, UInt8Array]:
    """All sampled faces, as they were and as they are."""
    before = np.concatenate([np.stack(track.before) for track in tracks.values()])
    after = np.concatenate([np.stack(track.after) for track in tracks.values()])
    return before, after


def _judged(
    judge: ImageJudge,
    before: UInt8Array,
    after: UInt8Array,
    owner: np.ndarray,
    gallery: UInt8Array,
) -> dict[str, float | None]:
    old, new = judge.embed(before), judge.embed(after)
    distance = row_distances(old, new)
    limit = judge.thresholds["FAR 1e-3"]
    names = np.unique(owner)
    means = [unit_or_mean(values, owner, names) for values in (old, new)]
    own = row_distances(means[0], means[1])
    people = np.concatenate([means[0], judge.embed(gallery)])
    place = ranks(distance_matrix(means[1], people), names)
    return {
        "id_dis": float(distance.mean()),
        "sr_far_1e3": float((distance > limit).mean()),
        "template_accepted": float((own <= limit).mean()),
        "template_rank1": float((place < 0.5).mean()),
        "template_chance": 1 / len(people),
        "consistency_before": _consistency(old, owner),
        "consistency_after": _consistency(new, owner),
    }


def unit_or_mean(values: Float32Array, owner: np.ndarray, names: np.ndarray) -> Float32Array:
    """The template of each track: the mean of its embeddings, as long as they are on average."""
    means = np.stack([values[owner == name].mean(0) for name in names])
    length = np.linalg.norm(values, axis=1).mean()
    return np.asarray(unit_rows(means) * length, np.float32)


def _consistency(values: Float32Array, owner: np.ndarray) -> float | None:
    """Mean cosine between different faces of one track."""
    unit = unit_rows(values)
    cosines: list[Float64Array] = []
    for name in np.unique(owner):
        rows = unit[owner == name].astype(np.float64)
        if len(rows) > 1:
            cosines.append((rows @ rows.T)[np.triu_indices(len(rows), 1)])
    return float(np.concatenate(cosines).mean()) if cosines else None


def breakdown(exposure: ClipExposure, clip: ClipFaces) -> dict[str, dict[str, dict[str, int]]]:
    """Faces, exposed and weak ones by size, pose and what hides them."""
    out: dict[str, dict[str, dict[str, int]]] = {"size": {}, "pose": {}, "hidden": {}}
    place = {
        (index, tuple(float(v) for v in box)): kind
        for index, (faces, kinds) in enumerate(zip(clip.frames, clip.classes, strict=True))
        for box, kind in zip(faces.boxes_xyxy_px, kinds, strict=True)
    }
    for face in exposure.faces:
        kind = place[face.frame, face.box_xyxy_px]
        for name in out:
            row = out[name].setdefault(
                getattr(kind, name), {"faces": 0, "exposed": 0, "confirmed": 0, "weak": 0}
            )
            is_exposed = face.is_untouched and not face.false_alarm
            row["faces"] += 1
            row["exposed"] += is_exposed
            row["confirmed"] += is_exposed and face.is_confirmed
            row["weak"] += face.is_weak
    return out


def lossless_outside(source: Path, output: Path, clip: ClipFaces) -> dict[str, float]:
    """How far an output encoded without loss differs away from faces, in its own colour planes.

    Returns:
        Share of frames without any difference, and the PSNR in dB of the worst other frame (99
        where there is none).
    """
    equal, worst = 0, 99.0
    frames = 0
    for faces, (a, b) in zip(clip.frames, _planes(source, output), strict=False):
        frames += 1
        outside = _outside(faces.doubtful_xyxy_px, (a.shape[0] * 2 // 3, a.shape[1]))
        height = outside.shape[0]
        error = (a[:height].astype(np.float64) - b[:height])[outside]
        mse = float((error**2).mean()) if error.size else 0.0
        equal += mse == 0
        if mse > 0:
            worst = min(worst, 10 * float(np.log10(255.0**2 / mse)))
    return {"frames": frames, "frames_equal": equal / max(1, frames), "worst_psnr_db": worst}


def _planes(source: Path, output: Path) -> Any:  # noqa: ANN401 - pairs of (3H/2, W) uint8
    with av.open(str(source)) as first, av.open(str(output)) as second:
        for a, b in zip(first.decode(video=0), second.decode(video=0), strict=False):
            yield a.to_ndarray(format="yuv420p"), b.to_ndarray(format="yuv420p")


def _outside(boxes: Float32Array, size_hw: tuple[int, int]) -> np.ndarray:
    outside = np.ones(size_hw, bool)
    for x1, y1, x2, y2 in boxes:
        dx, dy = (x2 - x1) * _MARGIN_RATIO, (y2 - y1) * _MARGIN_RATIO
        rows = slice(max(0, int(y1 - dy)), max(0, int(y2 + dy) + 1))
        outside[rows, max(0, int(x1 - dx)) : max(0, int(x2 + dx) + 1)] = False
    return outside
