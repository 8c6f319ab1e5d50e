"""`export`: compare every way to run the networks, and write float16 or INT8 variants."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import streamer.sample
from engines.arrays import UInt8Array
from engines.errors import ConfigError, EngineError, EngineLoadError
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest
from engines.model_names import MODEL_NAMES
from streamer.cli.output import print_json

__all__ = ["run"]

_PICTURES = (".jpg", ".jpeg", ".png")
_MOST_PICTURES = 128
_EXIT_BEYOND = EngineError.exit_code


def run(args: argparse.Namespace) -> int:
    """Verify or convert; returns 4 if something is out of tolerance.

    Raises:
        ConfigError: the optional package onnx is missing, or a way to run has an unknown name.
    """
    manifests = [
        load_manifest(WEIGHTS_FOLDER / f"{name}.json") for name in args.model or MODEL_NAMES
    ]
    try:
        actions = {"verify": _verify, "convert": _convert, "parts": _write_parts}
        return actions[args.action](args, manifests)
    except ImportError as exc:
        raise ConfigError(f"{exc}; pip install 'veilstream[export]'") from exc


def _pictures(folder: Path | None = None) -> list[UInt8Array]:
    """The first pictures of a folder, RGB; without one, the portraits of the demo.

    Raises:
        ConfigError: there are none.
    """
    folder = folder or Path(streamer.sample.__file__).parent
    pictures = []
    paths = [path for path in sorted(folder.glob("*")) if path.suffix in _PICTURES]
    for path in paths[:_MOST_PICTURES]:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is not None:
            pictures.append(np.ascontiguousarray(picture[..., ::-1], np.uint8))
    if not pictures:
        raise ConfigError(f"{folder} holds no pictures (.jpg, .png)")
    return pictures


def _verify(args: argparse.Namespace, manifests: Sequence[ModelManifest]) -> int:
    from export.verify import RUNS, verify_model

    unknown = sorted(set(args.run or ()) - set(RUNS))
    if unknown:
        raise ConfigError(f"export verify: no way to run is {unknown[0]!r}; {', '.join(RUNS)} are")
    pictures = _pictures()
    rows = []
    for manifest in manifests:
        for row in verify_model(manifest, pictures, runs=args.run):
            rows.append(row)
            if not args.json:
                print(_line(row))
    is_good = all(row.is_good for row in rows)
    if args.json:
        found = [row.as_json() for row in rows]
        print_json({"command": "export verify", "ok": is_good, "rows": found})
    return 0 if is_good else _EXIT_BEYOND


def _line(row: Any) -> str:  # noqa: ANN401 - export is imported on demand
    head = f"{row.model:<16} {row.run:<12}"
    if row.note:
        return f"---- {head} not run: {row.note}"
    if row.difference is None:
        return f"{'FAIL' if row.counts else 'note'} {head} {'; '.join(row.beyond)}"
    text = f"max {row.difference.max_error:.2e}  mean {row.difference.mean_error:.2e}"
    if row.difference.cosine is not None:
        text += f"  cosine {row.difference.cosine:.6f}"
    if row.difference.psnr_db is not None:
        text += f"  face {row.difference.psnr_db:.1f} dB"
    verdict = "ok  " if not row.beyond else "FAIL" if row.counts else "note"
    beyond = f"  out of tolerance: {'; '.join(row.beyond)}" if row.beyond else ""
    return f"{verdict} {head} {text}{beyond}"


def _convert(args: argparse.Namespace, manifests: Sequence[ModelManifest]) -> int:
    from export.inputs import recorded_inputs
    from export.variants import write_variant_with_manifest

    written = []
    for manifest in manifests:
        engine = load_engine(manifest, provider="cpu", threads=1)
        feeds = recorded_inputs(manifest, engine.inputs, _pictures(args.calibrate))
        engine.close()
        try:
            path = write_variant_with_manifest(manifest, args.out, args.precision, feeds)
        except ValueError as exc:
            raise EngineLoadError(manifest.path, str(exc)) from exc
        written.append(path)
        if not args.json:
            print(f"wrote {written[-1]}")
    if args.json:
        print_json({"command": "export convert", "written": [str(path) for path in written]})
    return 0


def _write_parts(args: argparse.Namespace, _: Sequence[ModelManifest]) -> int:
    from export.parts import write_parts

    manifest = load_manifest(WEIGHTS_FOLDER / "generator.json")
    try:
        written = write_parts(manifest, args.out)
    except ValueError as exc:
        raise EngineLoadError(manifest.path, str(exc)) from exc
    if args.json:
        print_json({"command": "export parts", "written": [str(path) for path in written]})
    else:
        print("\n".join(f"wrote {path}" for path in written))
    return 0
