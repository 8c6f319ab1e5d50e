from __future__ import annotations

import numpy as np
import pytest

from engines.face_mask import core_mask, face_mask


@pytest.mark.parametrize("size", [128, 160, 256])
def test_the_core_lies_under_the_full_mask(size: int) -> None:
    mask, core = face_mask(size), core_mask(size)
    assert mask.shape == core.shape == (size, size)
    assert mask.min() == 0
    assert mask.max() == 1
    assert (mask[core > 0] == 1).all()
    assert 0.1 < core.mean() < 0.5


def test_the_edge_is_soft_and_the_rim_is_free() -> None:
    mask = face_mask(160)
    assert np.abs(np.diff(mask, axis=0)).max() < 0.25
    assert mask[0].max() == mask[:, 0].max() == mask[:, -1].max() == 0


def test_masks_are_shared_and_read_only() -> None:
    assert face_mask(160) is face_mask(160)
    with pytest.raises(ValueError, match="read-only"):
        face_mask(160)[0, 0] = 1
