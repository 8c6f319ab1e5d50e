"""Sparse looks: frames between two that agree are not looked at, all others are."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from engines.types import Detections
from streamer.frames import Frame
from streamer.sparse_finder import Sample, SparseFinder, SparseOptions, interpolated
from streamer.sparse_looks import Looks
from tests.factories import make_frame

OPTIONS = SparseOptions(stride=4)


def faces(*rows: tuple[float, float, float]) -> Detections:
    """Square faces of 40 px: left edge, top edge, score."""
    table = np.array(rows, np.float32).reshape(-1, 3)
    boxes = np.concatenate([table[:, :2], table[:, :2] + 40], axis=1)
    points = np.repeat(table[:, None, :2] + 20, 5, axis=1)
    return Detections(boxes, points, table[:, 2].copy())


class FakeFinder:
    """Finds what a function says, and notes where it looked."""

    def __init__(self, truth: Callable[[int], Detections]) -> None:
        self._truth = truth
        self.looked: list[int] = []
        self.refined: list[int] = []
        self.parts: list[tuple[int, int, int, int]] = []
        self.is_part_empty = True

    def find(self, frame: Frame) -> Detections:
        self.looked.append(frame.index)
        return self._truth(frame.index)

    def refine(self, frame: Frame, found: Detections) -> Detections:
        self.refined.append(frame.index)
        return replace(found, landmarks_px=self._truth(frame.index).landmarks_px)

    def sees_any(self, frame: Frame, part_xyxy_px: tuple[int, int, int, int]) -> bool:
        self.parts.append(part_xyxy_px)
        return not self.is_part_empty


def sample(index: int, *, grey: float = 90.0) -> Sample:
    return Sample(make_frame(index=index), np.full((18, 32), grey, np.float32))


def between(finder: FakeFinder, *, count: int = 3, odd: int | None = None) -> list[Detections]:
    """The frames 1 to `count`, after looks at the ones around them."""
    sparse = SparseFinder(finder, OPTIONS)
    samples = [sample(i, grey=150.0 if i == odd else 90.0) for i in range(count + 2)]
    first, last = (samples[0], sparse.look(samples[0])), (samples[-1], sparse.look(samples[-1]))
    finder.looked.clear()
    return sparse.between(first, samples[1:-1], last)


def test_frames_between_looks_that_agree_are_interpolated() -> None:
    finder = FakeFinder(lambda index: faces((10 + index, 20, 0.8)))
    found = between(finder)
    assert finder.looked == []
    assert finder.refined == [1, 2, 3]
    lefts = [float(f.boxes_xyxy_px[0, 0]) for f in found]
    np.testing.assert_allclose(lefts, [11, 12, 13], atol=1e-4)
    np.testing.assert_allclose([f.landmarks_px[0, 0, 0] for f in found], [31, 32, 33])
    np.testing.assert_allclose([f.scores[0] for f in found], 0.8)


def test_a_face_that_comes_in_between_is_looked_for() -> None:
    finder = FakeFinder(lambda index: faces((10, 20, 0.8)) if index >= 3 else faces())
    found = between(finder)
    assert 2 in finder.looked
    assert [len(f) for f in found] == [0, 0, 1]


def test_a_fast_face_is_looked_for() -> None:
    finder = FakeFinder(lambda index: faces((10 + 4 * index, 20, 0.8)))
    between(finder)
    assert finder.looked == [2]  # half of the way is slow enough


def test_something_that_only_flashes_up_is_looked_for() -> None:
    finder = FakeFinder(lambda index: faces((10, 20, 0.8)) if index == 1 else faces())
    found = between(finder, odd=1)
    assert 1 in finder.looked
    assert len(found[0]) == 1


@pytest.mark.parametrize("is_empty", [True, False])
def test_where_little_has_changed_only_that_part_is_looked_at(is_empty: bool) -> None:
    """A clock in the picture costs a hundredth of a look, and a face in its place is found."""
    finder = FakeFinder(lambda index: faces((10, 20, 0.8)))
    finder.is_part_empty = is_empty
    samples = [sample(i) for i in range(3)]
    samples[1].picture[16:18, 1:4] += 60.0
    sparse = SparseFinder(finder, OPTIONS)
    look = faces((10, 20, 0.8))
    sparse.between((samples[0], look), [samples[1]], (samples[2], look))
    # Three cells and as many on each side; two and as many above; the picture ends below.
    assert finder.parts == [(0, 186, 70, 240)]
    assert finder.looked == ([] if is_empty else [1])


def test_where_much_has_changed_everything_is_looked_at() -> None:
    finder = FakeFinder(lambda index: faces((10, 20, 0.8)))
    samples = [sample(i) for i in range(3)]
    samples[1].picture[2:16:6, 3:30:8] += 60.0
    look = faces((10, 20, 0.8))
    SparseFinder(finder, OPTIONS).between((samples[0], look), [samples[1]], (samples[2], look))
    assert (finder.parts, finder.looked) == ([], [1])


def test_weak_finds_of_either_look_stay() -> None:
    first, last = faces((10, 20, 0.8), (200, 20, 0.3)), faces((10, 20, 0.8), (300, 20, 0.2))
    (found,) = interpolated(first, last, [0.5], sure_score=0.35, min_iou=0.6) or []
    assert found.boxes_xyxy_px[:, 0].tolist() == [10, 200, 300]


@pytest.mark.parametrize("lone", ["first", "last"])
def test_a_sure_find_without_partner_is_no_agreement(lone: str) -> None:
    more, less = faces((10, 20, 0.8), (200, 20, 0.4)), faces((10, 20, 0.8))
    first, last = (more, less) if lone == "first" else (less, more)
    assert interpolated(first, last, [0.5], sure_score=0.35, min_iou=0.6) is None


def test_long_gaps_are_looked_at() -> None:
    finder = FakeFinder(lambda index: faces((10, 20, 0.8)))
    sparse = SparseFinder(finder, replace(OPTIONS, longest_s=1e-4))
    samples = [sample(i) for i in range(3)]
    sparse.between((samples[0], faces()), [samples[1]], (samples[2], faces()))
    assert finder.looked == [1]


@pytest.mark.parametrize(("stride", "count"), [(1, 5), (2, 5), (4, 9), (4, 7)])
def test_every_frame_comes_out_once_and_in_order(stride: int, count: int) -> None:
    finder = FakeFinder(lambda index: faces((10 + index, 20, 0.8)))
    sparse = SparseFinder(finder, SparseOptions(stride=stride, longest_s=10.0))
    out: list[tuple[int, float]] = []
    with ThreadPoolExecutor(1) as pool:  # one worker must not wait for itself
        looks = Looks(sparse, pool)
        pending = [p for i in range(count) for p in looks.add(make_frame(index=i))]
        pending += looks.flush()
        for samples, found in pending:
            for one, seen in zip(samples, found.result(), strict=True):
                out.append((one.frame.index, float(seen.boxes_xyxy_px[0, 0])))
    assert [index for index, _ in out] == list(range(count))
    np.testing.assert_allclose([left for _, left in out], [10 + i for i in range(count)], atol=1e-4)
    assert sorted(finder.looked) == sorted({*range(0, count, stride), count - 1})


def test_looks_do_not_wait_for_frames_between_them() -> None:
    together = threading.Barrier(2, timeout=10)

    class SlowFinder(FakeFinder):
        def find(self, frame: Frame) -> Detections:
            if frame.index in (2, 4):
                together.wait()
            return super().find(frame)

    sparse = SparseFinder(
        SlowFinder(lambda index: faces((10, 20, 0.8))), replace(OPTIONS, stride=2)
    )
    with ThreadPoolExecutor(2) as pool:
        looks = Looks(sparse, pool)
        pending = [p for i in range(5) for p in looks.add(make_frame(index=i))]
        found = [len(one) for _, looked in pending for one in looked.result()]
    assert found == [1] * 5


def test_a_look_that_fails_fails_the_frames_beside_it() -> None:
    def truth(index: int) -> Detections:
        if index == 2:
            raise RuntimeError("no look")
        return faces((10, 20, 0.8))

    with ThreadPoolExecutor(1) as pool:
        looks = Looks(SparseFinder(FakeFinder(truth), replace(OPTIONS, stride=2)), pool)
        pending = [p for i in range(5) for p in looks.add(make_frame(index=i))]
        errors = [str(found.exception()) for _, found in pending]
    assert errors == ["None", "no look", "no look", "no look", "None"]


def test_frames_are_let_go_of_when_they_are_done() -> None:
    alive: list[weakref.ref[object]] = []
    finder = SparseFinder(
        FakeFinder(lambda index: faces((10, 20, 0.8))), replace(OPTIONS, stride=2)
    )
    with ThreadPoolExecutor(1) as pool:
        looks = Looks(finder, pool)
        for index in range(40):
            frame = make_frame(index=index)
            alive.append(weakref.ref(frame.pixels))
            for _, found in looks.add(frame):
                found.result()
        gc.collect()
        assert sum(one() is not None for one in alive) <= 4
