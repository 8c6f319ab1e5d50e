"""PyTorch networks from the weights of shipped ONNX files, to compare the two or to train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from engines.arrays import AnyArray
from engines.manifest import ModelManifest, load_manifest
from training.detector_net import OUTPUT_NAMES, DetectorNet, ExportWrapper
from training.encoder_model import DeployedEncoder, Encoder
from training.encoder_readout import ReadoutEncoder
from training.generator_export import load_net
from training.landmark_net import LandmarkNet

__all__ = ["load_folded", "load_for_training", "rebuild", "rebuild_encoder"]

Network = Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]]
_Pair = tuple[Tensor, Tensor | None]


def rebuild(manifest: ModelManifest) -> Network:
    """The network of a manifest in PyTorch, on one thread's worth of arrays.

    Raises:
        ValueError: the file's layers are not those of the network's code.
    """
    module, inputs, outputs = _module(manifest)
    module.eval().requires_grad_(False)

    def run(feed: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        with torch.no_grad():
            values = module(*(torch.from_numpy(feed[name]) for name in inputs))
        found = values if isinstance(values, tuple) else (values,)
        return {name: v.numpy() for name, v in zip(outputs, found, strict=True)}

    return run


def _module(manifest: ModelManifest) -> tuple[nn.Module, tuple[str, ...], tuple[str, ...]]:
    if manifest.name == "generator":
        return load_net(manifest.path), ("crop", "identity"), ("face", "alpha")
    if manifest.name in ("encoder", "reader"):
        return _encoder(manifest), ("input",), ("embedding",)
    if manifest.name == "detector":
        net = DetectorNet().eval()
        load_folded(net, manifest.path, torch.zeros(1, 3, 64, 64), prefix="net.")
        return ExportWrapper(net), ("input",), OUTPUT_NAMES
    if manifest.name == "landmarks":
        points = LandmarkNet().eval()
        load_folded(points, manifest.path, torch.zeros(1, 1, 64, 64), prefix="")
        return points, ("input",), ("points",)
    raise ValueError(f"no network code for {manifest.name}")


def _encoder(manifest: ModelManifest) -> DeployedEncoder:
    side_px = int(manifest.extra["inner_px"])
    base = Encoder().eval()
    base.fix_size(side_px)
    names = {t.name for t in onnx.load(str(manifest.path)).graph.initializer}
    has_readout = any(name.startswith("encoder.squeeze.") for name in names)
    encoder = ReadoutEncoder(base, side=side_px // 16).eval() if has_readout else base
    load_folded(encoder, manifest.path, torch.zeros(1, 3, side_px, side_px), prefix="encoder.")
    sees_mirrored = bool(manifest.extra.get("sees_mirrored", True))
    return DeployedEncoder(encoder, inner_px=side_px, sees_mirrored=sees_mirrored)


def rebuild_encoder(path: Path) -> tuple[nn.Module, int]:
    """The network inside an exported encoder, (N, 3, S, S) to raw embeddings, and its S.

    Args:
        path: ``encoder.onnx`` or ``reader.onnx``, its manifest beside it.
    """
    manifest = load_manifest(path.with_suffix(".json"))
    deployed = _encoder(manifest)
    return deployed.encoder, deployed.inner_px


def load_folded(module: nn.Module, path: Path, example: Tensor, *, prefix: str) -> None:
    """Fill a module from an ONNX file whose batch norms were folded into convolutions.

    Convolutions are matched by their order in a run; the batch norm behind each becomes a shift.
    Other parameters are matched by name, and batch norms of their own become the identity.

    Raises:
        ValueError: number or shapes of the layers differ.
    """
    _, convs, stored = _fill(module, path, example, prefix)
    if convs != stored:
        raise ValueError(f"{path.name} has {stored} convolutions, the code {convs}")


def load_for_training(module: nn.Module, path: Path, example: Tensor, *, prefix: str) -> None:
    """Fill a module as `load_folded` does, with batch norms that can be trained on.

    A file of fewer convolutions fills the first ones; the others keep their first values.

    Args:
        module: the network, left in evaluation mode.
        path: the ONNX file.
        example: ``(N, ...)`` real input: its statistics take the place of the folded ones.
        prefix: what the file's names begin with.

    Raises:
        ValueError: the file has more layers than the code, or of other shapes.
    """
    pairs, _, _ = _fill(module.eval(), path, example[:1], prefix)
    with torch.no_grad():
        for conv, norm in pairs:
            # Muon keeps filters at this length, and running statistics could not follow the jump.
            factor = len(conv.weight) ** 0.5 / conv.weight.norm()
            conv.weight.mul_(factor)
            _statistics(norm)[1].add_(norm.eps).mul_(factor**2).sub_(norm.eps)
    norms: list[nn.Module] = [norm for _, norm in pairs]
    norms += [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm1d)]
    hooks = [norm.register_forward_pre_hook(_revive) for norm in norms]
    with torch.no_grad():
        module(example)
    for hook in hooks:
        hook.remove()


def _revive(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Normalise by the statistics of ``inputs``, and undo it: the output stays as it was."""
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        return
    mean, variance = _statistics(norm)
    scale = norm.weight / (variance + norm.eps).sqrt()
    norm.bias.sub_(mean * scale)
    over = [0, *range(2, inputs[0].ndim)]
    mean.copy_(inputs[0].mean(over))
    variance.copy_(inputs[0].var(over, unbiased=False))
    norm.bias.add_(mean * scale)
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())


