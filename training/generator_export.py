"""Generator weights to and from ONNX files: ``python -m training.generator_export WEIGHTS``."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from engines.manifest import sha256_of
from export.metadata import publish
from training.composites import COMPOSITES_FILE, load_composites, save_composites
from training.face_synthesis import CROP_SIZE_PX, IDENTITY_DIM, FaceSynthesis
from training.generator_data import Floats
from training.landmarks66 import Landmarks66

__all__ = ["export_generator", "load_net", "main", "read_weights"]

_OPSET = 17
_FACE_PARTS = {
    *("basis", "encoder", "style", "seed", "grow", "blocks", "fine", "to_rgb"),
    "landmarks",
}
_SMALL = 256  # biases and the like stay float32


def read_weights(path: Path) -> dict[str, Tensor]:
    """State dictionary out of a ``.pt`` file or an exported ``.onnx`` file."""
    if path.suffix == ".onnx":
        tensors = onnx.load(str(path)).graph.initializer
        return {
            t.name: torch.from_numpy(np.array(numpy_helper.to_array(t), np.float32))
            for t in tensors
            if t.name.split(".")[0] in _FACE_PARTS
        }
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.float() for name, value in state.items()}


def load_net(path: Path) -> FaceSynthesis:
    """The network with the weights of a file, frozen."""
    state = read_weights(path)
    net = FaceSynthesis(state["basis"], Landmarks66(folded=True))
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def export_generator(
    net: FaceSynthesis,
    path: Path,
    *,
    version: str,
    facts: dict[str, object],
    composites: Floats | None = None,
) -> None:
    """Write ``path`` (ONNX), the manifest, the identity basis and composites beside it.

    Initialisers keep the names of the state dictionary, so that training can start from the file;
    large ones are stored as float16 and cast when the file is loaded (runtimes fold the casts).

    Args:
        net: Trained network.
        path: Where to write, ``.../generator.onnx``.
        version: Version of the weights.
        facts: Further manifest entries.
        composites: (M, K) unit rows, what keyed identities were moved towards; None: nothing.
    """
    example = (torch.zeros(1, 3, CROP_SIZE_PX, CROP_SIZE_PX), torch.zeros(1, IDENTITY_DIM))
    names = {"crop": {0: "n"}, "identity": {0: "n"}, "face": {0: "n"}, "alpha": {0: "n"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft.onnx")
    plain = net.to("cpu", memory_format=torch.contiguous_format).float().eval()
    with warnings.catch_warnings():
        # The exporter that keeps parameter names is announced as going away.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            plain,
            example,
            str(draft),
            input_names=["crop", "identity"],
            output_names=["face", "alpha"],
            dynamic_axes=names,
            opset_version=_OPSET,
            do_constant_folding=False,
            dynamo=False,
        )
    model = _half_stored(onnx.load(str(draft)))
    draft.unlink()
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    described = {
        "inputs": {"crop": "(N,3,160,160) float32 RGB", "identity": "(N,512) float32 unit"},
        "outputs": {"face": "(N,3,160,160) float32 in [-1,1]", "alpha": "(N,1,160,160) in [0,1]"},
        "colour": "RGB",
        "mean": 127.5,
        "std": 127.5,
        "input_size_hw": [CROP_SIZE_PX, CROP_SIZE_PX],
        **_companions(path.parent, net.basis, composites),
        **facts,
    }
    publish(path, version=version, facts=described)


def _companions(
    folder: Path, basis: Tensor, composites: Floats | None
) -> dict[str, dict[str, str]]:
    """Write the arrays that belong to a generator; what the manifest says of them."""
    files = [folder / "identity_basis.npy"]
    np.save(files[0], basis.numpy())
    if composites is not None:
        files.append(folder / COMPOSITES_FILE)
        save_composites(files[1], composites)
    return {one.stem: {"file": one.name, "sha256": sha256_of(one)} for one in files}


def _half_stored(model: Any) -> Any:  # noqa: ANN401 - onnx protos are untyped
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32 or value.size < _SMALL or tensor.name.endswith("basis"):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), name))
        for node in graph.node:
            for i, source in enumerate(node.input):
                if source == name:
                    node.input[i] = f"{name}.float"
        casts.append(helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="training.generator_export", description=__doc__)
    parser.add_argument("weights", type=Path, help=".pt or .onnx")
    parser.add_argument("--out", type=Path, default=Path("engines/weights/generator.onnx"))
    parser.add_argument("--composites", type=Path, help="of the run; default: beside the weights")
    parser.add_argument("--version", default="1")
    parser.add_argument("--images", type=int, default=0, help="images seen, for the manifest")
    args = parser.parse_args(argv)
    facts: dict[str, object] = {"images_seen": args.images}
    rows = load_composites(args.composites or args.weights.with_name(COMPOSITES_FILE))
    export_generator(
        load_net(args.weights), args.out, version=args.version, facts=facts, composites=rows
    )


if __name__ == "__main__":
    main()
