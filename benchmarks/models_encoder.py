"""How well the identity encoder recognises, agrees with its teacher, and stays stable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from benchmarks.encoder_groups import group_figures
from benchmarks.encoder_views import darkened, h264, masked, resized, shifted
from engines.arrays import AnyArray, Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest
from export.quantize import quantize_int8
from training.crops import ARCFACE, read_index, read_tar_crops
from training.teachers import load_teachers

__all__ = ["PairSet", "evaluate", "fold_accuracy", "load_lfw", "tar_at_far"]

_BATCH: Final = 32
_THREADS: Final = 2
_SHIFTS: Final = ((2, 0), (-2, 0), (0, 2), (0, -2), (2, 2), (-2, -2))
_CALIBRATION_CROPS: Final = 256

Embed = Callable[[UInt8Array], Float32Array]


class PairSet:
    """LFW: pictures, who is on them, and the standard pairs.

    Attributes:
        canvases: (N, 128, 128, 3) uint8 RGB, the recogniser's crop in the centre.
        people: name of the person on each picture.
        left, right: (P,) picture numbers of each pair.
        same: (P,) whether the two are one person.
        fold: (P,) 0 to 9.
    """

    def __init__(self, shared: Path, *, quick: bool) -> None:
        folder = shared / "faces" / "eval"
        pairs = read_index(folder / "lfw_pairs.csv")
        if quick:
            pairs = pairs[::10]
        people = {row["file"]: row["identity"] for row in read_index(folder / "lfw_index.csv")}
        names = sorted({p["a"] for p in pairs} | {p["b"] for p in pairs})
        number = {name: i for i, name in enumerate(names)}
        self.canvases = read_tar_crops([folder / "lfw_128.tar"], names, size_px=128)
        self.people = [people[name] for name in names]
        self.left = np.array([number[p["a"]] for p in pairs])
        self.right = np.array([number[p["b"]] for p in pairs])
        self.same = np.array([p["same"] == "1" for p in pairs])
        self.fold = np.array([int(p["fold"]) for p in pairs])

    def crops(self) -> UInt8Array:
        """(N, 112, 112, 3) uint8 RGB."""
        return shifted(self.canvases, right_px=0, down_px=0)


def load_lfw(shared: Path, *, quick: bool) -> PairSet:
    """LFW's pictures and pairs; every tenth pair when `quick`."""
    return PairSet(shared, quick=quick)


def fold_accuracy(cosines: Float32Array, same: AnyArray, fold: AnyArray) -> float:
    """LFW's protocol: the threshold comes from nine folds, the accuracy from the tenth."""
    grid = np.linspace(-0.2, 0.9, 1101)
    right = (cosines[:, None] >= grid) == same[:, None]
    scores = []
    for k in np.unique(fold):
        held = fold == k
        best = grid[right[~held].mean(0).argmax()]
        scores.append(((cosines[held] >= best) == same[held]).mean())
    return float(np.mean(scores))


def tar_at_far(
    genuine: Float32Array, embeddings: Float32Array, people: list[str], *, far: float
) -> tuple[float, float]:
    """Share of genuine pairs accepted at a false accept rate, and the cosine threshold.

    The threshold comes from all pairs among one picture of each person.
    """
    first = np.array(sorted({name: i for i, name in reversed(list(enumerate(people)))}.values()))
    chosen = embeddings[first]
    impostors = (chosen @ chosen.T)[np.triu_indices(len(chosen), 1)]
    rank = max(1, int(far * len(impostors)))
    threshold = float(np.partition(impostors, -rank)[-rank])
    return float((genuine > threshold).mean()), threshold


def evaluate(
    shared: Path, *, quick: bool, manifest: Path = WEIGHTS_FOLDER / "encoder.json"
) -> dict[str, object]:
    """Measure the encoder on data it was not trained on (the groups excepted: see there).

    Args:
        shared: folder that holds `faces` and `models`.
        quick: a tenth of the LFW pairs, fewer views, no INT8 and no groups.
        manifest: the encoder to measure.

    Returns:
        Figures by name; cosines and ratios in [0, 1], times in milliseconds.
    """
    described = load_manifest(manifest)
    embed = _embedder(described)
    lfw = load_lfw(shared, quick=quick)
    clean = embed(lfw.crops())
    results: dict[str, object] = _verification(lfw, clean, clean)
    results.update(_milliseconds(described))
    results["bytes"] = described.path.stat().st_size
    results.update(_against_teacher(shared, embed, lfw, clean))
    results["lfw_h264_crf28"] = _verification(
        lfw, *(_twice(embed(h264(lfw.canvases)[:, 8:120, 8:120])))
    )
    results["lfw_one_side"] = {
        name: _verification(lfw, clean, embed(view))
        for name, view in _one_sided_views(lfw.crops(), quick=quick)
    }
    if not quick:
        results["int8"] = _int8(shared, described, lfw, clean)
        results["groups"] = group_figures(
            shared, embed, threshold=float(_number(results, "threshold_1e3"))
        )
    return results


def _twice(embeddings: Float32Array) -> tuple[Float32Array, Float32Array]:
    return embeddings, embeddings


def _number(results: dict[str, object], name: str) -> float:
    value = results[name]
    assert isinstance(value, float)
    return value


