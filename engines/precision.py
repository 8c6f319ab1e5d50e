"""Precision: whether the CPU computes a network in float32 or in the INT8 form beside it.

`NAME-int8.json` beside `NAME.json` is that form. It belongs to one float32 file, whose hash it
names: after new weights it is not used until it has been made again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from engines.errors import EngineLoadError
from engines.manifest import ModelManifest, load_manifest

__all__ = [
    "INT8_COMMAND",
    "Arithmetic",
    "Precision",
    "cpu_form",
    "has_amx",
    "int8_arithmetic",
    "int8_form",
    "openvino_precision",
]

Precision = Literal["auto", "fp32", "int8"]
Arithmetic = Literal["exact", "overflows", "unknown"]

INT8_COMMAND: Final = "run_stream.py export convert int8"
_CPUINFO: Final = Path("/proc/cpuinfo")
# Instructions that sum four products of bytes in 32 bits. Before them x86 sums pairs in 16 bits,
# which overflows.
_DOT_PRODUCTS: Final = frozenset({"avx512_vnni", "avx_vnni"})
_AMX: Final = "amx_bf16"  # multiplies matrices of bfloat16


def int8_arithmetic(cpuinfo: Path = _CPUINFO) -> Arithmetic:
    """How this processor multiplies bytes; "unknown" for all but x86 under Linux.

    Args:
        cpuinfo: what the system says about its processors.
    """
    flags = _flags(cpuinfo)
    if flags is None:
        return "unknown"
    return "overflows" if _DOT_PRODUCTS.isdisjoint(flags) else "exact"


def has_amx(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether this processor multiplies matrices of bfloat16, as far as the system says.

    Args:
        cpuinfo: what the system says about its processors.
    """
    return _AMX in (_flags(cpuinfo) or ())


def openvino_precision(precision: Precision) -> Literal["fp32", "bf16"]:
    """What OpenVINO computes in: for "auto" bfloat16 where there is AMX."""
    return "bf16" if precision == "auto" and has_amx() else "fp32"


def _flags(cpuinfo: Path) -> frozenset[str] | None:
    """Instruction sets; None for all but x86 under Linux."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flags = (line.split(":")[1].split() for line in lines if line.startswith("flags"))
    return next((frozenset(names) for names in flags), None)


def int8_form(manifest: ModelManifest) -> ModelManifest:
    """The INT8 form of a network.

    Raises:
        EngineLoadError: there is none, or it was made from other weights.
    """
    path = manifest.path.with_name(f"{manifest.path.stem}-int8.json")
    made_again = f"make it with {INT8_COMMAND} --model {manifest.name}, see docs/how_to/int8.md"
    if not path.is_file():
        raise EngineLoadError(path, f"there is no INT8 form; {made_again}")
    form = load_manifest(path)
    if form.extra.get("made_from_sha256") != manifest.sha256:
        raise EngineLoadError(path, f"the INT8 form was made from other weights; {made_again}")
    return form


def cpu_form(
    manifest: ModelManifest, precision: Precision, *, cpuinfo: Path = _CPUINFO
) -> tuple[ModelManifest, str]:
    """Which form of a network the CPU is to run.

    Args:
        manifest: the network as it was exported.
        precision: "auto" takes INT8 where there is such a form and the processor sums its products
            exactly and fast, which is known of x86 with VNNI only; "fp32": the manifest as it is,
            as always when that is no float32 network itself.
        cpuinfo: see `int8_arithmetic`.

    Returns:
        The manifest to load, and for reports why, empty where there was nothing to choose.

    Raises:
        EngineLoadError: INT8 was asked for by name and cannot be had here.
    """
    if precision == "fp32" or manifest.extra.get("precision", "fp32") != "fp32":
        return manifest, ""
    arithmetic = int8_arithmetic(cpuinfo)
    try:
        form = int8_form(manifest)
        if arithmetic == "overflows":
            raise EngineLoadError(
                form.path,
                "this processor has no VNNI, so INT8 sums would overflow; use precision: fp32",
            )
    except EngineLoadError as exc:
        if precision == "int8":
            raise
        return manifest, f"float32: {exc.reason}"
    if precision == "auto" and arithmetic == "unknown":
        return manifest, "float32: not known whether INT8 pays on this processor"
    return form, "INT8: asked for" if precision == "int8" else "INT8: this processor has VNNI"
