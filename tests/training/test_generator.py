"""Training of the face generator, at tiny sizes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")
pytest.importorskip("onnx", reason="the export needs onnx")

from training.discriminator import Discriminator, discriminator_loss, generator_loss  # noqa: E402 - after the skip
from training.generator_data import FaceBank, identity_basis  # noqa: E402 - after the skip
from training.generator_export import export_generator, load_net, read_weights  # noqa: E402 - after the skip
from training.generator_landmarks import (  # noqa: E402 - after the skip
    LandmarkNet,
    landmark_loss,
    mirror_landmarks,
)
from training.generator_net import FaceNet, prior_alpha  # noqa: E402 - after the skip
from training.generator_steps import GeneratorTraining, LossWeights, Mixture  # noqa: E402 - after the skip
from training.losses_identity import (  # noqa: E402 - after the skip
    old_identity_hinge,
    rotated_targets,
    wanted_identity,
)
from training.losses_image import colour_loss, degrade, reconstruction_loss  # noqa: E402 - after the skip

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


def _basis(dim: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(512, dim, generator=generator))[0].t().contiguous()


def _unit(count: int, dim: int = 512) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=generator), dim=1)


def _tiny_net() -> FaceNet:
    torch.manual_seed(0)
    return FaceNet(_basis(), **_TINY)


class _FakeReader(Module):
    """Differentiable, and as wide as a recogniser."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, crops: Tensor, shift_px: tuple[int, int] = (0, 0)) -> Tensor:
        small = torch.nn.functional.adaptive_avg_pool2d(crops, 8).flatten(1)
        wide = torch.nn.functional.pad(small, (0, max(0, self.dim - small.shape[1])))
        return torch.nn.functional.normalize(wide[:, : self.dim] + 1e-3, dim=1)


def _bank(count: int = 6) -> FaceBank:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (count, 160, 160, 3)).astype(np.uint8)
    primary = _unit(count).numpy()
    marks = rng.uniform(20, 140, (count, 66, 3)).astype(np.float32)
    return FaceBank(
        crops=crops,
        primary=primary,
        primary_mirrored=primary,
        second=_unit(count, 128).numpy(),
        landmarks=marks,
        weights=np.full(count, 1 / count),
        people=tuple(np.array([i]) for i in range(count)),
    )


def test_network_gives_face_and_alpha_in_range() -> None:
    face, alpha = _tiny_net().eval()(torch.zeros(2, 3, 160, 160), _unit(2))
    assert face.shape == (2, 3, 160, 160)
    assert alpha.shape == (2, 1, 160, 160)
    assert face.abs().max() <= 1
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_alpha_covers_the_face_whatever_the_network_says() -> None:
    net = _tiny_net()
    with torch.no_grad():
        net.to_alpha.bias.fill_(-100.0)
        _, alpha = net(torch.zeros(1, 3, 160, 160), _unit(1))
    assert alpha[net.face_area > 0].min() > 0.99
    assert prior_alpha()[0, 0, 0, 0] < 0


def test_details_of_the_face_do_not_reach_the_encoder() -> None:
    net = _tiny_net().eval()
    crop = torch.zeros(1, 3, 160, 160)
    stripes = crop.clone()
    stripes[:, :, 72:120:2, 56:104] = 0.5  # whole cells, deep inside the face area
    stripes[:, :, 73:120:2, 56:104] = -0.5
    with torch.no_grad():
        assert torch.allclose(net(crop, _unit(1))[0], net(stripes, _unit(1))[0], atol=1e-4)


def test_only_the_subspace_of_the_identity_matters() -> None:
    net, crop, identity = _tiny_net(), torch.zeros(1, 3, 160, 160), _unit(1)
    outside = _unit(3)[2:]
    outside = outside - (outside @ net.basis.t()) @ net.basis
    with torch.no_grad():
        assert torch.allclose(net(crop, identity)[0], net(crop, identity + outside)[0], atol=1e-4)


