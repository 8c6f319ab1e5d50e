"""Train R, the reader of wanted identities: ``python -m training.reader --data ../shared/faces``.

The generator is frozen: new faces of it are drawn for people of the training set under random keys,
and R learns to say which identity each was drawn for, before it was moved towards people.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn

from engines.identity_composites import IdentityComposites
from training.composites import COMPOSITES_FILE, load_composites
from training.face_synthesis import FaceSynthesis
from training.generator_data import Batch, load_bank
from training.generator_export import load_net
from training.generator_feed import Feed
from training.keyed_identities import people_like, randomly_turned
from training.losses_identity import declare_vision_operators
from training.losses_image import composite
from training.read_back import ReadBack, read_back_loss
from training.run_options import run_parser
from training.runtime import (
    AveragedModel,
    append_csv,
    half_precision,
    half_state,
    resume,
    save_parts,
    set_rate,
)
from training.teachers import load_teachers

__all__ = ["drawn_faces", "main"]

_LOG_EVERY = 20
_SAVE_EVERY = 200
_PEOPLE_RATIO = 0.5
_MOST_PEOPLE_WEIGHT = 1.2


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    args = _arguments(argv)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    declare_vision_operators()
    bank = load_bank(args.data, args.cache, load_teachers(args.teachers), args.encoder)
    with Feed(bank, batch=args.batch, seed=args.seed) as feed:  # before torch has threads
        torch.set_num_threads(args.threads)
        _run(args, feed)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = run_parser("training.reader", __doc__, out="build/reader", images=60_000, batch=32)
    parser.add_argument("--generator", type=Path, default=Path("engines/weights/generator.onnx"))
    parser.add_argument("--composites", type=Path, help="default: beside the generator")
    parser.add_argument("--init", type=Path, help="start from this reader.onnx; default: E_id")
    return parser.parse_args(argv)


@torch.no_grad()
def drawn_faces(
    net: FaceSynthesis,
    batch: Batch,
    generator: torch.Generator,
    *,
    composites: IdentityComposites | None = None,
) -> tuple[Tensor, Tensor]:
    """New faces of a batch under random keys and angles, and what each was drawn for.

    Args:
        net: The generator.
        batch: Crops and identities.
        generator: Source of keys, angles and weights.
        composites: What half of the identities are moved towards before they are drawn, by random
            weights; None: all are drawn as they were turned.

    Returns:
        Faces (N, 3, 160, 160) in [-1, 1] as they go into the frame; turned identities (N, 512).
    """
    wanted = randomly_turned(batch.identities, net.basis, generator)
    drawn = wanted
    if composites is not None:
        draws = torch.rand((2, len(wanted)), generator=generator)
        weights = _MOST_PEOPLE_WEIGHT * draws[0] * (draws[1] < _PEOPLE_RATIO)
        drawn = people_like(wanted, net.basis, composites, weights)
    face, alpha = net(batch.crops, drawn)
    return composite(face.float(), alpha.float(), batch.crops), wanted


def _run(args: argparse.Namespace, feed: Feed) -> None:
    net = load_net(args.generator).to(args.device, memory_format=torch.channels_last)
    rows = load_composites(args.composites or args.generator.with_name(COMPOSITES_FILE))
    composites = IdentityComposites(rows)
    reader = ReadBack.of_encoder(args.init or args.encoder)
    reader.to(args.device, memory_format=torch.channels_last)
    average = AveragedModel(reader, decay=0.998)
    adam = torch.optim.Adam(reader.parameters(), args.rate, (0.9, 0.99))
    parts = {"reader": reader, "average": average.model, "optimizer": adam}
    step = resume(args.out, parts)
    generator = torch.Generator().manual_seed(args.seed + step)
    first, start, limit_s, mean = step, time.monotonic(), args.minutes * 60, 0.0
    while step * args.batch < args.images and time.monotonic() - start < limit_s:
        done = max(step * args.batch / args.images, (time.monotonic() - start) / limit_s)
        warm = (step - first + 1) / 50
        set_rate(adam, args.rate * min(1.0, warm, 0.02 + 1.6 * (1.0 - done)))
        batch = feed.take(args.device)
        with half_precision(args.device):
            drawn = drawn_faces(net, batch, generator, composites=composites)
        near = _step(args, drawn, reader, adam, generator)
        mean = 0.98 * mean + 0.02 * near if mean else near
        average.update(reader, step=step)
        step += 1
        if step % _LOG_EVERY == 0:
            row = {"step": step, "images": step * args.batch, "seconds": time.monotonic() - start}
            append_csv(args.out / "curve.csv", row | {"cosine": mean})
        if step % _SAVE_EVERY == 0:
            save_parts(args.out, parts, step)
    save_parts(args.out, parts, step)
    torch.save(half_state(average.model), args.out / "reader.pt")


def _step(
    args: argparse.Namespace,
    drawn: tuple[Tensor, Tensor],
    reader: ReadBack,
    adam: torch.optim.Optimizer,
    generator: torch.Generator,
) -> float:
    """One step; the mean cosine that it started from."""
    with half_precision(args.device):
        loss, near = read_back_loss(reader, *drawn, generator)
    adam.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
    adam.step()
    return float(near.detach())


if __name__ == "__main__":
    main()
