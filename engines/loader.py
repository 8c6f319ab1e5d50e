"""From a model manifest and a provider name to a running engine.

Backends are imported on demand, so that `run_stream.py --help` needs none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from engines.errors import EngineLoadError
from engines.manifest import ModelManifest, verified_model_bytes
from engines.protocols import Engine

__all__ = ["Provider", "load_engine"]

Provider = Literal["auto", "cpu", "cuda", "openvino", "tensorrt"]


def load_engine(
    manifest: ModelManifest,
    *,
    provider: Provider = "auto",
    threads: int = 0,
    cache_folder: Path | None = None,
) -> Engine:
    """Verify a model and start it.

    Args:
        manifest: which model.
        provider: where to run; "auto" takes the first of CUDA and CPU that is there, and
            `describe()` says which and why.
        threads: CPU threads of one call; 0 lets the backend decide.
        cache_folder: where TensorRT keeps built engines.

    Raises:
        EngineLoadError: wrong hash, or a provider that was asked for by name cannot run here.
    """
    data = verified_model_bytes(manifest)
    if provider == "auto":
        chosen, reason = _choose()
        return _load_ort(manifest, data, chosen, threads, reason)
    if provider in ("cpu", "cuda"):
        return _load_ort(manifest, data, provider, threads, "asked for")
    if provider == "openvino":
        raise EngineLoadError(
            manifest.path, "the OpenVINO back end does not exist yet; use provider: cpu"
        )
    return _load_tensorrt(manifest, data, cache_folder)


def _choose() -> tuple[str, str]:
    from engines.ort_engine import available_ort_providers

    available = available_ort_providers()
    if "CUDAExecutionProvider" in available:
        return "cuda", "auto: ONNX Runtime offers CUDA"
    return "cpu", "auto: this ONNX Runtime build has no CUDA provider"


def _load_ort(
    manifest: ModelManifest, data: bytes, provider: str, threads: int, reason: str
) -> Engine:
    from engines.ort_engine import OrtEngine

    return OrtEngine(
        data,
        manifest.path,
        model_name=f"{manifest.name} {manifest.version}",
        provider=provider,
        threads=threads,
        reason=reason,
        precision=str(manifest.extra.get("precision", "fp32")),
    )


def _load_tensorrt(manifest: ModelManifest, data: bytes, cache_folder: Path | None) -> Engine:
    raise EngineLoadError(
        manifest.path,
        "the TensorRT back end does not exist yet; use provider: auto, cpu or cuda",
    )
