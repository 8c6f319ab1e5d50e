"""How loud the critics are: their weights follow the gradients, as in VQGAN (Esser et al., 2021).

A least squares critic without a penalty grows steeper for as long as it trains. With a fixed
weight it was 40 times too quiet for the generator at first, and after 500 steps with a larger one
ten times louder than everything else (docs/decisions/0061).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

__all__ = ["GradientBalance"]

_MOST: Final = 20.0
_MEMORY: Final = 0.8


@dataclass(slots=True)
class GradientBalance:
    """Weights that give losses a wanted share of the gradient of one parameter.

    Attributes:
        every: Steps between measurements; each costs a part of a backward pass.
        weights: Weights by the names of the losses, as last measured.
    """

    every: int = 20
    weights: dict[str, float] = field(default_factory=dict)

    def weigh(
        self,
        losses: dict[str, Tensor],
        *,
        others: Tensor,
        last: Tensor,
        ratio: dict[str, float],
        step: int,
    ) -> Tensor:
        """The weighted sum of ``losses``.

        Args:
            losses: Scalars by name.
            others: Scalar: everything else that is minimised.
            last: The parameter that all of them reach.
            ratio: By name, the wanted norm of the loss's gradient beside that of ``others``.
            step: Step of the training.
        """
        if step % self.every == 0 or set(losses) - set(self.weights):
            reference = _norm(others, last)
            for name, loss in losses.items():
                found = min(ratio[name] * reference / max(_norm(loss, last), 1e-12), _MOST)
                self.weights[name] = _MEMORY * self.weights.get(name, found) + (1 - _MEMORY) * found
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()


def _norm(loss: Tensor, parameter: Tensor) -> float:
    (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True)
    return float(gradient.float().norm())
