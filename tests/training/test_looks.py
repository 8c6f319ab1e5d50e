"""The judge of looks, and the composites that it keeps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")

from engines.manifest import WEIGHTS_FOLDER, sha256_of  # noqa: E402 - after the skip
from training.composites import COMPOSITES_FILE, load_composites  # noqa: E402 - after the skip
from training.looks import disturbed, right_order  # noqa: E402 - after the skip
from training.looks_composites import best_rows, publish_composites  # noqa: E402 - after the skip
from training.looks_faces import FACES_A_CROP, LooksFaces, usable_rows  # noqa: E402 - after the skip
from training.looks_net import LooksNet, looks_loss, scores_of  # noqa: E402 - after the skip


def _marked(count: int) -> np.ndarray:
    """Crops whose first face is clean and whose second one has a bright patch."""
    rng = np.random.default_rng(0)
    faces = np.repeat(rng.integers(60, 120, (count, 1, 80, 80, 3), np.uint8), 2, axis=1)
    faces[:, 1, 30:50, 30:50] = 230
    return faces


def test_a_few_steps_teach_a_net_which_face_has_a_patch() -> None:
    torch.manual_seed(0)
    faces, net = _marked(40), LooksNet()
    adam = torch.optim.AdamW(net.parameters(), 2e-3)
    for step in range(12):
        views = disturbed(faces[:32], np.random.default_rng(step))
        loss, _ = looks_loss(net(views.flatten(0, 1)).view(32, 2))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert right_order(net, faces[32:]) > 0.9
    assert net.training


def test_the_loss_wants_the_own_face_first() -> None:
    good, ratio = looks_loss(torch.tensor([[2.0, -2.0, -1.0], [1.0, -3.0, 2.0]]))
    bad, _ = looks_loss(torch.tensor([[-2.0, 2.0, 1.0], [1.0, 3.0, 2.0]]))
    assert good < bad
    assert float(ratio) == pytest.approx(0.75)


def test_all_faces_of_a_crop_are_disturbed_in_the_same_way() -> None:
    faces = _marked(6)
    faces[:, 1] = faces[:, 0]
    found = disturbed(faces, np.random.default_rng(3))
    assert found.shape == (6, 2, 3, 80, 80)
    noise = (found[:, 0] - found[:, 1]).abs().max()
    assert float(noise) < 0.04 * 6.5
    assert (found[0, 0] - found[1, 0]).abs().mean() > 0.1


def test_scores_do_not_depend_on_the_batch() -> None:
    net, faces = LooksNet().eval(), _marked(70).reshape(-1, 80, 80, 3)
    together = scores_of(net, faces)
    assert together.shape == (140,)
    assert np.allclose(together[3:5], scores_of(net, faces[3:5]), atol=1e-4)


def test_the_composites_that_fit_all_heads_are_kept() -> None:
    easy = np.array([5.0, -5.0])  # one head gets high scores whatever is drawn
    fit = np.array([0.1, 0.9, -0.4, 0.5])
    assert list(best_rows(fit[:, None] + easy, 0.5)) == [1, 3]
    assert list(best_rows(fit[:, None] + easy, 0.01)) == [1]


def test_manifests_name_the_new_composites(tmp_path: Path) -> None:
    entry = {"file": COMPOSITES_FILE, "sha256": "0" * 64}
    (tmp_path / "generator.json").write_text(json.dumps({"identity_composites": entry}))
    (tmp_path / "encoder.json").write_text(json.dumps({"name": "encoder"}))
    rows = np.eye(3, dtype=np.float32)
    assert publish_composites(rows, tmp_path) == ["generator.json"]
    facts = json.loads((tmp_path / "generator.json").read_text())
    assert facts["identity_composites"]["sha256"] == sha256_of(tmp_path / COMPOSITES_FILE)
    assert np.array_equal(load_composites(tmp_path / COMPOSITES_FILE), rows)
    assert json.loads((tmp_path / "encoder.json").read_text()) == {"name": "encoder"}


def test_own_and_keyed_faces_differ_inside_the_face_only() -> None:
    drawing = LooksFaces(
        WEIGHTS_FOLDER / "generator.json", WEIGHTS_FOLDER / "encoder.json",
        composites=WEIGHTS_FOLDER / COMPOSITES_FILE, threads=1, seed=0,
    )  # fmt: skip
    crops = np.random.default_rng(1).integers(90, 160, (2, 160, 160, 3), np.uint8)
    (found,) = drawing.of(crops)
    assert found.shape == (2, FACES_A_CROP, 80, 80, 3)
    assert np.array_equal(found[:, 0, :4], found[:, 1, :4])  # the hair above
    assert np.abs(found[:, 0, 30:60, 25:55].astype(int) - found[:, 1, 30:60, 25:55]).mean() > 1
    coordinates = load_composites(WEIGHTS_FOLDER / COMPOSITES_FILE)[:2]
    assert drawing.drawn_coordinates(crops, coordinates).shape == (2, 80, 80, 3)


def test_children_and_parts_of_heads_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    lines = ["file,fill160,age", "a,0.9,", "b,0.5,40", "c,1.0,9", "d,0.8,30"]
    (tmp_path / "train" / "index.csv").write_text("\n".join(lines) + "\n")
    assert list(usable_rows(tmp_path)) == [0, 3]
