"""Two branches chosen by a mask, turned into an `If`, so that only the wanted one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import onnx
from onnx import TensorProto, helper

__all__ = ["branch_off"]

_ANY: Final = "any_chosen"


def branch_off(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute what a mask chooses only when it chooses anything.

    Every output must be a `Where` with one and the same condition. What only its first choice
    needs moves into the first branch of an `If`, and the `Where` with it, so that a batch that
    mixes both still works; a batch that chooses nothing pays for the second choice alone.

    Args:
        model: is left as it is.

    Raises:
        ValueError: the outputs are no such choices.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    made_by = {name: node for node in graph.node for name in node.output}
    choices = [made_by.get(output.name) for output in graph.output]
    if any(node is None or node.op_type != "Where" for node in choices):
        raise ValueError("every output must be a Where")
    wheres: list[Any] = [node for node in choices if node is not None]
    if len({node.input[0] for node in wheres}) != 1:
        raise ValueError("the outputs are chosen by different conditions")
    always = _needed([n for node in wheres for n in (node.input[0], node.input[2])], made_by)
    chosen_names = {node.output[0] for node in wheres}
    inner = [
        node
        for node in graph.node
        # Casts of stored weights stay outside, where runtimes fold them.
        if not set(node.output) & (always | chosen_names) and node.op_type != "Cast"
    ]
    inner_names = {name for node in inner for name in node.output}
    outer = [n for n in graph.node if not set(n.output) & (inner_names | chosen_names)]
    late = _fed_by(inner_names, outer)
    then_nodes = [n for n in graph.node if n in inner or n in late]
    outer = [node for node in outer if node not in late]
    outer += [*_any_of(wheres[0].input[0]), _if_node(wheres, then_nodes, graph.output)]
    del graph.node[:]
    graph.node.extend(outer)
    return result


def _needed(names: Iterable[str], made_by: dict[str, Any]) -> set[str]:
    """Everything that some values are computed from, themselves included."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name and name not in seen:
            seen.add(name)
            waiting += made_by[name].input if name in made_by else []
    return seen


def _fed_by(names: set[str], nodes: Sequence[Any]) -> list[Any]:
    """The nodes that need any of some values, directly or through each other."""
    reached, found = set(names), []
    for node in nodes:  # in the order of computation
        if set(node.input) & reached:
            reached |= set(node.output)
            found.append(node)
    return found


def _any_of(condition: str) -> list[Any]:
    number, greatest, flag = f"{_ANY}.number", f"{_ANY}.greatest", _ANY
    return [
        helper.make_node("Cast", [condition], [number], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", [number], [greatest], keepdims=0),
        helper.make_node("Cast", [greatest], [flag], to=TensorProto.BOOL),
    ]


def _if_node(wheres: Sequence[Any], then_nodes: Sequence[Any], outputs: Sequence[Any]) -> Any:  # noqa: ANN401 - onnx protos are untyped
    then_infos: list[Any] = []
    else_infos: list[Any] = []
    chosen, others = [], []
    for where, output in zip(wheres, outputs, strict=True):
        name = where.output[0]
        for infos, suffix in ((then_infos, "then"), (else_infos, "else")):
            info = onnx.ValueInfoProto()
            info.CopyFrom(output)
            info.name = f"{name}.{suffix}"
            infos.append(info)
        chosen.append(helper.make_node("Where", list(where.input), [f"{name}.then"]))
        others.append(helper.make_node("Identity", [where.input[2]], [f"{name}.else"]))
    return helper.make_node(
        "If",
        [_ANY],
        [where.output[0] for where in wheres],
        then_branch=helper.make_graph([*then_nodes, *chosen], "chosen", [], then_infos),
        else_branch=helper.make_graph(others, "others", [], else_infos),
    )