def _embedder(manifest: ModelManifest) -> Embed:
    embedder = FaceEmbedder(
        load_engine(manifest, provider="cpu", threads=_THREADS),
        mean=manifest.mean,
        std=manifest.std,
    )

    def embed(crops: UInt8Array) -> Float32Array:
        parts = [embedder.embed(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)]
        return np.concatenate(parts)

    return embed


def _verification(lfw: PairSet, left: Float32Array, right: Float32Array) -> dict[str, object]:
    """Accuracy and TAR with the pairs' second pictures embedded as `right`."""
    cosines = (left[lfw.left] * right[lfw.right]).sum(1)
    tar3, at3 = tar_at_far(cosines[lfw.same], left, lfw.people, far=1e-3)
    tar4, _ = tar_at_far(cosines[lfw.same], left, lfw.people, far=1e-4)
    return {
        "lfw_accuracy": fold_accuracy(cosines, lfw.same, lfw.fold),
        "tar_at_far_1e3": tar3,
        "tar_at_far_1e4": tar4,
        "threshold_1e3": at3,
    }


def _one_sided_views(crops: UInt8Array, *, quick: bool) -> Iterator[tuple[str, UInt8Array]]:
    """Degraded pictures, to be the second of each pair; the first stays as it is."""
    yield "face_32px", resized(crops, face_px=32)
    if quick:
        return
    yield "face_60px", resized(crops, face_px=60)
    yield "dark", darkened(crops)
    yield "mask", masked(crops)


def _milliseconds(manifest: ModelManifest) -> dict[str, object]:
    """Medians of 60 calls with one crop, pre-processing included.

    `ms_per_crop` is wall time on two threads, and only an idle machine shows it right;
    `cpu_ms_per_crop` is processor time on one thread, which other work hardly touches.
    """
    crop = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), np.uint8)
    figures: dict[str, object] = {}
    clocks = (
        ("ms_per_crop", _THREADS, time.perf_counter),
        ("cpu_ms_per_crop", 1, time.process_time),
    )
    for name, threads, clock in clocks:
        engine = load_engine(manifest, provider="cpu", threads=threads)
        embedder = FaceEmbedder(engine, mean=manifest.mean, std=manifest.std)
        embedder.warm_up()
        times = []
        for _ in range(60):
            started = clock()
            embedder.embed(crop)
            times.append(clock() - started)
        figures[name] = float(np.median(times) * 1e3)
        embedder.close()
    return figures


def _against_teacher(
    shared: Path, embed: Embed, lfw: PairSet, clean: Float32Array
) -> dict[str, object]:
    """Agreement with the teacher, and stability, on people who are in no training set."""
    folder = shared / "faces" / "eval"
    rows = read_index(folder / "celeba_ids.csv")
    canvases = read_tar_crops([folder / "celeba_ids.tar"], [r["file"] for r in rows], size_px=160)
    crops = shifted(canvases, right_px=0, down_px=0)
    teacher = load_teachers(shared / "models").embed_edgeface
    ours = embed(crops)
    to_teacher = (ours * teacher(crops)).sum(1)
    turned = np.array([abs(float(r["yaw"])) for r in rows]) > 0.25
    moved = np.concatenate(
        [(ours * embed(shifted(canvases, right_px=x, down_px=y))).sum(1) for x, y in _SHIFTS]
    )
    coded = (ours * embed(shifted(h264(canvases), right_px=0, down_px=0))).sum(1)
    return {
        "teacher_cosine": float(to_teacher.mean()),
        "teacher_cosine_p05": float(np.quantile(to_teacher, 0.05)),
        "teacher_cosine_turned": float(to_teacher[turned].mean()),
        "teacher_cosine_lfw": float((clean * teacher(lfw.crops())).sum(1).mean()),
        "shift_2px_cosine": float(moved.mean()),
        "shift_2px_cosine_p05": float(np.quantile(moved, 0.05)),
        "h264_crf28_cosine": float(coded.mean()),
        "h264_crf28_cosine_p05": float(np.quantile(coded, 0.05)),
    }


def _int8(
    shared: Path, described: ModelManifest, lfw: PairSet, clean: Float32Array
) -> dict[str, object]:
    """The same verification with an INT8 variant, calibrated on training crops."""
    data = shared / "faces" / "train"
    rows = [r for r in read_index(data / "index.csv") if r["shard"] == "shard_000.tar"]
    step = len(rows) // _CALIBRATION_CROPS
    names = [r["file"] for r in rows[::step]]
    crops = read_tar_crops([data / "shard_000.tar"], names, size_px=160)[:, ARCFACE, ARCFACE]
    pixels = (crops.transpose(0, 3, 1, 2).astype(np.float32) - described.mean) / described.std
    batches: Iterator[dict[str, Any]] = (
        {"input": np.ascontiguousarray(pixels[i : i + _BATCH])}
        for i in range(0, len(pixels), _BATCH)
    )
    with TemporaryDirectory() as folder:
        target = Path(folder) / "encoder_int8.onnx"
        quantize_int8(described.path, target, batches)
        small = ModelManifest(
            "encoder", f"{described.version}-int8", target, "", described.mean, described.std
        )
        theirs = _embedder(small)(lfw.crops())
        figures = _verification(lfw, theirs, theirs)
        figures["cosine_to_float"] = float((theirs * clean).sum(1).mean())
        figures.update(_milliseconds(small))
        figures["bytes"] = target.stat().st_size
    return figures
