"""From a model manifest and a provider name to a running engine.

Backends are imported on demand, so that `run_stream.py --help` needs none of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, get_args

from engines.errors import EngineLoadError
from engines.manifest import ModelManifest, verified_model_bytes
from engines.precision import Precision, cpu_form, openvino_precision
from engines.protocols import Engine

__all__ = ["Provider", "load_engine"]

Provider = Literal["auto", "cpu", "cuda", "openvino", "tensorrt"]

_LOG = logging.getLogger(__name__)
# OpenVINO has to be asked for: it needs less processor time and more memory, and that only where
# there is AMX (docs/decisions/0087-openvino-on-amx.md).
_AUTO_ORDER: Final = ("tensorrt", "cuda", "cpu")


def load_engine(
    manifest: ModelManifest,
    *,
    provider: Provider = "auto",
    threads: int = 0,
    cache_folder: Path | None = None,
    precision: Precision = "fp32",
    quantised: bool = True,
    shared: Path | None = None,
) -> Engine:
    """Verify a model and start it.

    Args:
        manifest: which model.
        provider: where to run; "auto" takes the first of TensorRT, CUDA and CPU that can run it,
            and `describe()` says which, and why not those before it.
        threads: CPU threads of one call; 0 lets the backend decide.
        cache_folder: where TensorRT keeps built engines; None: the user's cache folder.
        precision: what a CPU computes with, see `engines.precision`; "fp32" is the file that the
            manifest names.
        quantised: whether an INT8 form of the network may be taken.
        shared: socket of an engine server that is to run it; see `engines.shared_server`.

    Raises:
        EngineLoadError: wrong hash, or a provider or precision that was asked for by name cannot
            be had here.
    """
    if provider not in get_args(Provider):
        raise ValueError(f"provider is {provider!r}, known are {', '.join(get_args(Provider))}")
    if shared is not None:
        from engines.shared_engine import SharedEngine

        return SharedEngine(
            manifest,
            shared,
            provider=provider,
            precision=precision,
            quantised=quantised,
            cache_folder=cache_folder,
        )
    data = verified_model_bytes(manifest)

    def load(name: str, reason: str) -> Engine:
        _require_possible(manifest, name, precision)
        if name == "tensorrt":
            return _load_tensorrt(manifest, data, reason, cache_folder)
        if name == "openvino":
            return _load_openvino(manifest, data, reason, threads, precision)
        is_cpu = name == "cpu" and quantised
        form, note = cpu_form(manifest, precision) if is_cpu else (manifest, "")
        graph = data if form is manifest else verified_model_bytes(form)
        return _load_ort(form, graph, name, "; ".join(filter(None, (reason, note))), threads)

    return load(provider, "asked for") if provider != "auto" else _first_possible(manifest, load)


def _first_possible(manifest: ModelManifest, load: Callable[[str, str], Engine]) -> Engine:
    """What "auto" takes, told why.

    Args:
        manifest: which model.
        load: provider and reason to a running engine.
    """
    refused: list[str] = []
    for name in _AUTO_ORDER[:-1]:
        reason = "; ".join(["auto: the first that can run here", *refused])
        try:
            return load(name, reason)
        except EngineLoadError as exc:
            _LOG.debug("%s: no %s: %s", manifest.name, name, exc.reason)
            refused.append(f"no {name}: {exc.reason}")
    reason = "; ".join(["auto: the last resort", *refused])
    return load(_AUTO_ORDER[-1], reason)


def _require_possible(manifest: ModelManifest, provider: str, precision: Precision) -> None:
    """Refuse what a provider cannot do, before its back end is imported."""
    only = manifest.extra.get("only_provider", provider)
    if only != provider:
        raise EngineLoadError(manifest.path, f"was quantised for {only}, not for {provider}")
    if precision == "int8" and provider != "cpu":
        raise EngineLoadError(
            manifest.path,
            "precision: int8 is a choice for the CPU; elsewhere the graph that "
            "identity.generator names decides",
        )


def _load_openvino(
    manifest: ModelManifest, data: bytes, reason: str, threads: int, precision: Precision
) -> Engine:
    from engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(
        data,
        manifest.path,
        model_name=f"{manifest.name} {manifest.version}",
        threads=threads,
        reason=reason,
        precision=openvino_precision(precision),
    )


def _load_ort(
    manifest: ModelManifest, data: bytes, provider: str, reason: str, threads: int
) -> Engine:
    from engines.ort_engine import OrtEngine

    return OrtEngine(
        data,
        manifest.path,
        model_name=f"{manifest.name} {manifest.version}",
        provider=provider,
        threads=threads,
        reason=reason,
        precision=_precision(manifest),
    )


def _load_tensorrt(
    manifest: ModelManifest, data: bytes, reason: str, cache_folder: Path | None
) -> Engine:
    # Says what is missing before anything of TensorRT is imported by others.
    from engines.trt_runtime import open_tensorrt

    runtime = open_tensorrt(manifest.path)
    from engines.trt_cache import EngineCache, default_cache_folder
    from engines.trt_engine import TrtEngine
    from engines.trt_profile import ShapeLimits

    return TrtEngine(
        data,
        manifest.path,
        runtime=runtime,
        model_name=f"{manifest.name} {manifest.version}",
        precision=_precision(manifest),
        limits=ShapeLimits.from_manifest(manifest.extra),
        cache=EngineCache(cache_folder or default_cache_folder()),
        reason=reason,
    )


def _precision(manifest: ModelManifest) -> str:
    return str(manifest.extra.get("precision", "fp32"))
