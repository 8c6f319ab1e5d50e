"""Variants of a shipped model that compute in float16 or INT8, with manifests of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, get_args

import onnx
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from engines.arrays import AnyArray
from engines.manifest import ModelManifest, sha256_of
from export.quantize import quantize_int8

__all__ = ["VARIANTS", "Variant", "write_variant", "write_variant_with_manifest"]

Variant = Literal["fp16", "int8"]
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)


def write_variant(
    source: Path, target: Path, variant: Variant, batches: Sequence[Mapping[str, AnyArray]]
) -> None:
    """Write a model that computes in another precision; inputs and outputs stay float32.

    Args:
        source: the shipped ONNX file.
        target: file to write.
        variant: "fp16" or "int8" (QDQ form, kept to what TensorRT takes from a graph).
        batches: inputs for the calibration of INT8.
    """
    if variant == "int8":
        quantize_int8(source, target, batches, for_tensorrt=True)
        return
    with TemporaryDirectory() as folder:
        # Folds the casts of weights stored as float16, which the converter would trip over.
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
    onnx.save(convert_float_to_float16(model, keep_io_types=True), str(target))


def write_variant_with_manifest(
    manifest: ModelManifest,
    folder: Path,
    variant: Variant,
    batches: Sequence[Mapping[str, AnyArray]],
) -> Path:
    """Write `NAME-VARIANT.onnx` and its manifest, which names the precision.

    Returns:
        The manifest's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{manifest.name}-{variant}.onnx"
    write_variant(manifest.path, target, variant, batches)
    facts: dict[str, Any] = {
        **manifest.extra,
        "name": manifest.name,
        "version": f"{manifest.version}-{variant}",
        "file": target.name,
        "sha256": sha256_of(target),
        "mean": manifest.mean,
        "std": manifest.std,
        "input_size_hw": manifest.input_size_hw,
        "precision": variant,
    }
    _keep_companions(manifest, folder, facts)
    written = target.with_suffix(".json")
    written.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return written


def _keep_companions(manifest: ModelManifest, folder: Path, facts: Mapping[str, Any]) -> None:
    """Files that a manifest names, such as the identity basis, lie beside it."""
    for value in facts.values():
        if isinstance(value, dict) and isinstance(value.get("file"), str):
            source = manifest.path.parent / value["file"]
            if source.is_file() and source.parent != folder:
                (folder / source.name).write_bytes(source.read_bytes())
