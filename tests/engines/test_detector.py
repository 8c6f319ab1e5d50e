from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.arrays import AnyArray
from engines.detector import DetectorSettings, FaceDetector
from engines.errors import EngineLoadError
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest
from engines.ort_engine import OrtEngine
from engines.types import EngineInfo, TensorSpec

STRIDES = (8, 16, 32)
KINDS = {"score": 1, "bbox": 4, "kps": 10}


def white_cell_model(*, skip: str = "", sigmoid: bool = True) -> bytes:
    """Score of a cell: how white it is; boxes reach one stride to each side."""
    nodes, tensors, outputs = [], [], []
    for kind, width in KINDS.items():
        for stride in STRIDES:
            name = f"{kind}_{stride}"
            if name == skip:
                continue
            weight = np.zeros((width, 3, stride, stride), np.float32)
            bias = np.full(width, 1.0 if kind == "bbox" else 0.25, np.float32)
            if kind == "score":
                weight[:] = 10 / weight.size
                bias[:] = -7.0 if stride == 8 else -99.0  # the coarse maps stay silent
            shape = np.array([0, width, -1], np.int64)
            for suffix, value in (("w", weight), ("b", bias), ("s", shape)):
                tensors.append(numpy_helper.from_array(value, f"{name}_{suffix}"))
            conv = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
            nodes += [
                helper.make_node(
                    "Conv", ["input", f"{name}_w", f"{name}_b"], [f"{name}_c"], **conv
                ),
                helper.make_node("Reshape", [f"{name}_c", f"{name}_s"], [f"{name}_r"]),
            ]
            last = name if kind != "score" or not sigmoid else f"{name}_t"
            nodes.append(helper.make_node("Transpose", [f"{name}_r"], [last], perm=[0, 2, 1]))
            if last != name:
                nodes.append(helper.make_node("Sigmoid", [last], [name]))
            outputs.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", "c", width])
            )
    feed = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, "H", "W"])
    graph = helper.make_graph(nodes, "white", [feed], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def open_detector(model: bytes, *, long_side_px: int = 128) -> FaceDetector:
    engine = OrtEngine(model, Path("white.onnx"), model_name="white 1", threads=1)
    return FaceDetector(engine, settings=DetectorSettings(long_side_px=long_side_px, nms_iou=0.6))


def frame_with_spot(*, row: int, column: int, size_hw: tuple[int, int]) -> np.ndarray:
    frame = np.zeros((*size_hw, 3), np.uint8)
    frame[row : row + 16, column : column + 16] = 255
    return frame


def test_boxes_come_back_in_frame_pixels() -> None:
    frame = frame_with_spot(row=32, column=64, size_hw=(128, 256))
    (found,) = open_detector(white_cell_model()).detect([frame])
    assert len(found) == 1  # the frame was halved, so the spot is one cell at (4, 2)
    np.testing.assert_allclose(found.boxes_xyxy_px, [[48, 16, 80, 48]])
    np.testing.assert_allclose(found.landmarks_px[0, 0], [64 + 4, 32 + 4])
    assert found.scores[0] > 0.9


def test_frames_of_several_sizes_keep_their_order() -> None:
    detector = open_detector(white_cell_model())
    frames = [
        frame_with_spot(row=32, column=64, size_hw=(128, 256)),
        np.zeros((100, 60, 3), np.uint8),
        frame_with_spot(row=64, column=32, size_hw=(128, 256)),
    ]
    found = detector.detect(frames)
    assert [len(f) for f in found] == [1, 0, 1]
    assert found[0].boxes_xyxy_px[0, 0] > found[2].boxes_xyxy_px[0, 0]
    assert detector.detect([]) == []


def test_i420_frames_give_the_same_boxes() -> None:
    frame = frame_with_spot(row=32, column=64, size_hw=(128, 256))
    i420 = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), np.uint8)
    detector = open_detector(white_cell_model())
    (from_rgb,), (from_i420,) = detector.detect([frame]), detector.detect_i420([i420])
    np.testing.assert_allclose(from_rgb.boxes_xyxy_px, from_i420.boxes_xyxy_px)


def test_threshold_and_size_can_be_set_for_one_call() -> None:
    frame = frame_with_spot(row=32, column=64, size_hw=(128, 256))
    detector = open_detector(white_cell_model())
    assert len(detector.detect([frame], threshold=0.999)[0]) == 0
    assert len(detector.detect([frame], long_side_px=256)[0]) > 1  # the spot is four cells now


