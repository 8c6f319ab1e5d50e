"""Muon for convolutions that BatchNorm follows: orthogonalised momentum on normalised weights.

BatchNorm makes the scale of those weights irrelevant, so every step renormalises them to one unit
of length a filter; the learning rate is then the relative size of a step. On short trainings this
needs markedly fewer samples than SGD or AdamW (Jordan et al. 2024, "Muon").
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonalise", "split_parameters"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, *, iterations: int = 3) -> Tensor:
    """Push the singular values of ``matrix`` (R, C) towards one by Newton-Schulz iterations.

    Runs in bfloat16: the result is a direction, and three digits are enough for that.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; weights renormalised to unit length a filter."""

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: object = None) -> None:
        """Update every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("Muon does not re-evaluate the loss")
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"]
                buffer.mul_(group["momentum"]).add_(p.grad)
                update = p.grad.add(buffer, alpha=group["momentum"]).reshape(len(p), -1)
                rows = len(p)
                p.mul_(rows**0.5 / p.norm())
                direction = orthogonalise(update).float().reshape(p.shape)
                # min(R, C) singular values of one: scale to the length of the weights themselves.
                direction = direction * (rows / min(update.shape)) ** 0.5
                p.add_(direction, alpha=-group["lr"])


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Convolution weights (for Muon) and everything else (for AdamW)."""
    filters = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    known = {id(p) for p in filters}
    return filters, [p for p in model.parameters() if id(p) not in known]
