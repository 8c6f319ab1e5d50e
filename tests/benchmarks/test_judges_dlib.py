from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from benchmarks.clips import BenchmarkError
from benchmarks.judges_dlib import DlibNetwork, tensors_of


def _number(value: int) -> bytes:
    length = max(1, (value.bit_length() + 7) // 8)
    return bytes([length]) + value.to_bytes(length, "little")


def _tensor(values: np.ndarray) -> bytes:
    sizes = (2, values.shape[0], values.shape[1], 1, 1)
    return b"".join(map(_number, sizes)) + values.astype("<f4").tobytes()


def test_tensors_are_found_between_other_things() -> None:
    rng = np.random.default_rng(0)
    wanted = [rng.normal(size=shape) for shape in ((300, 1), (16, 4))]
    data = b"\x01\x01\x05con_4" + _tensor(wanted[0]) + b"\x01\x02affine_" + _tensor(wanted[1])
    found = list(tensors_of(data + b"\x01\x00" * 20))
    assert [x.shape for x in found] == [(300, 1), (16, 4)]
    for got, original in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, original, rtol=1e-6)


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.dat"
    path.write_bytes(_tensor(np.ones((300, 1))) + b"\x01\x00" * 20)
    with pytest.raises(BenchmarkError, match="known face recognition network"):
        DlibNetwork(path)


@pytest.mark.slow
def test_it_answers_as_dlib_does() -> None:
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None or importlib.util.find_spec("dlib") is None:
        pytest.skip("dlib and face_recognition_models are not installed")
    import dlib

    path = Path(spec.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    chips = np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3)).astype(np.uint8)
    wanted = dlib.face_recognition_model_v1(str(path)).compute_face_descriptor(list(chips))
    np.testing.assert_allclose(DlibNetwork(path).embed(chips), np.array(wanted), atol=1e-5)
