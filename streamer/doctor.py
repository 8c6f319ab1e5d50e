"""Doctor: whether this machine can do the main job, checked by doing it once."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from engines.errors import AnonymizerError, EngineLoadError
from engines.manifest import WEIGHTS_FOLDER, load_manifest, verified_model_bytes
from engines.model_names import MODEL_NAMES
from engines.ort_engine import available_ort_providers
from engines.precision import cpu_form, has_amx
from engines.trt_runtime import open_tensorrt
from streamer.config import load_config
from streamer.demo_sample import SAMPLE_FPS, SAMPLE_SIZE_HW, sample_frames
from streamer.file_job import FileRequest, anonymize_file
from streamer.interrupt import StopRequest
from streamer.progress import QuietProgress
from streamer.sink_demo import DemoSink
from streamer.sink_probe import codec_facts, ffmpeg_version

__all__ = ["Check", "run_checks"]

_PACKAGES: Final = (
    "numpy", "onnxruntime", "opencv-python-headless", "av", "cryptography", "filterpy", "scipy",
    "pydantic", "PyYAML", "rich",
)  # fmt: skip
_OPTIONAL: Final = ("openvino", "tensorrt", "insightface", "torch", "onnx")
_TRIAL_S: Final = 0.6


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was looked at.
        is_good: False when it stops the main job.
        text: what was found, and what to do about it.
    """

    name: str
    is_good: bool
    text: str


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _check_python() -> Check:
    good = sys.version_info >= (3, 11)
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", good, text if good else f"{text}; 3.11 or newer is needed")


def _check_packages() -> Iterator[Check]:
    found = {name: _version(name) for name in _PACKAGES}
    missing = [name for name, version in found.items() if version is None]
    text = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    if missing:
        text += f"; missing: {', '.join(missing)} (pip install veilstream)"
    yield Check("packages", not missing, text)
    extras = [f"{name} {_version(name) or 'not installed'}" for name in _OPTIONAL]
    yield Check("optional", True, ", ".join(extras))
    if _version("opencv-python") and _version("opencv-python-headless"):
        yield Check(
            "opencv", True, "opencv-python and opencv-python-headless share one folder, and the "
            "one installed last wins; on a server reinstall the headless one",
        )  # fmt: skip


def _check_codecs() -> Check:
    decoders, encoders = codec_facts()
    text = f"{ffmpeg_version()}; decoders {', '.join(decoders.present)}"
    text += f"; encoders {', '.join(encoders.present) or 'none'}"
    if decoders.missing:
        text += f"; no decoder for {', '.join(decoders.missing)}"
    return Check("ffmpeg", "libx264" in encoders.present, text)


def _check_providers() -> Check:
    try:
        runtime = open_tensorrt(WEIGHTS_FOLDER)
        text = f"TensorRT {runtime.version} on {runtime.device_name}"
    except EngineLoadError as exc:
        text = f"no TensorRT: {exc.reason}"
    text = f"{', '.join(available_ort_providers())}; {text}"
    if has_amx():
        how = "" if _version("openvino") else " after pip install 'veilstream[openvino]'"
        text += f"; AMX: engine.provider openvino{how} saves a fifth of the processor time"
    return Check("providers", True, text)


def _check_weights() -> Iterator[Check]:
    for name in MODEL_NAMES:
        try:
            manifest = load_manifest(WEIGHTS_FOLDER / f"{name}.json")
            size = len(verified_model_bytes(manifest))
        except AnonymizerError as exc:
            yield Check(name, False, str(exc))
            continue
        text = f"version {manifest.version}, {size / 1e6:.1f} MB, sha256 {manifest.sha256[:16]}..."
        if name in ("detector", "generator"):
            text += f"; on a CPU {cpu_form(manifest, 'auto')[1]}"
        yield Check(name, True, text)


def _check_main_job() -> Check:
    """Anonymise a fraction of a second of the demo's sample."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with DemoSink(folder / "in.mp4", SAMPLE_SIZE_HW, fps=SAMPLE_FPS) as sink:
                for pixels in sample_frames(_TRIAL_S):
                    sink.write_sample(pixels)
            request = FileRequest(str(folder / "in.mp4"), folder / "out.mp4", folder / "log.vskl")
            report = anonymize_file(
                request, load_config(None), b"doctor", stop=StopRequest(), progress=QuietProgress()
            )
        except AnonymizerError as exc:
            return Check("main job", False, f"failed: {exc}")
    good = report.replaced > 0
    text = f"{report.frames} frames, {report.replaced} faces replaced; " + "; ".join(report.engines)
    return Check("main job", good, text if good else f"no face was replaced; {text}")


def run_checks() -> Iterator[Check]:
    """All checks, one after the other, the trial run last."""
    single: tuple[Callable[[], Check], ...] = (_check_codecs, _check_providers)
    yield _check_python()
    yield from _check_packages()
    for check in single:
        yield check()
    yield from _check_weights()
    yield _check_main_job()