def test_boxes_stay_in_the_frame() -> None:
    frame = frame_with_spot(row=0, column=0, size_hw=(128, 256))
    (found,) = open_detector(white_cell_model()).detect([frame])
    np.testing.assert_allclose(found.boxes_xyxy_px, [[0, 0, 16, 16]])


def test_network_without_landmarks_is_refused() -> None:
    with pytest.raises(EngineLoadError, match="2 outputs of landmarks instead of 3"):
        open_detector(white_cell_model(skip="kps_32"))


def test_network_without_sigmoid_is_refused() -> None:
    with pytest.raises(EngineLoadError, match="sigmoid"):
        open_detector(white_cell_model(sigmoid=False))


class PublicScrfd:
    """Like the public SCRFD models: fixed 640x640, two anchors, numbered names, no batch axis."""

    def __init__(self, *, anchors: int = 2, order: tuple[int, ...] = STRIDES) -> None:
        self.inputs = (TensorSpec("images", (1, 3, 640, 640), "float32"),)
        self.calls: list[AnyArray] = []
        self.values: dict[str, AnyArray] = {}
        for kind, width in KINDS.items():
            for stride in order:
                cells = (640 // stride) ** 2 * anchors
                fill = {"score": 0.0, "bbox": 2.0, "kps": 0.5}[kind]
                name = f"out{len(self.values)}"
                self.values[name] = np.full((cells, width), fill, np.float32)
        self.outputs = tuple(TensorSpec(n, v.shape, "float32") for n, v in self.values.items())

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        self.calls.append(inputs["images"])
        return dict(self.values)

    def warm_up(self) -> None: ...

    def describe(self) -> EngineInfo:
        return EngineInfo("fake", "cpu", "cpu", "scrfd", "fp32", "test")

    def close(self) -> None: ...


def test_public_scrfd_drops_in() -> None:
    engine = PublicScrfd()
    engine.values["out1"][(3 * 40 + 5) * 2 + 1] = 0.9  # stride 16, row 3, column 5, second anchor
    detector = FaceDetector(engine, settings=DetectorSettings())
    frame = np.zeros((720, 1280, 3), np.uint8)
    found = detector.detect([frame, frame])
    assert [len(f) for f in found] == [1, 1]
    np.testing.assert_allclose(found[0].boxes_xyxy_px, [[96, 32, 224, 160]])
    assert len(engine.calls) == 3  # the probe, then one frame a call: its batch size is fixed


def test_outputs_in_another_order_are_refused() -> None:
    with pytest.raises(EngineLoadError, match="out0 has shape"):
        FaceDetector(PublicScrfd(order=(32, 16, 8)), settings=DetectorSettings())


def test_input_that_is_no_multiple_of_32_is_refused() -> None:
    engine = PublicScrfd()
    engine.inputs = (TensorSpec("images", (1, 3, 600, 600), "float32"),)
    with pytest.raises(EngineLoadError, match="no multiple of 32"):
        FaceDetector(engine, settings=DetectorSettings())


def test_half_the_size_is_looked_at_for_near_faces() -> None:
    engine = OrtEngine(white_cell_model(), Path("white.onnx"), model_name="white 1", threads=1)
    settings = DetectorSettings(long_side_px=128, two_looks=True)
    frame = frame_with_spot(row=32, column=64, size_hw=(128, 256))
    (found,) = FaceDetector(engine, settings=settings).detect([frame])
    assert len(found) == 1  # the coarser look sees it too, but small faces are not its business


def test_settings_follow_the_manifest() -> None:
    manifest = ModelManifest(
        "detector", "1", Path("x.onnx"), "", 127.5, 128.0, extra={"score_threshold": 0.61}
    )
    settings = DetectorSettings.from_manifest(manifest)
    assert settings.score_threshold == 0.61
    assert settings.keep_threshold == DetectorSettings().keep_threshold


@pytest.mark.skipif(not (WEIGHTS_FOLDER / "detector.onnx").exists(), reason="weights not built")
def test_shipped_weights_keep_the_contract() -> None:
    manifest = load_manifest(WEIGHTS_FOLDER / "detector.json")
    graph = onnx.load(str(manifest.path)).graph
    names = [output.name for output in graph.output]
    assert names == [f"{kind}_{stride}" for kind in KINDS for stride in STRIDES]
    settings = DetectorSettings.from_manifest(manifest)
    assert 0 < settings.keep_threshold < settings.score_threshold < 1
    engine = OrtEngine(manifest.path.read_bytes(), manifest.path, model_name="detector", threads=1)
    grey = np.full((120, 160, 3), 120, np.uint8)
    assert len(FaceDetector(engine, settings=settings).detect([grey])[0]) == 0
