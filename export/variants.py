"""Variants of a shipped model that compute in float16 or INT8, with manifests of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, get_args

import onnx
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from engines.arrays import AnyArray
from engines.manifest import ModelManifest
from export.metadata import publish_derived
from export.quantize import quantize_int8, recipe_for

__all__ = ["VARIANTS", "Variant", "precision_of", "write_variant", "write_variant_with_manifest"]

Variant = Literal["fp16", "int8", "int8-tensorrt"]
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)


def precision_of(variant: Variant) -> str:
    """What a variant computes in: "fp16" or "int8"."""
    return variant.split("-")[0]


def write_variant(
    manifest: ModelManifest,
    target: Path,
    variant: Variant,
    batches: Sequence[Mapping[str, AnyArray]],
) -> None:
    """Write a model that computes in another precision; inputs and outputs stay float32.

    Args:
        manifest: the shipped model, whose name chooses what is quantised.
        target: file to write.
        variant: "fp16", "int8" (QDQ form for ONNX Runtime on CPUs) or "int8-tensorrt" (QDQ form
            kept to what TensorRT takes from a graph).
        batches: inputs for the calibration of INT8.

    Raises:
        ValueError: the model is not what its name says, so that the choice does not fit.
    """
    source = manifest.path
    if precision_of(variant) == "int8":
        quantize_int8(
            source,
            target,
            batches,
            recipe=recipe_for(manifest.name),
            for_tensorrt=variant == "int8-tensorrt",
        )
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
    """Write `STEM-VARIANT.onnx` and its manifest, which names precision and origin.

    Returns:
        The manifest's path.

    Raises:
        ValueError: see `write_variant`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{manifest.path.stem}-{variant}.onnx"
    write_variant(manifest, target, variant, batches)
    facts: dict[str, Any] = {**manifest.extra, "precision": precision_of(variant)}
    if variant == "int8":  # other back ends take no unsigned activations
        facts["only_provider"] = "cpu"
    _keep_companions(manifest, folder)
    return publish_derived(
        target,
        manifest,
        name=manifest.name,
        version=f"{manifest.version}-{variant}",
        facts=facts,
        stamped=("precision", "made_from_sha256"),
    )


def _keep_companions(manifest: ModelManifest, folder: Path) -> None:
    """Files that a manifest names, such as the identity basis, lie beside it."""
    for value in manifest.extra.values():
        if isinstance(value, dict) and isinstance(value.get("file"), str):
            source = manifest.path.parent / value["file"]
            if source.is_file() and source.parent.resolve() != folder.resolve():
                (folder / source.name).write_bytes(source.read_bytes())
