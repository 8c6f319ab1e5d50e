"""The reader of wanted identities: its loss, and that its file does what the network does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from engines.identity_composites import IdentityComposites  # noqa: E402 - after the skip
from engines.manifest import load_manifest  # noqa: E402 - after the skip
from engines.ort_engine import OrtEngine  # noqa: E402 - after the skip
from streamer.identity_prior import load_prior  # noqa: E402 - after the skip
from training.encoder_export import export_reader  # noqa: E402 - after the skip
from training.encoder_model import Encoder  # noqa: E402 - after the skip
from training.encoder_readout import ReadoutEncoder  # noqa: E402 - after the skip
from training.face_synthesis import FaceSynthesis  # noqa: E402 - after the skip
from training.landmarks66 import Landmarks66  # noqa: E402 - after the skip
from training.read_back import ReadBack, read_back_loss  # noqa: E402 - after the skip
from training.read_figures import read_blocks  # noqa: E402 - after the skip
from training.reader import drawn_faces  # noqa: E402 - after the skip
from training.reader_export import write_prior  # noqa: E402 - after the skip
from training.rebuild import rebuild  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
else:
    Module = torch.nn.Module


class _Colour(Module):
    """Reads the mean colour, as a unit vector."""

    def forward(self, crops: Tensor) -> Tensor:
        found: Tensor = torch.nn.functional.normalize(crops.mean((2, 3)), dim=1)
        return found


def _painted(colours: Tensor) -> Tensor:
    return colours[:, :, None, None].expand(-1, -1, 160, 160).contiguous()


def test_the_loss_knows_what_was_wanted() -> None:
    generator = torch.Generator().manual_seed(0)
    colours = torch.tensor([[0.6, 0.0, 0.0], [0.0, 0.6, 0.0]])
    wanted = torch.nn.functional.normalize(colours, dim=1)
    right, near = read_back_loss(_Colour(), _painted(colours), wanted, generator)
    wrong, _ = read_back_loss(_Colour(), _painted(colours), wanted.flip(0), generator)
    assert right < 0.1 < 0.8 < wrong
    assert near == pytest.approx(1.0 - float(right))


def test_it_never_goes_into_training_mode() -> None:
    reader = ReadBack(ReadoutEncoder(Encoder(), side=4), inner_px=64)
    assert not reader.train().network.training
    assert all(p.requires_grad for p in reader.parameters())


@pytest.mark.slow
def test_the_file_reads_what_the_network_reads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    reader = ReadBack(ReadoutEncoder(Encoder(), side=4).eval(), inner_px=64)
    network = reader.network
    assert isinstance(network, ReadoutEncoder)
    written = export_reader(
        network, tmp_path, version="1", inner_px=64, generator_sha256="ab" * 32,
        facts={"read_cosine": 0.5},
    )  # fmt: skip
    manifest = load_manifest(written)
    assert manifest.name == "reader"
    assert manifest.extra["generator_sha256"] == "ab" * 32
    crops = np.random.default_rng(0).normal(size=(2, 3, 160, 160)).astype(np.float32) * 0.3
    with torch.no_grad():
        wanted = reader(torch.from_numpy(crops)).numpy()
    feed = {"input": np.ascontiguousarray(crops[:, :, 24:136, 24:136])}
    engine = OrtEngine(manifest.path.read_bytes(), manifest.path, model_name="r", threads=1)
    for found in (engine.infer(feed), rebuild(manifest)(feed)):
        assert (found["embedding"] * wanted).sum(1).min() > 0.999
    engine.close()


def test_new_faces_come_with_what_they_were_drawn_for() -> None:
    basis = torch.linalg.qr(torch.randn(512, 6, generator=torch.Generator().manual_seed(0)))[0].t()
    sizes = {"widths": (4, 4, 8, 8, 8), "attributes": (8, 8, 8, 4, 4), "decoder": (8, 8, 8, 4, 4)}
    net = FaceSynthesis(basis.contiguous(), Landmarks66().eval().fold(), **sizes).eval()
    inside = torch.nn.functional.normalize(torch.randn(3, 6) @ basis, dim=1)
    batch = SimpleNamespace(crops=torch.zeros(3, 3, 160, 160), identities=inside)
    faces, wanted = drawn_faces(net, batch, torch.Generator().manual_seed(0))
    assert faces.shape == (3, 3, 160, 160)
    assert not faces.requires_grad
    angles = torch.rad2deg(torch.acos((wanted * inside).sum(1)))
    assert bool(((angles > 59.9) & (angles < 120.1)).all())
    composites = IdentityComposites(np.eye(6, dtype=np.float32))
    again = torch.Generator().manual_seed(0)
    moved, same = drawn_faces(net, batch, again, composites=composites)
    torch.testing.assert_close(same, wanted)  # what is to be read is what the key gave
    assert not torch.allclose(moved, faces)


def test_blocks_are_measured_apart() -> None:
    basis = torch.linalg.qr(torch.randn(512, 190))[0].t().contiguous()
    wanted = torch.nn.functional.normalize(torch.randn(64, 190), dim=1) @ basis
    known = (torch.arange(190) < 24).float()

    def reader(crops: Tensor) -> Tensor:
        return (wanted @ basis.t() * known) @ basis  # it sees the first block only

    crops = torch.zeros(64, 3, 160, 160)
    generator = torch.Generator().manual_seed(0)
    blocks, cosine = read_blocks(reader, [(crops, wanted)], basis, generator)
    assert [size for size, _, _ in blocks] == [24, 40, 54, 72]
    assert blocks[0][1] > 2.0  # unit vectors: what the others lack, this one has
    assert all(gain == pytest.approx(0.0, abs=1e-5) for _, gain, _ in blocks[1:])
    assert cosine == pytest.approx((24 / 190) ** 0.5, abs=0.05)


def test_the_prior_is_that_of_the_people(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(512, 5)))[0].T.astype(np.float32)
    rows = (rng.normal(size=(300, 5)) * [3, 2, 1, 1, 1] + 1) @ basis
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    entry = write_prior(rows, basis, tmp_path / "prior.npy")
    prior = load_prior({"identity_prior": entry, "read_cosine": 0.5}, tmp_path)
    assert prior is not None
    stored = np.load(tmp_path / "prior.npy")
    np.testing.assert_allclose(stored[0], (rows @ basis.T).mean(0), atol=1e-5)
    assert stored[1, 0] > stored[5, 4]
