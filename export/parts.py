"""The generator's graph cut in two: E_attr, which sees the crop, and G, which adds the identity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import onnx
from onnx import helper, shape_inference

from engines.manifest import ModelManifest
from export.metadata import publish_derived

__all__ = ["ATTRIBUTES", "SYNTHESIS", "split_generator", "write_parts"]

ATTRIBUTES: Final = "generator-attributes"
SYNTHESIS: Final = "generator-synthesis"
_CROP: Final = "crop"
_IDENTITY: Final = "identity"


def split_generator(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Cut where values that know only the crop meet those that know the identity.

    Args:
        model: the fused graph with inputs ``crop`` and ``identity``; left as it is.

    Returns:
        E_attr: ``crop`` to the attributes. G: the attributes, ``identity``, and ``crop`` where the
        graph uses it itself, to what the fused graph gives.

    Raises:
        ValueError: the graph has other inputs, or the identity does not act on any attribute.
    """
    graph = shape_inference.infer_shapes(model).graph
    inputs = {item.name: item for item in graph.input}
    if set(inputs) != {_CROP, _IDENTITY}:
        raise ValueError(f"a generator takes crop and identity, not {sorted(inputs)}")
    of_identity = _reached(graph, _IDENTITY)
    of_crop = _reached(graph, _CROP) - of_identity - {_CROP}
    meeting = {
        name for node in graph.node if set(node.output) & of_identity for name in _uses(node)
    }
    attributes = [n for node in graph.node for n in node.output if n in meeting & of_crop]
    if not attributes:
        raise ValueError("the identity acts on no attribute of the crop")
    types = {item.name: item for item in graph.value_info}
    missing = [name for name in attributes if name not in types]
    if missing:
        raise ValueError(f"the type of {missing[0]} is not known")
    cut = [types[name] for name in attributes]
    first = _part(model, ATTRIBUTES, [inputs[_CROP]], cut)
    second = _part(model, SYNTHESIS, [*cut, inputs[_CROP], inputs[_IDENTITY]], list(graph.output))
    return first, second


def write_parts(manifest: ModelManifest, folder: Path) -> list[Path]:
    """Write E_attr and G of a generator as two files, each with a manifest.

    Args:
        manifest: of the fused generator.
        folder: where to; made when missing.

    Returns:
        The two ONNX files.

    Raises:
        ValueError: see `split_generator`.
    """
    parts = split_generator(onnx.load(str(manifest.path)))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in parts:
        path = folder / f"{part.graph.name}.onnx"
        onnx.save(part, str(path))
        publish_derived(path, manifest, version=manifest.version, facts={})
        written.append(path)
    return written


def _uses(node: Any) -> Iterator[str]:  # noqa: ANN401 - onnx protos are untyped
    """All values that a node reads, those of its branches included."""
    yield from (name for name in node.input if name)
    for item in node.attribute:
        for inner in item.g.node:
            yield from _uses(inner)
        yield from (output.name for output in item.g.output)


def _reached(graph: Any, start: str) -> set[str]:  # noqa: ANN401 - onnx protos are untyped
    reached = {start}
    for node in graph.node:  # in the order of computation
        if not reached.isdisjoint(_uses(node)):
            reached.update(node.output)
    return reached


def _part(
    model: onnx.ModelProto, name: str, inputs: Iterable[Any], outputs: Iterable[Any]
) -> onnx.ModelProto:
    """The nodes between some values and others, as a model with the same opset."""
    inputs, outputs = list(inputs), list(outputs)
    given, wanted = {item.name for item in inputs}, {item.name for item in outputs}
    nodes, needed = [], set(wanted)
    for node in reversed(model.graph.node):
        if not needed.isdisjoint(set(node.output) - given):
            nodes.append(node)
            needed.update(_uses(node))
    kept = [item for item in inputs if item.name in needed]
    tensors = [item for item in model.graph.initializer if item.name in needed]
    graph = helper.make_graph(nodes[::-1], name, kept, outputs, tensors)
    part = helper.make_model(graph, opset_imports=list(model.opset_import))
    part.ir_version = model.ir_version
    return part
