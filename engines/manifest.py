"""Model manifests: what a weights file is, and the hash it must have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engines.arrays import Float32Array
from engines.errors import EngineLoadError

__all__ = [
    "WEIGHTS_FOLDER",
    "ModelManifest",
    "companion_array",
    "load_manifest",
    "sha256_of",
    "verified_model_bytes",
]

WEIGHTS_FOLDER = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """Facts about one model file, read from the JSON beside it.

    Attributes:
        name: "detector", "encoder" or "generator".
        version: version of the weights.
        path: the ONNX file.
        sha256: hex digest the file must have; empty for a model that the user dropped in.
        mean: subtracted from RGB pixel values 0..255.
        std: divides the difference.
        input_size_hw: fixed input size in pixels, None when free.
        extra: all further entries, such as score thresholds.
    """

    name: str
    version: str
    path: Path
    sha256: str
    mean: float
    std: float
    input_size_hw: tuple[int, int] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


_KNOWN = {"name", "version", "file", "sha256", "mean", "std", "input_size_hw"}


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_manifest(path: Path) -> ModelManifest:
    """Read `NAME.json`.

    Raises:
        EngineLoadError: the file is missing or incomplete.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        size = raw.get("input_size_hw")
        return ModelManifest(
            name=raw["name"],
            version=str(raw["version"]),
            path=path.parent / raw["file"],
            sha256=raw["sha256"],
            mean=float(raw["mean"]),
            std=float(raw["std"]),
            input_size_hw=None if size is None else (int(size[0]), int(size[1])),
            extra={key: value for key, value in raw.items() if key not in _KNOWN},
        )
    except OSError as exc:
        raise EngineLoadError(path, f"manifest cannot be read ({exc.strerror})") from exc
    except (KeyError, TypeError, ValueError) as exc:
        raise EngineLoadError(path, f"manifest is incomplete ({exc})") from exc


def companion_array(extra: Mapping[str, object], name: str, folder: Path) -> Float32Array | None:
    """An array in a file that a manifest names, with its hash; None if it names none.

    Args:
        extra: further entries of the manifest; `extra[name]` has "file" and "sha256".
        name: the entry.
        folder: where the file lies.

    Raises:
        EngineLoadError: missing file or wrong hash.
    """
    entry = extra.get(name)
    if not isinstance(entry, dict):
        return None
    path = folder / str(entry["file"])
    if not path.is_file() or sha256_of(path) != entry["sha256"]:
        raise EngineLoadError(path, "missing, or its SHA-256 differs from the manifest")
    return np.asarray(np.load(path, allow_pickle=False), np.float32)


def verified_model_bytes(manifest: ModelManifest) -> bytes:
    """The model file, after its hash was compared with the manifest.

    The bytes that were hashed are the bytes that are loaded, so the file cannot be exchanged
    in between.

    Raises:
        EngineLoadError: missing file or wrong hash.
    """
    try:
        data = manifest.path.read_bytes()
    except OSError as exc:
        raise EngineLoadError(manifest.path, f"cannot be read ({exc.strerror})") from exc
    if manifest.sha256 and hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise EngineLoadError(
            manifest.path,
            "SHA-256 differs from its manifest, so the file was changed or is damaged; "
            "reinstall veilstream",
        )
    return data
