"""Write a trained encoder as ONNX with its manifest: `python -m training.encoder_export`."""

from __future__ import annotations

import argparse
import copy
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from export.metadata import publish
from export.quantize import store_fp16
from training.encoder_model import EMBEDDING_DIM, ENCODER_SIZE_PX, DeployedEncoder, Encoder
from training.encoder_readout import ReadoutEncoder, load_readout_encoder
from training.runtime import load_checkpoint

__all__ = ["export_encoder", "export_reader", "load_trained_encoder", "main"]

_LOG = logging.getLogger(__name__)


def load_trained_encoder(run: Path) -> Encoder:
    """The averaged model of the newest checkpoint in ``run``.

    Raises:
        FileNotFoundError: The folder holds no checkpoint.
    """
    checkpoint = load_checkpoint(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} holds no checkpoint; train with python -m training.encoder")
    model = Encoder().eval()
    model.load_state_dict(checkpoint[1]["average"])
    return model


def export_encoder(
    model: Encoder | ReadoutEncoder, folder: Path, *, version: str, inner_px: int
) -> Path:
    """Write ``encoder.onnx`` (float16 storage, float32 arithmetic) and ``encoder.json``.

    Args:
        model: A trained model; BatchNorm is folded into the layers before it.
        folder: Usually ``engines/weights``.
        version: Version of the weights.
        inner_px: The size the network works at, that of the last part of its training.

    Returns:
        The manifest's path.
    """
    return _export(model, folder / "encoder.onnx", version, inner_px, {})


def export_reader(
    model: ReadoutEncoder,
    folder: Path,
    *,
    version: str,
    inner_px: int,
    generator_sha256: str,
    facts: Mapping[str, object],
) -> Path:
    """Write ``reader.onnx`` and ``reader.json``: what was learned from the faces of one generator.

    Args:
        model: the trained network of a ``ReadBack``.
        folder: usually ``engines/weights``.
        version: version of the weights.
        inner_px: the size the network works at.
        generator_sha256: hex digest of the float32 file of the generator it learned from.
        facts: further manifest entries.

    Returns:
        The manifest's path.
    """
    more = {"sees_mirrored": False, "generator_sha256": generator_sha256, **facts}
    return _export(model, folder / "reader.onnx", version, inner_px, more)


def _export(
    model: Encoder | ReadoutEncoder,
    path: Path,
    version: str,
    inner_px: int,
    more: Mapping[str, object],
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new.onnx")
    sees_mirrored = bool(more.get("sees_mirrored", True))
    write_onnx(model, draft, inner_px=inner_px, sees_mirrored=sees_mirrored)
    store_fp16(draft, draft)
    draft.replace(path)
    facts = {
        "inputs": {"input": ["N", 3, ENCODER_SIZE_PX, ENCODER_SIZE_PX]},
        "outputs": {"embedding": ["N", EMBEDDING_DIM]},
        "mean": 127.5,
        "std": 127.5,
        "colour": "RGB",
        "input_size_hw": [ENCODER_SIZE_PX, ENCODER_SIZE_PX],
        "normalised": True,
        "inner_px": inner_px,
        **more,
    }
    return publish(path, version=version, facts=facts)


def write_onnx(
    model: Encoder | ReadoutEncoder, path: Path, *, inner_px: int, sees_mirrored: bool = True
) -> None:
    """Write the network in float32, with a free batch size and BatchNorm folded."""
    folded = _folded(model, inner_px)
    deployed = DeployedEncoder(folded, inner_px=inner_px, sees_mirrored=sees_mirrored).eval()
    example = torch.zeros(2, 3, ENCODER_SIZE_PX, ENCODER_SIZE_PX)
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript; this one is deprecated but complete for this graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deployed,
            (example,),
            str(path),
            input_names=["input"],
            output_names=["embedding"],
            dynamic_axes={"input": {0: "N"}, "embedding": {0: "N"}},
            opset_version=17,
            dynamo=False,
        )


@torch.no_grad()
def _folded(model: Encoder | ReadoutEncoder, size_px: int) -> nn.Module:
    """A copy whose pooled BatchNorm is part of the next layer; the exporter folds the others."""
    folded = copy.deepcopy(model).eval()
    encoder = folded if isinstance(folded, Encoder) else folded.encoder
    last = folded.project if isinstance(folded, Encoder) else folded.squeeze
    encoder.fix_size(size_px)
    norm = encoder.pooled
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("the encoder's BatchNorm has no running statistics")
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    # The pooled features are the last columns of what a readout reads, and all of it otherwise.
    columns = last.weight[:, -len(scale) :]
    last.bias.add_(columns @ shift)
    columns.mul_(scale)
    encoder.pooled = nn.Identity()  # type: ignore[assignment]  # takes the place of the folded norm
    return folded


def main() -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/encoder"))
    parser.add_argument("--out", type=Path, default=Path("engines/weights"))
    parser.add_argument("--inner-px", type=int, default=64)
    parser.add_argument("--version", default="1.0")
    args = parser.parse_args()
    with_readout = (args.run / "readout").exists()
    model = (load_readout_encoder if with_readout else load_trained_encoder)(args.run)
    written = export_encoder(model, args.out, version=args.version, inner_px=args.inner_px)
    _LOG.info("wrote %s", written)


if __name__ == "__main__":
    main()
