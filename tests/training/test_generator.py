"""Training of the face generator, at tiny sizes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engines.identity_composites import IdentityComposites
from engines.manifest import companion_array, load_manifest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")
pytest.importorskip("onnx", reason="the export needs onnx")

from tests.training.identities import basis, unit_rows  # noqa: E402 - after the skip
from training.discriminator import (  # noqa: E402 - after the skip
    Discriminator,
    FeatureCritic,
)
from training.face_synthesis import FaceSynthesis  # noqa: E402 - after the skip
from training.generator_critics import Critics  # noqa: E402 - after the skip
from training.generator_data import (  # noqa: E402 - after the skip
    Batch,
    FaceBank,
    identity_basis,
    to_tensor,
)
from training.generator_export import export_generator, load_net, read_weights  # noqa: E402 - after the skip
from training.generator_options import LossWeights, Mixture  # noqa: E402 - after the skip
from training.generator_steps import GeneratorTraining  # noqa: E402 - after the skip
from training.landmarks66 import Landmarks66  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
else:
    Module = torch.nn.Module

_TINY = {
    "widths": (4, 4, 8, 8, 8),
    "attributes": (8, 8, 8, 4, 4),
    "decoder": (8, 8, 8, 4, 4),
}
_MIXTURE = Mixture(primary_every=1, cycle_every=2, adversarial_from=0)


def _tiny_net() -> FaceSynthesis:
    torch.manual_seed(0)
    return FaceSynthesis(basis(), Landmarks66().eval().fold(), **_TINY)


class _FakeReader(Module):
    """Differentiable, and as wide as a recogniser."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, crops: Tensor, shift_px: tuple[int, int] = (0, 0)) -> Tensor:
        small = torch.nn.functional.adaptive_avg_pool2d(crops, 8).flatten(1)
        wide = torch.nn.functional.pad(small, (0, max(0, self.dim - small.shape[1])))
        return torch.nn.functional.normalize(wide[:, : self.dim] + 1e-3, dim=1)


class _FakeFeatures(Module):
    """An embedding, and maps of 4 and 8 channels."""

    def forward(
        self, crops: Tensor, shift_px: tuple[int, int] = (0, 0)
    ) -> tuple[Tensor, list[Tensor]]:
        maps = [crops[:, [0, 1, 2, 0]], crops[:, [0, 1, 2, 0, 1, 2, 0, 1], ::2, ::2]]
        return _FakeReader(128)(crops, shift_px), maps


def _bank(count: int = 6) -> FaceBank:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (count, 160, 160, 3)).astype(np.uint8)
    primary = unit_rows(count).numpy()
    marks = rng.uniform(20, 140, (count, 66, 3)).astype(np.float32)
    return FaceBank(
        crops=crops,
        identities=primary,
        primary=primary,
        primary_mirrored=primary,
        second=unit_rows(count, 128).numpy(),
        landmarks=marks,
        weights=np.full(count, 1 / count),
        people=tuple(np.array([i]) for i in range(count)),
        ages=np.full(count, np.nan, np.float32),
    )


def test_network_gives_face_and_alpha_in_range() -> None:
    face, alpha = _tiny_net().eval()(torch.zeros(2, 3, 160, 160), unit_rows(2))
    assert face.shape == (2, 3, 160, 160)
    assert alpha.shape == (2, 1, 160, 160)
    assert face.abs().max() <= 1
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_eyes_nose_and_mouth_are_painted_wherever_the_landmarks_are() -> None:
    net = _tiny_net()
    for points in (torch.full((1, 66, 2), -50.0), torch.rand(1, 66, 2) * 160):
        assert net.area(points)[0, 0, 66:122, 62:98].min() > 0.9