def _statistics(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without statistics")
    return norm.running_mean, norm.running_var


def _fill(
    module: nn.Module, path: Path, example: Tensor, prefix: str
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], int, int]:
    """Copy what the file has; return what it had folded, and both counts of convolutions."""
    model = onnx.load(str(path))
    values = _initialisers(model)
    stored = [_weights(node, values) for node in model.graph.node if node.op_type == "Conv"]
    convs, norms = _order(module, example)
    if len(stored) > len(convs):
        raise ValueError(f"{path.name} has {len(stored)} convolutions, the code {len(convs)}")
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    with torch.no_grad():
        _fill_named(module, values, prefix)
        for conv, (weight, bias) in zip(convs, stored, strict=False):
            if conv.weight.shape != weight.shape:
                raise ValueError(f"{tuple(weight.shape)} where {tuple(conv.weight.shape)} belongs")
            conv.weight.copy_(weight)
            if conv in norms:
                _make_identity(norms[conv])
                pairs.append((conv, norms[conv]))
            target = conv.bias if conv.bias is not None else norms[conv].bias
            target.copy_(torch.zeros(len(target)) if bias is None else bias)
    return pairs, len(convs), len(stored)


def _initialisers(model: Any) -> dict[str, Tensor]:  # noqa: ANN401 - onnx protos are untyped
    """Weights by name, also behind the Cast that widens float16 storage."""
    values = {
        t.name: torch.from_numpy(np.array(numpy_helper.to_array(t), np.float32))
        for t in model.graph.initializer
    }
    for node in model.graph.node:
        if node.op_type in ("Cast", "Identity") and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    return values


def _weights(node: Any, values: Mapping[str, Tensor]) -> _Pair:  # noqa: ANN401 - onnx protos are untyped
    bias = values[node.input[2]] if len(node.input) > 2 else None
    return values[node.input[1]], bias


def _order(
    module: nn.Module, example: Tensor
) -> tuple[list[nn.Conv2d], dict[nn.Module | None, nn.BatchNorm2d]]:
    """Convolutions as a run calls them, and the batch norm that each one feeds."""
    convs: list[nn.Conv2d] = []
    norms: dict[nn.Module | None, nn.BatchNorm2d] = {}

    def see(layer: nn.Module, *_: object) -> None:
        if isinstance(layer, nn.Conv2d):
            convs.append(layer)
        elif isinstance(layer, nn.BatchNorm2d):
            norms[convs[-1] if convs else None] = layer

    watched = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(see) for layer in watched]
    with torch.no_grad():
        module(example)
    for hook in hooks:
        hook.remove()
    return convs, norms


def _make_identity(norm: nn.Module) -> None:
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        return
    mean, variance = _statistics(norm)
    mean.zero_()
    variance.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.zero_()


def _fill_named(module: nn.Module, values: Mapping[str, Tensor], prefix: str) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            _make_identity(layer)
    for name, parameter in module.named_parameters():
        value = values.get(prefix + name)
        if value is not None and value.shape == parameter.shape:
            parameter.copy_(value)
