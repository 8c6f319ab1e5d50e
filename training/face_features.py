"""Features of a frozen recogniser: what a face looks like up close, for losses and the critic.

A critic that starts from pixels needs millions of pictures before it knows what an eye is. A
trained network knows; small heads on its maps judge after a few thousand (Sauer et al., NeurIPS
2021).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses_identity import IdentityReader
from training.onnx_graph import OnnxGraph

__all__ = ["CHANNELS", "FaceFeatures", "perceptual_loss"]

# Last maps at 56, 28 and 14 cells of MobileFaceNet, and their channels.
_TAPS: Final = (
    "/dw_conv/relu_1/Relu_output_0",
    "/features/features.4/Add_output_0",
    "/features/features.11/Add_output_0",
)
CHANNELS: Final = (64, 64, 128)


class FaceFeatures(nn.Module):
    """Maps and embedding of a frozen MobileFaceNet.

    Args:
        network: The network; its taps are set.
    """

    def __init__(self, network: OnnxGraph) -> None:
        super().__init__()
        network.taps = _TAPS
        self.network = network
        self.reader = IdentityReader(network)
        for index, channels in enumerate(CHANNELS):
            self.register_buffer(f"spread{index}", torch.zeros(1, channels, 1, 1))

    def forward(
        self, crops: Tensor, shift_px: tuple[int, int] = (0, 0)
    ) -> tuple[Tensor, list[Tensor]]:
        """(N, 3, 160, 160) in [-1, 1] to (N, 128) unit vectors and three maps of unit spread."""
        embedding = self.reader(crops, shift_px)
        maps = []
        for index, found in enumerate(self.network.tapped):
            spread = self.get_buffer(f"spread{index}")
            if not spread.any():  # the first batch sets the scale for good
                deviation = found.detach().float().std((0, 2, 3), keepdim=True)
                spread.copy_(deviation.clamp_min(0.1 * deviation.mean()))
            maps.append(found.float() / spread)
        self.network.tapped = []
        return embedding, maps


def perceptual_loss(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean absolute difference of two lists of feature maps; a scalar."""
    return torch.stack([F.l1_loss(a, b) for a, b in zip(found, wanted, strict=True)]).mean()
