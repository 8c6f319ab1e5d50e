"""Keep the composites whose faces look right: ``python -m training.looks_composites LOOKS.pt``.

Every composite is drawn into the same heads, and the judge of looks says how well it fits. Those
that fit badly everywhere have wrinkles like cracks, half a pair of glasses, or patches: keyed
identities that are moved towards them get the same (docs/decisions/0084).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from engines.manifest import sha256_of
from training.composites import COMPOSITES_FILE, load_composites, save_composites
from training.crops import read_index, read_train_crops
from training.generator_data import Floats
from training.looks_faces import LooksFaces
from training.looks_net import LooksNet, scores_of

__all__ = ["best_rows", "main", "publish_composites"]

_LOG: Final = logging.getLogger(__name__)
_SOURCES: Final = ("gen", "scut")  # with known sex, whole heads, of adults
_HEADS_EACH: Final = 3
_LEAST_FILL, _MOST_TURNED = 0.97, 0.15
_LOG_EVERY: Final = 100


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = _arguments(argv)
    torch.set_num_threads(args.threads)
    net = LooksNet()
    net.load_state_dict(torch.load(args.looks, map_location="cpu", weights_only=True))
    drawing = LooksFaces(
        args.generator, args.encoder, composites=args.composites, threads=args.threads, seed=0
    )
    rows = load_composites(args.composites)
    scores = _scores(net.float().eval(), drawing, rows, _heads(args.data))
    np.save(args.looks.with_name("composite_looks.npy"), scores)
    kept = best_rows(scores, args.ratio)
    named = publish_composites(rows[kept], args.out)
    _LOG.info("kept %d of %d composites; named by %s", len(kept), len(rows), ", ".join(named))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="training.looks_composites", description=__doc__)
    parser.add_argument("looks", type=Path, help="looks.pt of a run of training.looks")
    parser.add_argument("--data", type=Path, required=True, help="folder of the face sets")
    parser.add_argument("--composites", type=Path, required=True, help="all of them, of a run")
    parser.add_argument("--generator", type=Path, default=Path("engines/weights/generator.json"))
    parser.add_argument("--encoder", type=Path, default=Path("engines/weights/encoder.json"))
    parser.add_argument("--ratio", type=float, default=0.25, help="share of them that is kept")
    parser.add_argument("--out", type=Path, default=Path("engines/weights"))
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(argv)


def _heads(data: Path) -> NDArray[np.uint8]:
    """Whole heads of six women and six men that look ahead, (12, 160, 160, 3) RGB."""
    rows = read_index(data / "train" / "index.csv")
    rng, chosen = np.random.default_rng(0), []
    for gender, source in product(("female", "male"), _SOURCES):
        good = [
            i
            for i, row in enumerate(rows)
            if row["gender"] == gender
            and row["source"] == source
            and float(row["fill160"]) >= _LEAST_FILL
            and abs(float(row["yaw"])) <= _MOST_TURNED
        ]
        chosen += list(rng.choice(good, _HEADS_EACH, replace=False))
    return read_train_crops(data, np.array(chosen))


def _scores(net: LooksNet, drawing: LooksFaces, rows: Floats, heads: NDArray[np.uint8]) -> Floats:
    """(M, heads): what the judge says of each composite in each head."""
    scores = np.empty((len(rows), len(heads)), np.float32)
    for i, row in enumerate(rows):
        wanted = np.repeat(row[None], len(heads), axis=0)
        scores[i] = scores_of(net, drawing.drawn_coordinates(heads, wanted))
        if i % _LOG_EVERY == 0:
            _LOG.info("%d of %d composites", i, len(rows))
    return scores


def best_rows(scores: Floats, ratio: float) -> NDArray[np.int64]:
    """Which composites fit best, in their old order.

    Args:
        scores: (M, heads); of one head they can be compared, so each head's mean is taken off.
        ratio: share of them that is kept.
    """
    fit = (scores - scores.mean(0)).mean(1)
    count = max(1, round(ratio * len(fit)))
    return np.sort(np.argsort(-fit, kind="stable")[:count])


def publish_composites(rows: Floats, folder: Path) -> list[str]:
    """Write the composites, and their hash into the manifests of the folder that name them.

    Args:
        rows: (M, K) unit rows.
        folder: of the weights.

    Returns:
        Names of those manifests.
    """
    path = folder / COMPOSITES_FILE
    save_composites(path, rows)
    named = []
    for manifest in sorted(folder.glob("*.json")):
        facts: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        entry = facts.get(path.stem)
        if isinstance(entry, dict) and entry.get("file") == path.name:
            entry["sha256"] = sha256_of(path)
            manifest.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            named.append(manifest.name)
    return named


if __name__ == "__main__":
    main()
