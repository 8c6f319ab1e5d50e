"""`export verify`: every way to run a shipped model, compared on recorded inputs."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import onnx
import onnxruntime as ort

from engines.arrays import AnyArray, UInt8Array
from engines.errors import EngineError, EngineLoadError
from engines.loader import load_engine
from engines.manifest import ModelManifest
from engines.precision import Precision, int8_arithmetic, int8_form, openvino_precision
from export.inputs import recorded_inputs
from export.parity import Difference, compare, tolerance_for
from export.parts import split_generator
from export.variants import VARIANTS, Variant, precision_of, write_variant

__all__ = ["RUNS", "ParityRow", "verify_model"]

# What ships is held to its tolerance; variants that nobody gets unless he asks are only shown. An
# INT8 form that lies beside its model ships too.
_SHIPPED: Final = ("unoptimised", "parts", "pytorch", "cuda", "openvino", "tensorrt")
RUNS: Final = (*_SHIPPED, *VARIANTS)
_HALF_CPUS: Final = ("aarch64", "arm64")  # where ONNX Runtime has float16 kernels
_Outputs = list[dict[str, AnyArray]]


@dataclass(frozen=True, slots=True)
class ParityRow:
    """One way to run one model.

    Attributes:
        model: name and version.
        run: "unoptimised", "parts" (E_attr, then G), "pytorch", "cuda", "openvino" (in bfloat16
            where that is what `auto` takes), "tensorrt", "fp16", "int8" (the shipped form where
            there is one) or "int8-tensorrt".
        difference: from ONNX Runtime on the CPU; None if it was not run.
        beyond: what is out of tolerance.
        counts: whether that makes the command fail.
        note: why it was not run.
    """

    model: str
    run: str
    difference: Difference | None
    beyond: tuple[str, ...]
    counts: bool
    note: str

    @property
    def is_good(self) -> bool:
        """False if this row makes the command fail."""
        return not (self.beyond and self.counts)

    def as_json(self) -> dict[str, Any]:
        """For the JSON report."""
        return {**asdict(self), "ok": self.is_good}


class _NotRunError(Exception):
    """This way cannot be gone here; the text says why."""


def verify_model(
    manifest: ModelManifest,
    pictures: Sequence[UInt8Array],
    *,
    runs: Sequence[str] | None = None,
) -> list[ParityRow]:
    """Run a model in every way there is and compare with ONNX Runtime on the CPU.

    Args:
        manifest: the model.
        pictures: (H, W, 3) uint8 RGB, the recorded pictures.
        runs: some of `RUNS`; None: all, where variants that do not ship do not count.

    Raises:
        EngineLoadError: the model itself cannot be loaded.
    """
    engine = load_engine(manifest, provider="cpu", threads=1)
    feeds = recorded_inputs(manifest, engine.inputs, pictures)
    wanted = [engine.infer(feed) for feed in feeds]
    engine.close()
    rows = []
    for run in runs or RUNS:
        try:
            difference = compare(wanted, _outputs(run, manifest, feeds))
        except (_NotRunError, ValueError) as exc:
            is_broken = isinstance(exc, ValueError)
            wrong: tuple[str, ...] = (str(exc),) if is_broken else ()
            rows.append(_row(manifest, run, None, wrong, runs, "" if is_broken else str(exc)))
            continue
        beyond = tuple(difference.beyond(tolerance_for(_precision(run))))
        rows.append(_row(manifest, run, difference, beyond, runs, ""))
    return rows


def _precision(run: str) -> str:
    """What a run computes in."""
    if run == "openvino":
        return openvino_precision("auto")
    return precision_of(run) if run in VARIANTS else "fp32"


def _row(
    manifest: ModelManifest,
    run: str,
    difference: Difference | None,
    beyond: tuple[str, ...],
    runs: Sequence[str] | None,
    note: str,
) -> ParityRow:
    ships = run in _SHIPPED or (run == "int8" and _shipped_int8(manifest) is not None)
    counts = runs is not None or ships
    return ParityRow(f"{manifest.name} {manifest.version}", run, difference, beyond, counts, note)


def _outputs(
    run: str, manifest: ModelManifest, feeds: Sequence[Mapping[str, AnyArray]]
) -> _Outputs:
    ways: dict[str, Callable[[ModelManifest, Sequence[Mapping[str, AnyArray]]], _Outputs]] = {
        "unoptimised": _unoptimised,
        "parts": _parts,
        "pytorch": _pytorch,
        "cuda": lambda m, f: _provider("cuda", m, f),
        "openvino": lambda m, f: _provider("openvino", m, f, precision="auto"),
        "tensorrt": lambda m, f: _provider("tensorrt", m, f),
        "int8": _int8,
        "fp16": lambda m, f: _variant("fp16", m, f),
        "int8-tensorrt": lambda m, f: _variant("int8-tensorrt", m, f),
    }
    return ways[run](manifest, feeds)


def _session(model: Path, level: Any, feeds: Sequence[Mapping[str, AnyArray]]) -> _Outputs:  # noqa: ANN401 - onnxruntime ships no types
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = level
    options.log_severity_level = 3
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(names, dict(f)), strict=True)) for f in feeds]


def _unoptimised(manifest: ModelManifest, feeds: Sequence[Mapping[str, AnyArray]]) -> _Outputs:
    return _session(manifest.path, ort.GraphOptimizationLevel.ORT_DISABLE_ALL, feeds)


def _parts(manifest: ModelManifest, feeds: Sequence[Mapping[str, AnyArray]]) -> _Outputs:
    fused = onnx.load(str(manifest.path))
    if {item.name for item in fused.graph.input} != {"crop", "identity"}:
        raise _NotRunError("there is one part only")
    level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.onnx" for number in range(2)]
        for path, part in zip(paths, split_generator(fused), strict=True):
            onnx.save(part, str(path))
        wanted = {item.name for item in onnx.load(str(paths[1])).graph.input}
        attributes = _session(paths[0], level, [{"crop": feed["crop"]} for feed in feeds])
        joined = [{**one, **feed} for one, feed in zip(attributes, feeds, strict=True)]
        picked = [{name: values[name] for name in wanted} for values in joined]
        return _session(paths[1], level, picked)


def _shipped_int8(manifest: ModelManifest) -> ModelManifest | None:
    try:
        return int8_form(manifest)
    except EngineLoadError:
        return None


def _int8(manifest: ModelManifest, feeds: Sequence[Mapping[str, AnyArray]]) -> _Outputs:
    """The INT8 form that ships; where there is none, one made for the purpose."""
    if int8_arithmetic() == "overflows":
        raise _NotRunError("this processor has no VNNI, so sums of INT8 would overflow")
    form = _shipped_int8(manifest)
    if form is None:
        return _variant("int8", manifest, feeds)
    return _session(form.path, ort.GraphOptimizationLevel.ORT_ENABLE_ALL, feeds)


def _variant(
    variant: Variant, manifest: ModelManifest, feeds: Sequence[Mapping[str, AnyArray]]
) -> _Outputs:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{variant}.onnx"
        try:
            write_variant(manifest, path, variant, feeds)
            outputs = _session(path, ort.GraphOptimizationLevel.ORT_ENABLE_ALL, feeds)
        except Exception as exc:  # the converters raise errors of all kinds for odd graphs
            raise _NotRunError(f"cannot be made: {_line(exc)}") from exc
    if variant == "fp16" and platform.machine() not in _HALF_CPUS:
        # Measured: the results are those of float32 to the last bit but one.
        raise _NotRunError("converts and loads, but ONNX Runtime computes float16 in float32 here")
    return outputs


def _provider(
    provider: Any,  # noqa: ANN401 - one of the loader's literals
    manifest: ModelManifest,
    feeds: Sequence[Mapping[str, AnyArray]],
    *,
    precision: Precision = "fp32",
) -> _Outputs:
    try:
        engine = load_engine(manifest, provider=provider, precision=precision)
    except EngineError as exc:
        raise _NotRunError(getattr(exc, "reason", str(exc))) from exc
    try:
        return [engine.infer(feed) for feed in feeds]
    finally:
        engine.close()


def _pytorch(manifest: ModelManifest, feeds: Sequence[Mapping[str, AnyArray]]) -> _Outputs:
    # The networks' PyTorch code is not part of an installation; a checkout has it.
    try:
        rebuild = importlib.import_module("training.rebuild")
    except ImportError as exc:
        raise _NotRunError(f"needs PyTorch and a checkout: {_line(exc)}") from exc
    try:
        network = rebuild.rebuild(manifest)
    except Exception as exc:  # any mismatch of graph and network code
        raise _NotRunError(f"cannot be rebuilt: {_line(exc)}") from exc
    return [network(feed) for feed in feeds]


def _line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
