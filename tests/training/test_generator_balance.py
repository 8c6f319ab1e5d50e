"""Weights that follow the gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")

from training.generator_balance import GradientBalance  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from torch import Tensor


def _gradient(loss: Tensor, parameter: Tensor) -> float:
    (found,) = torch.autograd.grad(loss, parameter, retain_graph=True)
    return float(found.norm())


@pytest.mark.parametrize("steepness", [0.2, 1.0, 30.0])
def test_a_loss_gets_its_share_however_steep_it_is(steepness: float) -> None:
    last = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
    others = (last**2).sum()
    critic = steepness * (last * torch.tensor([1.0, 2.0, 3.0])).sum()
    balance = GradientBalance()
    weighed = balance.weigh(
        {"critic": critic}, others=others, last=last, ratio={"critic": 0.5}, step=0
    )
    assert _gradient(weighed, last) == pytest.approx(0.5 * _gradient(others, last), rel=1e-4)


def test_weights_are_measured_now_and_then_and_follow_slowly() -> None:
    last = torch.tensor([1.0, 1.0], requires_grad=True)
    others = last.sum()
    balance = GradientBalance(every=10)

    def weigh(steepness: float, step: int) -> float:
        critic = steepness * last.sum()
        ratio = {"critic": 1.0}
        balance.weigh({"critic": critic}, others=others, last=last, ratio=ratio, step=step)
        return balance.weights["critic"]

    assert weigh(1.0, 3) == pytest.approx(1.0)  # unknown so far
    assert weigh(2.0, 4) == pytest.approx(1.0)
    assert weigh(2.0, 10) == pytest.approx(0.9)
    assert weigh(2.0, 20) == pytest.approx(0.82)


def test_a_loss_without_slope_gets_no_endless_weight() -> None:
    last = torch.tensor([1.0], requires_grad=True)
    balance = GradientBalance()
    flat = 0.0 * last.sum()
    balance.weigh({"flat": flat}, others=last.sum(), last=last, ratio={"flat": 1.0}, step=0)
    assert balance.weights["flat"] == 20.0
