from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from torch import nn  # noqa: E402 - after the skip

from engines.manifest import ModelManifest, load_manifest  # noqa: E402 - after the skip
from engines.ort_engine import OrtEngine  # noqa: E402 - after the skip
from training.detector_net import DetectorNet, export_onnx  # noqa: E402 - after the skip
from training.encoder_export import export_encoder  # noqa: E402 - after the skip
from training.encoder_model import Encoder  # noqa: E402 - after the skip
from training.encoder_readout import ReadoutEncoder  # noqa: E402 - after the skip
from training.landmark_net import LandmarkNet, export_landmarks  # noqa: E402 - after the skip
from training.rebuild import load_for_training, rebuild  # noqa: E402 - after the skip

pytestmark = pytest.mark.slow


def _shake(module: nn.Module) -> None:
    """Statistics and weights of batch norms as training leaves them: no identities."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.running_var):
                assert tensor is not None
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            for tensor in (layer.bias.data, layer.running_mean):
                assert tensor is not None
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)


def _manifest(path: Path, *, std: float) -> ModelManifest:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelManifest(path.stem, "1", path, digest, 127.5, std)


def _agree(manifest: ModelManifest, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 0.3
    engine = OrtEngine(manifest.path.read_bytes(), manifest.path, model_name="m", threads=1)
    wanted, got = engine.infer({"input": x}), rebuild(manifest)({"input": x})
    assert list(wanted) == list(got)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, atol=2e-3)


@pytest.mark.parametrize("with_readout", [False, True])
def test_an_encoder_comes_back(tmp_path: Path, *, with_readout: bool) -> None:
    torch.manual_seed(0)
    encoder = (ReadoutEncoder(Encoder(), side=4) if with_readout else Encoder()).eval()
    _shake(encoder)
    written = export_encoder(encoder, tmp_path, version="1", inner_px=64)
    _agree(load_manifest(written), (2, 3, 112, 112))


@pytest.mark.filterwarnings("ignore")
def test_a_detector_comes_back(tmp_path: Path) -> None:
    net = DetectorNet().eval()
    _shake(net)
    path = tmp_path / "detector.onnx"
    export_onnx(net, path)
    _agree(_manifest(path, std=128.0), (1, 3, 64, 96))


@pytest.mark.filterwarnings("ignore")
def test_training_goes_on_where_an_exported_network_stopped(tmp_path: Path) -> None:
    net = LandmarkNet().eval()
    _shake(net)
    path = tmp_path / "landmarks.onnx"
    export_landmarks(net, path)
    _agree(_manifest(path, std=127.5), (2, 1, 64, 64))
    x = torch.randn(64, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 0.5
    twin = LandmarkNet()
    load_for_training(twin, path, x, prefix="")
    with torch.no_grad():
        wanted = net.eval()(x)
        torch.testing.assert_close(twin.eval()(x), wanted, atol=1e-3, rtol=0)
        assert abs(float(twin.at_16[0].weight.norm()) - 16**0.5) < 1e-3  # as Muon keeps it
        # Each norm was given the statistics of these very inputs.
        torch.testing.assert_close(twin.train()(x), wanted, atol=1e-2, rtol=0)


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no network code"):
        rebuild(ModelManifest("other", "1", tmp_path / "x.onnx", "", 0, 1))
