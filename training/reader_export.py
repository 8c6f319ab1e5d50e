"""Write a trained reader as ONNX: ``python -m training.reader_export RUN/reader.pt --cache …``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.manifest import load_manifest, sha256_of
from training.encoder_export import export_reader
from training.encoder_readout import ReadoutEncoder
from training.generator_data import identities_file
from training.read_back import ReadBack

__all__ = ["main", "write_prior"]

_LOG = logging.getLogger(__name__)


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
    parser.add_argument(
        "--read-cosine", type=float, required=True, help="between read and wanted, held-out people"
    )
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
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "images_seen": args.images,
        "read_cosine": args.read_cosine,
        "identity_prior": write_prior(identities, basis, args.out / "identity_prior.npy"),
    }
    written = export_reader(
        network, args.out, version=args.version, inner_px=reader.inner_px,
        generator_sha256=generator.sha256, facts=facts,
    )  # fmt: skip
    _LOG.info("wrote %s", written)


if __name__ == "__main__":
    main()
