"""Puts trained detector and landmark weights where the product loads them, with manifests.

``python -m training.detector_publish --detector runs/detector/detector.onnx --landmarks ...``
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.landmarks import CROP_PX
from engines.manifest import WEIGHTS_FOLDER
from export.metadata import publish

__all__ = ["main", "publish_detector", "publish_landmarks"]

_FREE = ["N", 3, "H", "W"]


def publish_detector(
    model: Path, folder: Path, *, version: str, score_threshold: float, keep_threshold: float
) -> None:
    """Write ``detector.onnx`` and its manifest to ``folder``."""
    outputs = {
        f"{kind}_{stride}": ["N", f"H*W/{stride * stride}", width]
        for kind, width in (("score", 1), ("bbox", 4), ("kps", 10))
        for stride in (8, 16, 32)
    }
    facts: dict[str, object] = {
        "inputs": {"input": _FREE},
        "outputs": outputs,
        "mean": 127.5,
        "std": 128.0,
        "colour": "RGB",
        "input_size_hw": None,
        "score_threshold": score_threshold,
        "keep_threshold": keep_threshold,
        "nms_iou": 0.4,
        "long_side_px": 640,
        "two_looks": True,
    }
    _write(model, folder, "detector", version, facts)


def publish_landmarks(model: Path, folder: Path, *, version: str) -> None:
    """Write ``landmarks.onnx`` and its manifest to ``folder``."""
    facts: dict[str, object] = {
        "inputs": {"input": ["N", 1, CROP_PX, CROP_PX]},
        "outputs": {"points": ["N", 10]},
        "mean": 127.5,
        "std": 127.5,
        "colour": "luma",
        "input_size_hw": [CROP_PX, CROP_PX],
    }
    _write(model, folder, "landmarks", version, facts)


def _write(model: Path, folder: Path, name: str, version: str, facts: dict[str, object]) -> None:
    target = folder / f"{name}.onnx"
    target.write_bytes(model.read_bytes())
    publish(target, version=version, facts=facts)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m training.detector_publish``."""
    parser = argparse.ArgumentParser(prog="python -m training.detector_publish")
    add = parser.add_argument
    add("--detector", type=Path, help="trained detector.onnx")
    add("--landmarks", type=Path, help="trained landmarks.onnx")
    add("--folder", type=Path, default=WEIGHTS_FOLDER, help="where to write")
    add("--version", required=True)
    add("--start", type=float, default=0.5, help="score at which a track starts")
    add("--keep", type=float, default=0.3, help="score at which a track goes on")
    given = parser.parse_args(arguments)
    if given.detector is not None:
        publish_detector(
            given.detector,
            given.folder,
            version=given.version,
            score_threshold=given.start,
            keep_threshold=given.keep,
        )
    if given.landmarks is not None:
        publish_landmarks(given.landmarks, given.folder, version=given.version)


if __name__ == "__main__":
    main()
