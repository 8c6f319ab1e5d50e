"""Checkpoints, averaged weights and logged curves that every training shares."""

from __future__ import annotations

import copy
import csv
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

__all__ = [
    "AveragedModel",
    "append_csv",
    "half_precision",
    "half_state",
    "load_checkpoint",
    "resume",
    "save_checkpoint",
    "save_parts",
    "set_rate",
]

ModelT = TypeVar("ModelT", bound=nn.Module)

_META = "checkpoint.json"
_SMALL = 4096


class AveragedModel(Generic[ModelT]):
    """Exponential moving average of a model's weights and buffers.

    Not safe for use from several threads.

    Args:
        model: The model to follow; a copy is kept in ``self.model``, in evaluation mode.
        decay: Weight of the past; lower during the first steps, so that the average can start.
    """

    def __init__(self, model: ModelT, *, decay: float) -> None:
        self.model: ModelT = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, *, step: int) -> None:
        """Move the average towards ``model`` after its ``step``-th step (from 0)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        ours, theirs = self.model.state_dict(), model.state_dict()
        for name, mean in ours.items():
            if mean.is_floating_point():
                mean.lerp_(theirs[name], 1 - keep)
            else:
                mean.copy_(theirs[name])


def half_precision(device: str = "cpu") -> torch.autocast:
    """Autocast to bfloat16, switched off on processors that have to emulate it.

    There a step takes nine times as long as in float32.
    """
    is_fast = device != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(device, dtype=torch.bfloat16, enabled=is_fast)


def append_csv(path: Path, row: Mapping[str, object]) -> None:
    """Add a row to a CSV file; the first row also writes the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def save_checkpoint(
    folder: Path, parts: Mapping[str, Any], *, step: int, extra: Mapping[str, object] | None = None
) -> None:
    """Write a checkpoint, one file for each part, so that every file stays small.

    Big tensors are stored as bfloat16 (names that start with ``optimizer``: their values span many
    decades) or float16. The index file is replaced last: a crash leaves the older checkpoint whole.

    Args:
        folder: Where to write; made when missing.
        parts: State dictionaries by name.
        step: Steps done; part of the file names.
        extra: Further JSON values to keep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, state in parts.items():
        dtype = torch.bfloat16 if name.startswith("optimizer") else torch.float16
        files[name] = f"{name}-{step}.pt"
        torch.save(_narrow(state, dtype), folder / files[name])
    meta = {"step": step, "files": files, "extra": dict(extra or {})}
    draft = folder / f"{_META}.new"
    draft.write_text(json.dumps(meta, indent=1), encoding="utf-8")
    os.replace(draft, folder / _META)
    for old in folder.glob("*-*.pt"):
        if old.name not in files.values():
            old.unlink()


def load_checkpoint(folder: Path) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
    """The newest checkpoint: step, parts (float32) and extra; None if there is none."""
    if not (folder / _META).exists():
        return None
    meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    parts = {
        name: _widen(torch.load(folder / file, map_location="cpu", weights_only=True))
        for name, file in meta["files"].items()
    }
    return int(meta["step"]), parts, dict(meta["extra"])


def resume(folder: Path, parts: Mapping[str, Any]) -> int:
    """Fill networks and optimisers from the newest checkpoint; its step, 0 if there is none."""
    found = load_checkpoint(folder)
    if found is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(found[1][name])
    return found[0]


def save_parts(folder: Path, parts: Mapping[str, Any], step: int) -> None:
    """Write a checkpoint of networks and optimisers that ``resume`` fills again."""
    save_checkpoint(folder, {name: part.state_dict() for name, part in parts.items()}, step=step)


def half_state(net: nn.Module) -> dict[str, Tensor]:
    """Weights for a small file: floats as float16."""
    return {n: v.half() if v.is_floating_point() else v for n, v in net.state_dict().items()}


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let an optimiser learn at this rate from here on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _narrow(value: object, dtype: torch.dtype) -> object:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() and value.numel() > _SMALL else value
    return _walk(value, lambda v: _narrow(v, dtype))


def _widen(value: object) -> object:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    return _walk(value, _widen)


def _walk(value: object, change: Callable[[object], object]) -> object:
    if isinstance(value, dict):
        return {k: change(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(change(v) for v in value)
    return value
