from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch.nn import functional as F  # noqa: E402 - after the skip

from training import encoder, encoder_targets  # noqa: E402 - after the skip
from training.encoder_augment import augment  # noqa: E402 - after the skip
from training.encoder_blends import BLEND_SIZE_PX, blend_faces  # noqa: E402 - after the skip
from training.encoder_hints import HintBank  # noqa: E402 - after the skip
from training.encoder_model import Encoder  # noqa: E402 - after the skip
from training.encoder_optim import Muon, orthogonalise, split_parameters  # noqa: E402 - as above
from training.encoder_readout import (  # noqa: E402 - after the skip
    ReadoutEncoder,
    fit_readout,
)
from training.encoder_targets import Targets, load_targets  # noqa: E402 - after the skip
from training.runtime import append_csv, load_checkpoint  # noqa: E402 - after the skip
from training.teachers import load_teachers  # noqa: E402 - after the skip


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    e = rng.normal(size=(count, 512)).astype(np.float32)
    return np.asarray(e / np.linalg.norm(e, axis=1, keepdims=True), np.float32)


@pytest.fixture
def targets() -> Targets:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (6, 160, 160, 3), np.uint8)
    blends = blend_faces(crops, 4, seed=0)
    shapes = ((64, 14, 14), (100, 7, 7), (192, 3, 3))
    hints = HintBank.of([rng.normal(size=(6, *s)).astype(np.float16) for s in shapes])
    return Targets(crops, unit(rng, 6), unit(rng, 6), (blends,), (unit(rng, 4),), hints)


def recipe(steps: int) -> encoder.Recipe:
    return encoder.Recipe(
        steps=steps, batch=4, anchors=4, sizes=((32, 2.0),), save_every=1, evaluate_every=100
    )


def held_out() -> tuple[Any, Any]:
    faces = torch.zeros(2, 3, 112, 112, dtype=torch.uint8)
    return faces, F.normalize(torch.ones(2, 512), dim=1)


def test_output_for_every_training_size() -> None:
    model = Encoder(widths=(4, 8, 8), depths=(1, 1)).eval()
    for size in (64, 80, 96, 112):
        assert model(torch.zeros(1, 3, size, size)).shape == (1, 512)


def test_perfect_student_has_no_loss() -> None:
    rng = np.random.default_rng(0)
    target, anchors = torch.from_numpy(unit(rng, 4)), torch.from_numpy(unit(rng, 8))
    loss, cosine = encoder.distillation_loss(3 * target, target, anchors, relation=1.0)
    assert loss.item() == pytest.approx(0, abs=1e-4)
    assert cosine.item() == pytest.approx(1, abs=1e-5)


def test_relation_punishes_another_ranking() -> None:
    rng = np.random.default_rng(0)
    target = torch.from_numpy(unit(rng, 4))
    other = torch.from_numpy(unit(rng, 4))
    plain, _ = encoder.distillation_loss(other, target, target, relation=0.0)
    related, _ = encoder.distillation_loss(other, target, target, relation=1.0)
    assert related > plain


def test_orthogonalise_evens_out_singular_values() -> None:
    torch.manual_seed(0)
    before = torch.randn(16, 40) @ torch.diag(torch.linspace(0.2, 2, 40))
    after = torch.linalg.svdvals(orthogonalise(before, iterations=5).float())
    assert after.max() / after.min() < 2.5


def test_muon_keeps_filters_at_unit_length() -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, 8, 3, bias=False)
    optimizer = Muon(split_parameters(conv)[0], lr=0.0)
    conv(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    assert conv.weight.norm().item() == pytest.approx(8**0.5, rel=1e-5)


def test_a_step_trains_and_a_second_run_resumes(targets: Targets, tmp_path: Path) -> None:
    encoder.train(recipe(1), targets, held_out(), tmp_path)
    first = load_checkpoint(tmp_path)
    assert first is not None
    assert first[0] == 1
    encoder.train(recipe(2), targets, held_out(), tmp_path)
    second = load_checkpoint(tmp_path)
    assert second is not None
    assert second[0] == 2
    assert not torch.equal(first[1]["model"]["stem.0.weight"], second[1]["model"]["stem.0.weight"])
    assert all(path.stat().st_size < 16e6 for path in tmp_path.glob("*.pt"))


def test_batches_depend_on_seed_and_step_only(targets: Targets) -> None:
    def draw(step: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([1, 1, step])
        batch = targets.draw(rng, count=5, blend_ratio=0.4)
        face = augment(batch.faces[0], rng, size_px=64, flip=batch.flips[0])
        return face, batch.targets

    one, again, other = draw(3), draw(3), draw(4)
    np.testing.assert_array_equal(one[0], again[0])
    np.testing.assert_array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])


