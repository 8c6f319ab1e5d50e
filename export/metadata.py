"""What an exported ONNX file says about itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import onnx

from engines.manifest import ModelManifest, sha256_of

__all__ = ["publish", "publish_derived", "read_metadata", "training_commit", "write_metadata"]

_ROOT: Final = Path(__file__).resolve().parents[1]
_PREFIX: Final = "veilstream."
_LICENCE: Final = "Apache-2.0"  # of all weights that ship


def publish(
    path: Path,
    *,
    version: str,
    facts: Mapping[str, Any],
    name: str | None = None,
    licence: str = _LICENCE,
    commit: str | None = None,
    stamped: Collection[str] = (),
) -> Path:
    """Name a finished ONNX file of ours as what it is, inside and in a manifest beside it.

    Args:
        path: the file. It is changed, then hashed.
        version: version of the weights.
        facts: further entries of the manifest, in this order.
        name: name of the model; None: the file's stem.
        licence: SPDX name of the weights' licence.
        commit: of the code that trained it; None: of the code that is running.
        stamped: which of the facts are written into the file, too.

    Returns:
        The manifest's path.
    """
    name = name or path.stem
    write_metadata(
        path,
        name=name,
        version=version,
        licence=licence,
        commit=commit,
        facts={key: facts[key] for key in stamped},
    )
    head = {
        "name": name,
        "version": version,
        "file": path.name,
        "sha256": sha256_of(path),
        "licence": licence,
    }
    manifest = path.with_suffix(".json")
    text = json.dumps({**head, **facts}, indent=2) + "\n"
    manifest.write_text(text, encoding="utf-8")
    return manifest


def publish_derived(
    path: Path,
    origin: ModelManifest,
    *,
    version: str,
    facts: Mapping[str, Any],
    name: str | None = None,
    stamped: Collection[str] = (),
) -> Path:
    """The same for a file made from a published model: licence and training are that model's.

    The manifest says from which file it was made, and how its inputs are prepared.
    """
    inherited = {
        "mean": origin.mean,
        "std": origin.std,
        "input_size_hw": origin.input_size_hw,
        "made_from_sha256": sha256_of(origin.path),
    }
    return publish(
        path,
        version=version,
        facts={**facts, **inherited},
        name=name,
        licence=str(origin.extra.get("licence", "unknown")),
        commit=read_metadata(origin.path).get("training_commit", "unknown"),
        stamped=stamped,
    )


def training_commit() -> str:
    """Commit of the code that is running; "unknown" outside a checkout.

    A trailing "+" says that files differed from the commit.
    """
    git = shutil.which("git")
    if git is None:
        return "unknown"
    commit = _ask(git, "rev-parse", "HEAD")
    if not commit:
        return "unknown"
    changed = _ask(git, "status", "--porcelain", "--untracked-files=no", "--", "training")
    return commit + ("+" if changed else "")


def _ask(git: str, *args: str) -> str:
    command = [git, "-C", str(_ROOT), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def write_metadata(
    path: Path,
    *,
    name: str,
    version: str,
    licence: str,
    commit: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write name, version, licence, inputs, outputs and training commit into an ONNX file.

    Changes the file, so do it before its hash goes into a manifest.

    Args:
        path: the file.
        name: name of the model.
        version: version of the weights.
        licence: SPDX name of the weights' licence.
        commit: of the code that trained it; None: of the code that is running.
        facts: further entries; values become JSON.
    """
    model = onnx.load(str(path))
    entries = {
        "name": name,
        "version": version,
        "licence": licence,
        "training_commit": training_commit() if commit is None else commit,
        "inputs": json.dumps(_shapes(model.graph.input)),
        "outputs": json.dumps(_shapes(model.graph.output)),
        **{key: json.dumps(value) for key, value in (facts or {}).items()},
    }
    kept = [p for p in model.metadata_props if not p.key.startswith(_PREFIX)]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in entries.items():
        model.metadata_props.add(key=_PREFIX + key, value=value)
    onnx.save(model, str(path))


def read_metadata(path: Path) -> dict[str, str]:
    """Entries that `write_metadata` wrote, without their prefix."""
    model = onnx.load(str(path), load_external_data=False)
    return {
        p.key.removeprefix(_PREFIX): p.value
        for p in model.metadata_props
        if p.key.startswith(_PREFIX)
    }


def _shapes(tensors: Any) -> dict[str, list[int | str]]:  # noqa: ANN401 - onnx protos are untyped
    return {
        tensor.name: [
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
            for dim in tensor.type.tensor_type.shape.dim
        ]
        for tensor in tensors
    }
