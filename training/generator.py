"""Train the face generator: ``python -m training.generator --data ../shared/faces --out RUN``.

With ``--rate 0`` only its critics learn, which do not ship: that warms them for weights that do.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import nn

from engines.identity_composites import IdentityComposites
from training.composites import COMPOSITES_FILE, bank_composites, load_composites, save_composites
from training.discriminator import Discriminator, FeatureCritic
from training.face_features import CHANNELS, FaceFeatures
from training.face_synthesis import FaceSynthesis
from training.generator_critics import Critics
from training.generator_data import Batch, FaceBank, Floats, identity_basis, load_bank
from training.generator_draws import Fakes
from training.generator_export import read_weights
from training.generator_feed import Feed
from training.generator_options import LossWeights, Mixture
from training.generator_sheet import save_sheet
from training.generator_steps import GeneratorTraining
from training.landmark_teacher import LandmarkTeacher
from training.landmarks66 import Landmarks66
from training.landmarks66_train import load_landmarks66
from training.losses_identity import IdentityReader, OwnReader, load_readers
from training.onnx_graph import OnnxGraph
from training.rebuild import rebuild_encoder
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

__all__ = ["main"]

_LOG_EVERY = 20
_WILD = 4.0
_Options = TypeVar("_Options", LossWeights, Mixture)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    args = _arguments(argv)
    cv2.setNumThreads(1)
    torch.manual_seed(args.seed)
    teachers = load_teachers(args.teachers)
    bank = load_bank(args.data, args.cache, teachers, args.encoder)
    with Feed(bank, batch=args.batch, seed=args.seed) as feed:  # before torch has threads
        torch.set_num_threads(args.threads)
        _run(args, _build(args, bank, load_readers(teachers)), bank, feed)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = run_parser(
        "training.generator", __doc__, out="build/generator", images=50_000, batch=16
    )
    parser.add_argument("--landmark-net", type=Path, default=Path("build/landmarks66"))
    parser.add_argument("--init", type=Path, help="start from weights: .onnx or .pt")
    parser.add_argument("--composites", type=Path, help="identity_composites.npy; default: made")
    parser.add_argument("--critic-rate", type=float, default=4e-4)
    parser.add_argument("--sheet-every", type=int, default=200)
    for group in (LossWeights(), Mixture()):
        for item in dataclasses.fields(group):
            value = getattr(group, item.name)
            parser.add_argument("--" + item.name.replace("_", "-"), type=type(value), default=value)
    return parser.parse_args(argv)


def _build(
    args: argparse.Namespace, bank: FaceBank, readers: tuple[IdentityReader, OnnxGraph]
) -> GeneratorTraining:
    if args.init is None:
        basis = torch.from_numpy(identity_basis(bank.identities))
        net = FaceSynthesis(basis, load_landmarks66(args.landmark_net))
    else:
        state = read_weights(args.init)
        net = FaceSynthesis(state["basis"], Landmarks66(folded=True))
        net.load_state_dict(state)
    critics = Critics(Discriminator(), FeatureCritic(CHANNELS))
    primary, features = readers[0], FaceFeatures(readers[1])
    encoder, inner_px = rebuild_encoder(args.encoder)
    own = OwnReader(encoder, inner_px=inner_px)
    teacher = LandmarkTeacher(args.teachers)
    for module in (net, critics, own, primary, features, teacher):
        module.to(args.device, memory_format=torch.channels_last)
    return GeneratorTraining(
        net=net,
        critics=critics,
        own=own,
        primary=primary,
        features=features,
        teacher=teacher,
        composites=_composites(args, bank, net.basis.cpu().numpy()),
        weights=_picked(args, LossWeights),
        mixture=_picked(args, Mixture),
        rng=np.random.default_rng(args.seed),
        generator=torch.Generator().manual_seed(args.seed),
    )


def _composites(args: argparse.Namespace, bank: FaceBank, basis: Floats) -> IdentityComposites:
    """Those of a file, or of the training faces; kept beside the run, for the export."""
    rows = load_composites(args.composites) if args.composites else bank_composites(bank, basis)
    args.out.mkdir(parents=True, exist_ok=True)
    save_composites(args.out / COMPOSITES_FILE, rows)
    return IdentityComposites(rows)


def _picked(args: argparse.Namespace, kind: type[_Options]) -> _Options:
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: getattr(args, name) for name in names})


def _run(args: argparse.Namespace, training: GeneratorTraining, bank: FaceBank, feed: Feed) -> None:
    average = AveragedModel(training.net, decay=0.998)
    learned = [p for p in training.net.parameters() if p.requires_grad]
    adam = torch.optim.Adam(learned, lr=args.rate, betas=(0.9, 0.99))
    critic_adam = torch.optim.Adam(training.critics.parameters(), args.critic_rate, (0.0, 0.99))
    parts: dict[str, Any] = {
        "net": training.net,
        "average": average.model,
        "critics": training.critics,
        "optimizer-net": adam,
        "optimizer-critic": critic_adam,
    }
    step = resume(args.out, parts)
    curve = "curve.csv" if args.rate else "critics.csv"  # the columns differ
    first, start, limit_s = step, time.monotonic(), args.minutes * 60
    while step * args.batch < args.images and time.monotonic() - start < limit_s:
        done = max(step * args.batch / args.images, (time.monotonic() - start) / limit_s)
        warm = (step - first + 1) / 100
        set_rate(adam, args.rate * min(1.0, warm, 0.03 + 1.5 * (1.0 - done)))
        _step(args, training, feed, (adam, critic_adam), step)
        average.update(training.net, step=step)
        step += 1
        # Not before every loss was in use: the first row names the columns.
        if step % _LOG_EVERY == 0 and step > first + args.adversarial_from + _LOG_EVERY:
            row = {"step": step, "images": step * args.batch, "seconds": time.monotonic() - start}
            append_csv(args.out / curve, row | dict(sorted(training.log.items())))
        if step % args.sheet_every == 0:
            save_sheet(args.out / f"sheet-{step:06d}.png", average.model, bank, training.composites)
            save_parts(args.out, parts, step)
        if step % (10 * args.sheet_every) == 0:  # to go back to, should a run collapse
            torch.save(half_state(average.model), args.out / f"snapshot-{step:06d}.pt")
    save_parts(args.out, parts, step)
    torch.save(half_state(average.model), args.out / "generator.pt")


def _step(
    args: argparse.Namespace,
    training: GeneratorTraining,
    feed: Feed,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    step: int,
) -> None:
    batch = feed.take(args.device)
    adam, critic_adam = optimizers
    if not args.rate:
        with half_precision(args.device):
            fakes = training.fakes(batch, step)
        _critic_step(args, training, batch, fakes, critic_adam)
        return
    with half_precision(args.device):
        loss, fakes = training.losses(batch, step)
    adam.zero_grad(set_to_none=True)
    loss.backward()
    norm = float(nn.utils.clip_grad_norm_(training.net.parameters(), 1.0))
    usual = training.log.setdefault("gradient", norm)
    # One odd batch must not spoil the critic and Adam's averages.
    if not norm < _WILD * max(usual, 1.0):
        return
    training.log["gradient"] = 0.98 * usual + 0.02 * norm
    adam.step()
    if step % training.mixture.critic_every == 0:
        _critic_step(args, training, batch, fakes, critic_adam)


def _critic_step(
    args: argparse.Namespace,
    training: GeneratorTraining,
    batch: Batch,
    fakes: Fakes,
    critic_adam: torch.optim.Optimizer,
) -> None:
    with half_precision(args.device):
        critic_loss = training.critic_loss(batch.crops, fakes)
    critic_adam.zero_grad(set_to_none=True)
    critic_loss.backward()
    critic_adam.step()


if __name__ == "__main__":
    main()
