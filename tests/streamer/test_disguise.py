"""The choice of a key: the first whose new face is unlike the person, else the best of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from engines.arrays import AnyArray, Float32Array
from engines.embedder import FaceEmbedder
from engines.errors import EngineRunError
from engines.generator import FaceGenerator
from engines.types import TensorSpec
from streamer.disguise import (
    Disguise,
    pack_views,
    unpack_views,
)
from streamer.key_log import KeyLogReader, TrackStart
from streamer.key_log_parts import part_path
from streamer.rotator import make_rotator
from tests.factories import CROP_PX, FakeEngine, generator_engine
from tests.streamer.live_streams import FOR_OWNER, MODELS, OWNER, Stream, Z

ORIGINAL = np.eye(512, dtype=np.float32)[0]
VIEWS = np.stack([np.full((CROP_PX, CROP_PX, 3), 100 + 20 * i, np.uint8) for i in range(3)])


class Keys:
    """Proposes identities that say which key they are of."""

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        del original
        wanted = np.zeros(512, np.float32)
        wanted[0], wanted[1] = attempt, identity_id
        return wanted


def paints_the_key(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """A face whose brightness says the number of its key and of the view."""
    crop, wanted = inputs["crop"], inputs["identity"]
    view = np.rint((crop[:, 0, 56, 56] * 127.5 + 27.5) / 20)
    value = -0.8 + 0.2 * wanted[:, 0] + 0.06 * view
    face = np.broadcast_to(value[:, None, None, None], crop.shape).astype(np.float32)
    return {"face": face, "alpha": np.ones_like(crop[:, :1])}


class Likeness:
    """An encoder that sees how alike the faces of each key are, view by view."""

    def __init__(self, *cosines: tuple[float, float]) -> None:
        self._cosines = cosines
        self.views = 0
        engine = FakeEngine(
            (TensorSpec("x", (None, 3, 112, 112), "float32"),),
            (TensorSpec("y", (None, 512), "float32"),),
            self._answer,
        )
        self.embedder = FaceEmbedder(engine)

    def _answer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        (crops,) = inputs.values()
        found = np.zeros((len(crops), 512), np.float32)
        for row, crop in enumerate(crops):
            # The middle of the face is only the new one.
            steps = round((float(crop[0, 56, 56]) + 0.8) / 0.02)
            cosine = self._cosines[steps // 10][steps % 10 // 3]
            found[row, :2] = cosine, (1 - cosine**2) ** 0.5
            self.views += 1
        return {"y": found}


def _chosen(likeness: Likeness, *, attempts: int = 4, answer: object = paints_the_key) -> int:
    generator = FaceGenerator(generator_engine(answer))  # type: ignore[arg-type]  # one raises
    disguise = Disguise(generator, likeness.embedder, Keys(), most_alike=0.33, attempts=attempts)
    return disguise.choose(7, ORIGINAL, VIEWS).attempt


def test_the_first_key_is_taken_when_it_hides_the_person() -> None:
    likeness = Likeness((0.05, 0.1))
    assert _chosen(likeness) == 0
    assert likeness.views == 2  # the two best of three


def test_the_next_key_is_tried_when_one_view_looks_like_the_person() -> None:
    assert _chosen(Likeness((0.0, 0.3), (0.2, 0.0), (0.1, 0.1), (0.0, 0.0))) == 2


def test_of_keys_that_are_all_alike_the_least_is_taken() -> None:
    likeness = Likeness((0.4, 0.2), (0.1, 0.3), (0.2, 0.26), (0.5, 0.1))
    assert _chosen(likeness) == 2
    assert likeness.views == 5  # a view that is bad makes the next one needless


def test_no_more_keys_are_tried_than_allowed() -> None:
    assert _chosen(Likeness((0.4, 0.4), (0.3, 0.3), (0.0, 0.0)), attempts=2) == 1


def test_a_generator_that_fails_leaves_the_first_key() -> None:
    def fails(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        raise EngineRunError("device lost")

    assert _chosen(Likeness(), answer=fails) == 0


def test_views_of_another_size_are_scaled() -> None:
    likeness = Likeness((0.05, 0.1))
    generator = FaceGenerator(generator_engine(paints_the_key))
    disguise = Disguise(generator, likeness.embedder, Keys(), most_alike=0.33, attempts=1)
    assert disguise.choose(7, ORIGINAL, np.full((1, 200, 200, 3), 100, np.uint8)).attempt == 0
    assert likeness.views == 1


def test_at_least_one_key_is_tried() -> None:
    generator = FaceGenerator(generator_engine(paints_the_key))
    with pytest.raises(ValueError, match="at least one key"):
        Disguise(generator, Likeness().embedder, Keys(), most_alike=0.33, attempts=0)


def test_packed_views_are_small_and_nearly_the_same() -> None:
    ramp = np.linspace(0, 255, CROP_PX).astype(np.uint8)
    views = np.zeros((3, CROP_PX, CROP_PX, 3), np.uint8)
    views[..., 0], views[..., 2] = ramp, 90
    packed = pack_views(views)
    assert len(packed) == 2
    assert max(map(len, packed)) < views[0].size / 4
    assert np.abs(unpack_views(packed).astype(int) - views[:2]).mean() < 2


def test_the_log_holds_the_key_that_was_taken(tmp_path: Path) -> None:
    stream = Stream(tmp_path, config=FOR_OWNER)
    proposed = stream.log.propose(1, Z[0], 2)
    assert not np.allclose(proposed, stream.new_face, atol=0.1)
    np.testing.assert_allclose(stream.log.protect(1, Z[0], 2), proposed, atol=1e-6)
    stream.run(3)
    stream.rotation.ask()
    stream.run(2)
    stream.log.close()
    paths = [part_path(stream.path, number) for number in (1, 2)]
    starts = []
    for path in paths:
        with KeyLogReader.open(path, None, identities=[OWNER]) as reader:
            starts.append(next(r for r in reader.records() if isinstance(r, TrackStart)))
    assert [start.scope_id for start in starts] == ["1.2", "1.2"]
    space, start = MODELS.space, starts[0]
    assert start.key is not None
    rotator = make_rotator(
        "orthogonal", scope_key=start.key, angle_deg=start.angle_deg, dim=space.dim
    )
    turned = space.embedding(rotator.rotate(space.coordinates(Z[0])))
    np.testing.assert_allclose(turned, proposed, atol=1e-5)