def test_rotated_targets_turn_by_the_angle_inside_the_subspace() -> None:
    basis, generator = _basis(20), torch.Generator().manual_seed(3)
    identities = _unit(5) @ basis.t() @ basis
    identities = torch.nn.functional.normalize(identities, dim=1)
    turned = rotated_targets(identities, basis, torch.full((5,), 70.0), generator)
    cosines = (turned * identities).sum(1)
    assert torch.allclose(cosines, torch.full((5,), float(np.cos(np.radians(70)))), atol=1e-5)
    assert torch.allclose(turned @ basis.t() @ basis, turned, atol=1e-5)


def test_identity_losses() -> None:
    a = _unit(2)
    assert torch.allclose(wanted_identity(a, a), torch.zeros(2), atol=1e-5)
    assert torch.allclose(old_identity_hinge(a, a, allowed=0.2), torch.full((2,), 0.8), atol=1e-5)
    assert torch.all(old_identity_hinge(a, -a, allowed=0.2) == 0)


def test_picture_losses_vanish_on_equal_pictures() -> None:
    x = torch.rand(2, 3, 160, 160) * 2 - 1
    assert torch.all(reconstruction_loss(x, x) == 0)
    assert torch.all(colour_loss(x, x) == 0)
    assert torch.all(colour_loss(x, -x) > 0)


def test_degraded_pictures_stay_close_and_in_range() -> None:
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    out = degrade(x, torch.Generator().manual_seed(0))
    assert out.shape == x.shape
    assert out.abs().max() <= 1
    assert not torch.equal(out, x)


def test_discriminator_losses_point_in_opposite_directions() -> None:
    critic = Discriminator(width=4)
    scores = critic(torch.zeros(1, 3, 160, 160))
    assert len(scores) == 3
    real, fake = [torch.ones(1)], [torch.zeros(1)]
    assert discriminator_loss(real, fake) == 0
    assert generator_loss(fake) == 1


def test_landmark_net_and_its_loss() -> None:
    found = LandmarkNet().eval()(torch.zeros(1, 3, 160, 160))
    assert found.shape == (1, 66, 2)
    assert landmark_loss(found, found, torch.ones(66)) < 1e-6


def test_mirroring_landmarks_twice_changes_nothing() -> None:
    marks = np.random.default_rng(0).uniform(0, 159, (66, 3)).astype(np.float32)
    twice = mirror_landmarks(mirror_landmarks(marks, width_px=160), width_px=160)
    assert np.allclose(twice, marks, atol=1e-4)


def test_basis_spans_the_embeddings() -> None:
    inside = _unit(40).numpy() @ _basis().numpy().T @ _basis().numpy()
    basis = identity_basis(inside, dim=6)
    assert np.allclose(inside @ basis.T @ basis, inside, atol=1e-5)
    assert np.allclose(basis @ basis.T, np.eye(6), atol=1e-5)


@pytest.mark.slow
def test_a_step_gives_gradients_to_the_whole_generator() -> None:
    net = _tiny_net()
    training = GeneratorTraining(
        net=net,
        critic=Discriminator(width=4),
        readers=(_FakeReader(512), _FakeReader(128)),
        landmarks=LandmarkNet().eval().requires_grad_(False),
        bank=_bank(),
        weights=LossWeights(),
        mixture=Mixture(second_every=1, cycle_every=1, adversarial_from=0),
        rng=np.random.default_rng(0),
        generator=torch.Generator().manual_seed(0),
    )
    batch = training.bank.sample(8, training.rng)
    loss, fakes = training.losses(batch, 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert len(fakes) == 8
    assert all(p.grad is not None for p in net.parameters())
    assert torch.isfinite(training.critic_loss(batch.crops, fakes))
    assert {"cos_swap", "cos_old", "cycle_rec", "taught_rec"} <= set(training.log)


@pytest.mark.slow
def test_exported_file_starts_a_training_again(tmp_path: Path) -> None:
    net = _tiny_net()
    with torch.no_grad():  # the exporter merges equal tensors, such as biases that are still zero
        for parameter in net.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    path = tmp_path / "generator.onnx"
    export_generator(net, path, version="0", facts={})
    state = read_weights(path)
    assert set(state) == set(net.state_dict())
    for name, value in net.state_dict().items():
        assert torch.allclose(state[name], value, atol=2e-3), name
    assert (tmp_path / "identity_basis.npy").exists()
    with pytest.raises(RuntimeError):
        load_net(path)  # widths differ from the shipped ones