def test_the_area_follows_the_outline() -> None:
    net, points = _tiny_net(), torch.full((1, 66, 2), 80.0)
    x = torch.linspace(30, 130, 17)
    points[0, :17] = torch.stack([x, 80 + 66 * (1 - ((x - 80) / 50) ** 2).clamp(min=0).sqrt()], 1)
    points[0, 17:27] = torch.stack([torch.linspace(35, 125, 10), torch.full((10,), 62.0)], 1)
    wide = net.area(points)[0, 0]
    assert wide[100, 40] > 0.8  # a cheek
    assert wide[142, 80] > 0.8  # the chin
    points[0, :, 0] = 80 + (points[0, :, 0] - 80) * 0.6  # a narrower face
    assert net.area(points)[0, 0][100, 36] < 0.2


def test_details_of_the_face_reach_the_network_as_landmarks_only() -> None:
    net = _tiny_net().eval()
    crop = torch.zeros(1, 3, 160, 160)
    stripes = crop.clone()
    stripes[:, :, 72:120:2, 56:104] = 0.5  # whole cells, deep inside the face area
    stripes[:, :, 73:120:2, 56:104] = -0.5
    with torch.no_grad():
        plain, worn = (net.without_details(x, net.most) for x in (crop, stripes))
        assert torch.allclose(plain, worn, atol=1e-4)
        coarse, geometry, _ = net.known(crop)
        assert geometry.shape == (1, 8, 80, 80)
        face = net.with_colours_of(crop, net.draw(unit_rows(1), coarse, geometry)).clamp(-1, 1)
        assert torch.allclose(face, net(crop, unit_rows(1))[0], atol=1e-5)


def test_a_new_face_has_the_colours_of_the_old_one_and_its_own_light() -> None:
    net = _tiny_net()
    crop = torch.full((1, 3, 160, 160), -0.2)
    crop[:, 0] = 0.3  # reddish everywhere
    face = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(3)) - 0.5
    held = net.with_colours_of(crop, face)
    light = (net.luma * face).sum(1)
    assert torch.allclose((net.luma * held).sum(1), light, atol=1e-5)
    cells = torch.nn.functional.avg_pool2d(held - net.luma.mul(held).sum(1, keepdim=True), 16)
    wanted = (crop - net.luma.mul(crop).sum(1, keepdim=True))[0, :, 0, 0]
    assert (cells[0].mean((1, 2)) - wanted).abs().max() < 0.02
    assert (cells - wanted.view(1, 3, 1, 1)).abs().max() < 0.1


def test_geometry_puts_a_dot_where_a_landmark_is() -> None:
    net, points = _tiny_net(), torch.full((1, 66, 2), 300.0)  # far outside
    points[0, 40] = torch.tensor([60.5, 100.5])  # of the fifth group
    drawn = net.geometry(points)[0]
    assert drawn[4].argmax() == 50 * 80 + 30
    assert drawn[4].max() > 0.99
    assert drawn[[0, 1, 2, 3, 5, 6, 7]].max() < 1e-6


def test_only_the_subspace_of_the_identity_matters() -> None:
    net, crop, identity = _tiny_net(), torch.zeros(1, 3, 160, 160), unit_rows(1)
    outside = unit_rows(3)[2:]
    outside = outside - (outside @ net.basis.t()) @ net.basis
    with torch.no_grad():
        assert torch.allclose(net(crop, identity)[0], net(crop, identity + outside)[0], atol=1e-4)


def test_basis_spans_the_embeddings() -> None:
    inside = unit_rows(40).numpy() @ basis().numpy().T @ basis().numpy()
    found = identity_basis(inside, dim=6)
    assert np.allclose(inside @ found.T @ found, inside, atol=1e-5)
    assert np.allclose(found @ found.T, np.eye(6), atol=1e-5)


def _batch(count: int) -> Batch:
    made = _bank().sample(count, np.random.default_rng(0))
    crops, pseudo = to_tensor(made.crops.numpy()), to_tensor(made.pseudo.numpy())
    return dataclasses.replace(made, crops=crops, pseudo=pseudo)


