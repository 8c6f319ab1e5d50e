"""Write a trained reader as ONNX: ``python -m training.reader_export RUN/reader.pt --data …``."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.manifest import load_manifest, sha256_of
from training.encoder_export import export_reader
from training.encoder_readout import ReadoutEncoder
from training.generator_data import FaceBank, identities_file, load_bank, to_tensor
from training.generator_export import load_net
from training.losses_identity import declare_vision_operators
from training.read_back import ReadBack
from training.read_figures import ReadBlock, read_blocks
from training.reader import drawn_faces
from training.teachers import load_teachers

__all__ = ["main", "write_prior"]

_LOG = logging.getLogger(__name__)
_MEASURED, _BATCH = 2000, 20


def write_prior(
    identities: NDArray[np.float32], basis: NDArray[np.float32], path: Path
) -> dict[str, Any]:
    """Write mean (first row) and covariance of real identities in the coordinates of the basis.

    Args:
        identities: (N, 512) unit rows.
        basis: (K, 512) orthonormal rows.
        path: where to, a ``.npy`` of shape (K + 1, K) float32.

    Returns:
        The manifest's entry.
    """
    inside = np.asarray(identities, np.float64) @ basis.T
    inside /= np.linalg.norm(inside, axis=1, keepdims=True)
    rows = np.concatenate([inside.mean(0, keepdims=True), np.cov(inside.T)])
    np.save(path, rows.astype(np.float32))
    return {"file": path.name, "sha256": sha256_of(path)}


def _measured(reader: ReadBack, bank: FaceBank, generator: Path) -> tuple[list[ReadBlock], float]:
    """How well the reader reads faces of the training set, drawn under new keys."""
    net, rng, draws = load_net(generator), np.random.default_rng(7), torch.Generator()
    draws.manual_seed(7)

    def drawn() -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(_MEASURED // _BATCH):
            batch = bank.sample(_BATCH, rng)
            faces = dataclasses.replace(batch, crops=to_tensor(batch.crops.numpy()))
            yield drawn_faces(net, faces, draws)

    return read_blocks(reader, drawn(), net.basis, draws)


def main() -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="training.reader_export", description=__doc__)
    parser.add_argument("weights", type=Path, help="reader.pt of a run of training.reader")
    parser.add_argument("--cache", type=Path, default=Path("build/cache"), help="of the training")
    parser.add_argument("--encoder", type=Path, default=Path("engines/weights/encoder.onnx"))
    parser.add_argument("--generator", type=Path, default=Path("engines/weights/generator.json"))
    parser.add_argument("--out", type=Path, default=Path("engines/weights"))
    parser.add_argument("--version", default="1")
    parser.add_argument("--images", type=int, default=0, help="faces seen, for the manifest")
    parser.add_argument("--data", type=Path, required=True, help="folder of the face sets")
    parser.add_argument("--teachers", type=Path, default=Path("../shared/models"))
    args = parser.parse_args()
    reader = ReadBack.of_encoder(args.encoder)
    state = torch.load(args.weights, map_location="cpu", weights_only=True)
    reader.load_state_dict({name: value.float() for name, value in state.items()})
    network = reader.network
    if not isinstance(network, ReadoutEncoder):
        raise TypeError(f"{args.encoder} has no readout")
    generator = load_manifest(args.generator)
    basis = np.load(args.generator.with_name(generator.extra["identity_basis"]["file"]))
    identities = np.load(identities_file(args.cache, args.encoder))
    declare_vision_operators()
    bank = load_bank(args.data, args.cache, load_teachers(args.teachers), args.encoder)
    blocks, cosine = _measured(reader, bank, args.generator.with_suffix(".onnx"))
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "images_seen": args.images,
        "mean_cosine": round(cosine, 3),
        "read_blocks": [[size, round(gain, 4), round(noise, 5)] for size, gain, noise in blocks],
        "identity_prior": write_prior(identities, basis, args.out / "identity_prior.npy"),
    }
    written = export_reader(
        network, args.out, version=args.version, inner_px=reader.inner_px,
        generator_sha256=generator.sha256, facts=facts,
    )  # fmt: skip
    _LOG.info("wrote %s", written)


if __name__ == "__main__":
    main()
