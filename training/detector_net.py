"""The detector network: a small dense residual backbone, a top-down neck, one-anchor heads.

Only plain 3x3 and 1x1 convolutions: on CPUs they train and run several times faster per
operation than depthwise ones.  Each head predicts 15 numbers a cell: score, four distances,
ten offsets.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["OUTPUT_NAMES", "STRIDES", "DetectorNet", "ExportWrapper", "export_onnx"]

STRIDES = (8, 16, 32)
OUTPUT_NAMES = tuple(f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in STRIDES)
_PRIOR_LOGIT = -4.0  # a face in about one cell of fifty: keeps the first steps calm


def _conv(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    around = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(inputs, outputs, kernel, stride, around, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(inputs, outputs, stride=2), *[_Residual(outputs) for _ in range(blocks)]
    )


class DetectorNet(nn.Module):
    """Maps ``(N, 3, H, W)`` RGB in [-1, 1] to raw maps ``(N, 15, H/S, W/S)``, S = 8, 16, 32."""

    def __init__(
        self,
        *,
        widths: tuple[int, int, int, int] = (32, 48, 64, 96),
        blocks: tuple[int, int, int] = (1, 2, 2),
        neck: int = 32,
        head: int = 32,
    ) -> None:
        super().__init__()
        self.widths, self.head = widths[1:], head
        # One wide-stepped convolution instead of two stages: maps at stride 2 would cost more
        # memory traffic than all the rest together, in training and on the CPU.
        self.stem = _conv(3, widths[0], kernel=6, stride=4, padding=1)
        self.stage8 = _stage(widths[0], widths[1], blocks[0])
        self.stage16 = _stage(widths[1], widths[2], blocks[1])
        self.stage32 = _stage(widths[2], widths[3], blocks[2])
        self.lateral = nn.ModuleList([_conv(width, neck, kernel=1) for width in widths[1:]])
        self.smooth = nn.ModuleList([_conv(neck, neck) for _ in range(2)])
        self.tower = nn.ModuleList([_conv(neck, head) for _ in STRIDES])
        self.predict = nn.ModuleList([nn.Conv2d(head, 15, 1) for _ in STRIDES])
        for layer in self.predict:
            nn.init.normal_(layer.weight, std=0.01)
            bias = torch.zeros(15)
            bias[0], bias[1:5] = _PRIOR_LOGIT, 1.5
            layer.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the three raw maps."""
        return self.maps(self.features(x)[1])

    def maps(self, towers: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Turn the heads' features into the three raw maps."""
        maps = [p(f) for p, f in zip(self.predict, towers, strict=True)]
        return maps[0], maps[1], maps[2]

    def features(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Compute what lies behind the maps, at strides 8, 16 and 32.

        Returns:
            The backbone's three outputs, and those of the heads before their last layer.
        """
        at8 = self.stage8(self.stem(x))
        at16 = self.stage16(at8)
        at32 = self.stage32(at16)
        top = self.lateral[2](at32)
        middle = self.smooth[1](
            self.lateral[1](at16) + functional.interpolate(top, scale_factor=2.0)
        )
        bottom = self.smooth[0](
            self.lateral[0](at8) + functional.interpolate(middle, scale_factor=2.0)
        )
        towers = [t(f) for t, f in zip(self.tower, (bottom, middle, top), strict=True)]
        return [at8, at16, at32], towers


def split_map(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split a raw map ``(N, 15, h, w)``.

    Returns:
        Logits ``(N, hw, 1)``, distances ``(N, hw, 4)``, not negative, and offsets ``(N, hw, 10)``.
    """
    flat = raw.permute(0, 2, 3, 1).reshape(raw.shape[0], -1, 15)
    return flat[..., :1], functional.softplus(flat[..., 1:5]), flat[..., 5:]


class ExportWrapper(nn.Module):
    """Gives the nine outputs of the shipped model, in the order of ``OUTPUT_NAMES``."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the nine outputs."""
        parts = [split_map(raw) for raw in self.net(x)]
        return (
            *(torch.sigmoid(logit) for logit, _, _ in parts),
            *(distance for _, distance, _ in parts),
            *(offset for _, _, offset in parts),
        )


def export_onnx(net: nn.Module, path: Path) -> None:
    """Write ``net`` as ONNX opset 17 with free N, H and W; batch norms are folded."""
    wrapper = ExportWrapper(net).eval()
    axes = {"input": {0: "N", 2: "H", 3: "W"}}
    axes.update({name: {0: "N", 1: f"cells_{name.rsplit('_', 1)[1]}"} for name in OUTPUT_NAMES})
    torch.onnx.export(
        wrapper,
        (torch.zeros(1, 3, 64, 96),),
        str(path),
        input_names=["input"],
        output_names=list(OUTPUT_NAMES),
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,  # the new exporter needs onnxscript and keeps batch norms apart
    )
    _state_widths(path)


def _state_widths(path: Path) -> None:
    """Write the sizes of the last axes into the graph; the exporter leaves them open."""
    model = onnx.load(str(path))
    for output in model.graph.output:
        width = {"score": 1, "bbox": 4, "kps": 10}[output.name.split("_")[0]]
        output.type.tensor_type.shape.dim[2].dim_value = width
    onnx.save(model, str(path))
