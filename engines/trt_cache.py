"""Files of built TensorRT engines, each used only for exactly what it was built from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engines.trt_profile import ShapeLimits

__all__ = ["EngineCache", "EngineKey", "default_cache_folder", "write_atomically"]

_LOG = logging.getLogger(__name__)
_FORMAT: Final = 1
_KEY_CHARS: Final = 20


@dataclass(frozen=True, slots=True)
class EngineKey:
    """What an engine was built from and for; a difference in any entry means another engine.

    Attributes:
        model: name of the model, for the file's name.
        model_sha256: hex digest of the ONNX file.
        device_name: product name of the GPU.
        trt_version: full version of TensorRT.
        precision: "fp32", "fp16" or "int8".
        limits: range of free sizes.
    """

    model: str
    model_sha256: str
    device_name: str
    trt_version: str
    precision: str
    limits: ShapeLimits

    def facts(self) -> dict[str, object]:
        """Everything as JSON values."""
        return {**json.loads(json.dumps(asdict(self))), "format": _FORMAT}

    def file_name(self) -> str:
        """Name of the file, which changes with every entry."""
        text = json.dumps(self.facts(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:_KEY_CHARS]
        return f"{self.model}-{self.precision}-{digest}.engine"


def default_cache_folder() -> Path:
    """Where built engines go unless the configuration says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "veilstream" / "tensorrt"


class EngineCache:
    """A folder of built engines.

    A file is one line of JSON with the key and the SHA-256 of the rest, then the engine. The hash
    finds damaged files before TensorRT does, which may crash on them. It does not protect against
    whoever may write to the folder: engines are programs, so keep it your own.

    Args:
        folder: made when the first engine is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def timing_file(self, key: EngineKey) -> Path:
        """Timing cache of a device and a version, shared by all models."""
        text = f"{key.device_name} {key.trt_version}"
        return self._folder / f"timing-{hashlib.sha256(text.encode()).hexdigest()[:12]}.cache"

    def load(self, key: EngineKey) -> bytes | None:
        """A stored engine; None if there is none, or it is damaged or of another key."""
        path = self._folder / key.file_name()
        try:
            head, _, plan = path.read_bytes().partition(b"\n")
            stored = json.loads(head)
        except (OSError, ValueError):
            return None
        if stored != {**key.facts(), "plan_sha256": hashlib.sha256(plan).hexdigest()}:
            _LOG.warning("built engine %s is damaged; building it again", path.name)
            return None
        return plan

    def store(self, key: EngineKey, plan: bytes) -> None:
        """Keep an engine; a folder that cannot be written costs only the next start's time."""
        head = {**key.facts(), "plan_sha256": hashlib.sha256(plan).hexdigest()}
        data = json.dumps(head, sort_keys=True).encode() + b"\n" + plan
        write_atomically(self._folder / key.file_name(), data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a cache file so that nobody ever sees half of it; failure is only logged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(draft).replace(path)
    except OSError as exc:
        _LOG.warning("cannot keep %s for the next start: %s", path, exc.strerror)