def test_augmentation_keeps_shape_and_source(targets: Targets) -> None:
    face = targets.crops[0, 16:144, 16:144]
    before = face.copy()
    for seed in range(30):
        out = augment(face, np.random.default_rng(seed), size_px=80, flip=seed % 2 == 0)
        assert out.shape == (80, 80, 3)
        assert out.dtype == np.uint8
    np.testing.assert_array_equal(face, before)


def test_blends_are_seeded(targets: Targets) -> None:
    one = blend_faces(targets.crops, 3, seed=5)
    assert one.shape == (3, BLEND_SIZE_PX, BLEND_SIZE_PX, 3)
    np.testing.assert_array_equal(one, blend_faces(targets.crops, 3, seed=5))
    assert not np.array_equal(one, blend_faces(targets.crops, 3, seed=6))


def test_readout_finds_a_linear_teacher() -> None:
    torch.manual_seed(0)
    model = ReadoutEncoder(Encoder(widths=(4, 8, 8), depths=(1, 2)), side=2).eval()
    x = torch.randn(2000, 3, 32, 32)
    with torch.no_grad():
        true = torch.randn(model.squeeze.in_features, 512)
        features = torch.cat([model.features(part) for part in x.split(500)])
    batches = zip(x.split(500), (features @ true).split(500), strict=True)
    weights, mean, target_mean = fit_readout(model, iter(batches), ridges=(1e-4,))[0]
    got = (features - mean) @ weights + target_mean
    assert F.cosine_similarity(got, features @ true).mean() > 0.99


def test_csv_gets_one_header(tmp_path: Path) -> None:
    for step in range(2):
        append_csv(tmp_path / "log.csv", {"step": step, "loss": 0.123456789})
    assert (tmp_path / "log.csv").read_text().split() == ["step,loss", "0,0.123457", "1,0.123457"]


def test_missing_teachers_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--teachers"):
        load_teachers(tmp_path)


@pytest.mark.parametrize("with_readout", [False, True])
def test_exported_file_agrees_with_torch(tmp_path: Path, *, with_readout: bool) -> None:
    from engines.embedder import FaceEmbedder
    from engines.loader import load_engine
    from engines.manifest import load_manifest
    from training.encoder_export import export_encoder

    torch.manual_seed(0)
    model = Encoder().eval()
    if with_readout:
        model = ReadoutEncoder(model, side=4).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    manifest = load_manifest(export_encoder(model, tmp_path, version="0", inner_px=64))
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    with torch.no_grad():
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        small = F.interpolate((x - 127.5) / 127.5, size=64, mode="bilinear")
        views = F.normalize(model(small), dim=1) + F.normalize(model(small.flip(3)), dim=1)
        wanted = F.normalize(views, dim=1).numpy()
    engine = load_engine(manifest, provider="cpu", threads=1)
    got = FaceEmbedder(engine, mean=manifest.mean, std=manifest.std).embed(crops)
    assert (got * wanted).sum(1).min() > 0.9999


@pytest.mark.parametrize("limit", [None, 3])
def test_a_first_training_makes_its_cache(
    limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (5, 160, 160, 3), np.uint8)
    monkeypatch.setattr(encoder_targets, "read_train_crops", lambda data: crops)
    teacher = SimpleNamespace(embed_edgeface=lambda faces: unit(rng, len(faces)))
    monkeypatch.setattr(encoder_targets, "load_teachers", lambda folder: teacher)
    found, again = (
        load_targets(
            tmp_path, tmp_path, tmp_path / "new" / "cache",
            blend_files=0, with_hints=False, limit=limit,
        )
        for _ in range(2)
    )  # fmt: skip
    np.testing.assert_array_equal(found.crops, crops[:limit])
    np.testing.assert_array_equal(found.plain, again.plain)
