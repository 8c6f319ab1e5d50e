"""Train the judge of looks: ``python -m training.looks --data ../shared/faces``.

It chooses the composites that ship (``training.looks_composites``) and is not part of the product.
It learns which of several faces in one crop belongs to the head: the person's own, drawn by the
generator, or those of keyed identities. Patches, half a pair of glasses, or a beard under long hair
tell them apart; what is the same in all of them, such as how sharp the generator draws, does not.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.manifest import sha256_of
from training.composites import COMPOSITES_FILE
from training.crops import read_train_crops
from training.looks_faces import FACES_A_CROP, HALF_PX, LooksFaces, usable_rows
from training.looks_net import LooksNet, looks_loss, scores_of
from training.run_options import run_parser
from training.runtime import (
    append_csv,
    half_precision,
    half_state,
    resume,
    save_parts,
    set_rate,
)

__all__ = ["disturbed", "main", "right_order"]

_LOG: Final = logging.getLogger(__name__)
_HELD_OUT: Final = 600
_LOG_EVERY, _SAVE_EVERY = 50, 200
_SHIFT_PX: Final = 3
Faces = NDArray[np.uint8]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = _arguments(argv)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    faces = _faces(args)
    aside = min(_HELD_OUT, len(faces) // 10)
    held_out, rest = faces[:aside], faces[aside:]
    net = LooksNet().to(memory_format=torch.channels_last)
    _train(args, net, rest, held_out)
    ratio = right_order(net, held_out)
    torch.save(half_state(net), args.out / "looks.pt")
    _LOG.info("%.3f of the held-out pairs are in the right order; wrote looks.pt", ratio)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = run_parser("training.looks", __doc__, out="build/looks", images=40_000, batch=32)
    parser.add_argument("--generator", type=Path, default=Path("engines/weights/generator.json"))
    parser.add_argument("--composites", type=Path, help="all of a run; default: beside it")
    parser.add_argument("--crops", type=int, default=11_000, help="crops to draw faces into")
    parser.set_defaults(rate=2e-3)
    return parser.parse_args(argv)


def _faces(args: argparse.Namespace) -> Faces:
    """(N, V, 80, 80, 3): drawn once for each generator and kept in the cache."""
    composites = args.composites or args.generator.with_name(COMPOSITES_FILE)
    key = f"{sha256_of(args.generator)[:8]}-{sha256_of(composites)[:8]}-{args.crops}"
    path = args.cache / f"looks-{key}.npy"
    if path.exists():
        kept: Faces = np.load(path, mmap_mode="r")
        return kept
    args.cache.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(0).permutation(usable_rows(args.data))[: args.crops]
    encoder = args.encoder.with_suffix(".json")
    drawing = LooksFaces(
        args.generator, encoder, composites=composites, threads=args.threads, seed=args.seed
    )
    out = np.empty((len(rows), FACES_A_CROP, HALF_PX, HALF_PX, 3), np.uint8)
    done = 0
    for part in drawing.of(read_train_crops(args.data, rows)):
        out[done : done + len(part)] = part
        done += len(part)
        _LOG.info("drew faces into %d of %d crops", done, len(rows))
    np.save(path, out)
    return out


def _train(args: argparse.Namespace, net: LooksNet, faces: Faces, held_out: Faces) -> None:
    adam = torch.optim.AdamW(net.parameters(), args.rate, weight_decay=0.02)
    parts: dict[str, nn.Module | torch.optim.Optimizer] = {"net": net, "optimizer": adam}
    step = first = resume(args.out, parts)
    start, limit_s, mean = time.monotonic(), args.minutes * 60, np.zeros(2)
    while step * args.batch < args.images and time.monotonic() - start < limit_s:
        done = max(step * args.batch / args.images, (time.monotonic() - start) / limit_s)
        warm = (step - first + 1) / 50
        set_rate(adam, args.rate * min(warm, 0.001 + 0.5 * (1.0 + np.cos(np.pi * done))))
        rng = np.random.default_rng([args.seed, step])
        rows = rng.choice(len(faces), args.batch, replace=False)
        with half_precision():
            views = disturbed(faces[np.sort(rows)], rng)
            scores = net(views.flatten(0, 1)).view(len(rows), -1)
            loss, right = looks_loss(scores.float())
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        now = np.array([loss.item(), right.item()])
        mean = 0.98 * mean + 0.02 * now if mean.any() else now
        step += 1
        if step % _LOG_EVERY == 0:
            row = {"step": step, "seconds": time.monotonic() - start, "loss": mean[0]}
            append_csv(args.out / "curve.csv", row | {"right_order": mean[1]})
        if step % _SAVE_EVERY == 0:
            save_parts(args.out, parts, step)
            _LOG.info(json.dumps({"step": step, "held_out": round(right_order(net, held_out), 3)}))
    save_parts(args.out, parts, step)


def disturbed(faces: Faces, rng: np.random.Generator) -> Tensor:
    """Faces of some crops as float, each crop mirrored, lit, moved, blurred and noised in one way.

    Args:
        faces: (N, V, S, S, 3) uint8 RGB.
        rng: source of what is done.

    Returns:
        (N, V, 3, S, S) float32, about [-1, 1].
    """
    x = torch.from_numpy(np.ascontiguousarray(faces)).permute(0, 1, 4, 2, 3).float() / 127.5 - 1.0
    one = (len(x), 1, 1, 1, 1)
    is_mirrored = torch.from_numpy(rng.random(one) < 0.5)
    x = torch.where(is_mirrored, x.flip(-1), x)
    gain = torch.from_numpy(rng.uniform(0.7, 1.3, one)).float()
    offset = torch.from_numpy(rng.uniform(-0.1, 0.1, (len(x), 1, 3, 1, 1))).float()
    shift = tuple(int(s) for s in rng.integers(-_SHIFT_PX, _SHIFT_PX + 1, 2))
    x = torch.roll(x * gain + offset, shift, (-1, -2))
    blurred = nn.functional.interpolate(
        nn.functional.avg_pool2d(x.flatten(0, 1), 2), scale_factor=2.0, mode="bilinear"
    ).view_as(x)
    x = x + float(rng.random() * (rng.random() < 0.5)) * (blurred - x)
    noise = torch.from_numpy(rng.standard_normal(x.shape, np.float32))
    return x + 0.04 * float(rng.random()) * noise


def right_order(net: LooksNet, faces: Faces) -> float:
    """Share of (own face, other face) pairs of (N, V, 80, 80, 3) crops that a net has right."""
    net.eval()
    scores = scores_of(net, faces.reshape(-1, *faces.shape[2:])).reshape(len(faces), -1)
    net.train()
    return float((scores[:, :1] > scores[:, 1:]).mean())


if __name__ == "__main__":
    main()