class _FakeTeacher(Module):
    """Points that move with the light of the crop."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        light = crops.mean((1, 2, 3))[:, None]
        return (80.0 + 20.0 * light)[:, :, None].expand(-1, 66, 2), torch.ones(len(crops), 66)


def _training(net: FaceSynthesis, mixture: Mixture | None = None) -> GeneratorTraining:
    return GeneratorTraining(
        net=net,
        critics=Critics(Discriminator(width=4), FeatureCritic((4, 8), width=4)),
        own=_FakeReader(512),
        primary=_FakeReader(512),
        features=_FakeFeatures(),
        teacher=_FakeTeacher(),
        composites=IdentityComposites(net.basis.new_ones((1, len(net.basis))).numpy()),
        weights=LossWeights(heads=0.3),
        mixture=mixture or _MIXTURE,
        rng=np.random.default_rng(0),
        generator=torch.Generator().manual_seed(0),
    )


@pytest.mark.slow
def test_a_step_gives_gradients_to_the_whole_generator() -> None:
    net = _tiny_net()
    training = _training(net)
    batch = _batch(8)
    assert batch.crops.abs().max() <= 1
    loss, fakes = training.losses(batch, 1)
    loss.backward()
    assert torch.isfinite(loss)
    assert len(fakes.crops) == 8
    learned = [p for p in net.parameters() if p.requires_grad]
    assert learned
    assert all(p.grad is not None for p in learned)
    assert torch.isfinite(training.critic_loss(batch.crops, fakes))
    assert set(training.log) >= {
        *("own_taught", "own_old", "cycle_rec", "rec", "edge_old", "mobile_old"),
        *("perceptual", "adv_features", "critic_features", "edge_pairs", "mobile_pairs"),
        *("landmarks_px", "teacher_px", "adv_heads"),
    }


@pytest.mark.slow
def test_critics_are_warmed_by_the_same_fakes_without_the_generator() -> None:
    net = _tiny_net()
    batch = _batch(8)
    fakes, (_, of_a_step) = _training(net).fakes(batch, 1), _training(net).losses(batch, 1)
    torch.testing.assert_close(fakes.crops, of_a_step.crops)
    for one, other in zip(fakes.maps, of_a_step.maps, strict=True):
        torch.testing.assert_close(one, other)
    training = _training(net)
    training.critic_loss(batch.crops, fakes).backward()
    assert all(p.grad is not None for p in training.critics.parameters())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.slow
def test_identities_beyond_reach_are_not_asked_for() -> None:
    net, batch = _tiny_net(), _batch(8)

    def loss(rotated_reach: float) -> float:
        torch.manual_seed(0)
        mixture = dataclasses.replace(_MIXTURE, rotated_reach=rotated_reach)
        return float(_training(net, mixture).losses(batch, 1)[0].detach())

    assert loss(0.4) == pytest.approx(loss(0.4))
    assert loss(1.0) > loss(0.4) > loss(-1.0)
    assert loss(-1.0) == pytest.approx(loss(-0.9))


@pytest.mark.slow
def test_exported_file_starts_a_training_again(tmp_path: Path) -> None:
    net = _tiny_net()
    with torch.no_grad():  # the exporter merges equal tensors, such as biases that are still zero
        for parameter in net.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    path = tmp_path / "generator.onnx"
    composites = net.basis.new_ones((3, len(net.basis))).numpy()
    export_generator(net, path, version="0", facts={}, composites=composites)
    state = read_weights(path)
    assert set(state) == set(net.state_dict())
    for name, value in net.state_dict().items():
        assert torch.allclose(state[name], value, atol=2e-3), name
    extra = load_manifest(path.with_suffix(".json")).extra
    for name, rows in (("identity_basis", net.basis.numpy()), ("identity_composites", composites)):
        found = companion_array(extra, name, tmp_path)
        assert found is not None
        np.testing.assert_allclose(found, rows, atol=1e-3)
    with pytest.raises(RuntimeError):
        load_net(path)  # widths differ from the shipped ones
