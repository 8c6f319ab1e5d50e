"""Pairs of swaps: one crop, two wanted identities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")

from training.generator_data import Batch  # noqa: E402 - after the skip
from training.generator_pairs import pair_hinge, paired, strangers  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from torch import Tensor


def _batch(count: int) -> Batch:
    crops = torch.arange(count, dtype=torch.float32).view(count, 1, 1, 1)
    people = torch.arange(count, dtype=torch.float32).view(count, 1)
    return Batch(
        crops=crops, identities=people, twins=people, primary=people, second=people, pseudo=crops
    )


@pytest.mark.parametrize(("count", "taught"), [(8, 4), (9, 4), (7, 3), (6, 0)])
def test_every_second_swap_shows_the_crop_before_it(count: int, taught: int) -> None:
    batch = paired(_batch(count), taught)
    rows = batch.identities[:, 0].int().tolist()
    assert rows[:taught] == list(range(taught))
    swaps = rows[taught:]
    assert swaps == [taught + k - k % 2 for k in range(count - taught)]
    for field in (batch.crops, batch.twins, batch.primary, batch.second, batch.pseudo):
        assert field.flatten().int().tolist() == rows


@pytest.mark.parametrize(("count", "taught"), [(16, 8), (16, 6), (16, 10), (16, 0), (9, 4)])
def test_strangers_are_other_people_and_two_for_a_pair(count: int, taught: int) -> None:
    people = paired(_batch(count), taught).identities[:, 0]
    found = people[strangers(count, taught)]
    own = people[taught:]
    assert len(found) == count - taught
    assert not (found == own).any()
    whole = len(found) // 2 * 2
    assert not (found[0:whole:2] == found[1:whole:2]).any()


def _unit(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows)


def test_faces_of_a_pair_are_pushed_apart_and_other_faces_are_not() -> None:
    alike = _unit((1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0))
    assert float(pair_hinge(alike, allowed=0.1)) == pytest.approx(0.9)
    across = _unit((1.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    assert float(pair_hinge(across, allowed=0.1)) == 0.0
    assert float(pair_hinge(alike[:3], allowed=0.1)) == pytest.approx(0.9)  # an odd one is alone
    assert float(pair_hinge(alike[:1], allowed=0.1)) == 0.0
