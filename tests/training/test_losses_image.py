"""Losses on pictures, and the judge of them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")

from training.discriminator import (  # noqa: E402 - after the skip
    Discriminator,
    discriminator_loss,
    generator_loss,
)
from training.losses_image import (  # noqa: E402 - after the skip
    colour_loss,
    degrade,
    reconstruction_loss,
    spot_loss,
)


def test_picture_losses_vanish_on_equal_pictures() -> None:
    x = torch.rand(2, 3, 160, 160) * 2 - 1
    assert torch.all(reconstruction_loss(x, x) == 0)
    assert torch.all(colour_loss(x, x) == 0)
    assert torch.all(colour_loss(x, -x) > 0)


def test_green_spots_are_a_loss_and_red_ones_are_not() -> None:
    grey = torch.zeros(1, 3, 160, 160)
    green, red, tinted = grey.clone(), grey.clone(), grey.clone()
    green[:, 1, 80:86, 80:86] = red[:, 0, 80:86, 80:86] = 0.3
    tinted[:, 1] = 0.3  # light, not a spot
    assert spot_loss(green) > 0
    assert spot_loss(red) == spot_loss(tinted) == spot_loss(grey) == 0


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
    real, fake, area = [torch.ones(1, 1, 4, 4)], [torch.zeros(1, 1, 4, 4)], torch.ones(1, 1, 8, 8)
    assert discriminator_loss(real, fake, area, area) == 0
    assert generator_loss(fake, area) == 1


def test_critics_learn_nothing_from_what_is_not_painted() -> None:
    scores, area = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 8, 8)
    scores[..., 2:], area[..., :4] = 7.0, 1.0
    assert discriminator_loss([scores + 1.0], [scores], area, area) == 0
    assert generator_loss([scores], area) == 1
    area[..., 4] = 0.5  # a quarter of each cell of the third column: the edge counts in full
    assert generator_loss([scores], area) == pytest.approx((8 + 4 * 36) / 12)
