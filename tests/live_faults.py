"""What the tests of live faults share: a clip, the judge of faces, and how patient to be."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clips import DEFAULT_SHARED, BenchmarkError, FaceFinder, load_teachers
from benchmarks.live_camera import find_gstreamer_python
from benchmarks.live_clip import CodedClip, write_coded_clip
from engines.arrays import Float32Array, UInt8Array

SIZE_HW = (240, 424)
RATE_HZ = 15
# For a machine that is busy with other things; what is promised is measured in benchmarks/.
PATIENCE_S = 90.0


def _placed(bgr: UInt8Array) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Where the person of the clip stands, for machines without the judges."""
    height, width = bgr.shape[:2]
    side = height * 5 // 9
    x1, y1 = width / 2 - side * 0.2, height / 2 - side * 0.22
    box = np.array([[x1, y1, x1 + side * 0.4, y1 + side * 0.55]], np.float32)
    return box, np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32)


def face_judge() -> FaceFinder:
    """The teacher detector where it is there."""
    try:
        return load_teachers(DEFAULT_SHARED).yunet
    except BenchmarkError:
        return _placed


@pytest.fixture(scope="session")
def coded_clip(tmp_path_factory: pytest.TempPathFactory) -> CodedClip:
    try:
        find_gstreamer_python()
    except BenchmarkError as exc:
        pytest.skip(str(exc))
    path = tmp_path_factory.mktemp("camera") / "camera.mp4"
    return CodedClip(
        write_coded_clip(path, 450, size_hw=SIZE_HW, rate_hz=RATE_HZ), face_judge(), every=15
    )
