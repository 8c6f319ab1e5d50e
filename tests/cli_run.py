"""A sample that the commands anonymise once for all tests, and what looks at its outputs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from engines.arrays import UInt8Array
from run_stream import main
from streamer.demo_sample import SAMPLE_FPS, SAMPLE_SIZE_HW, sample_frames
from streamer.sink_demo import DemoSink

PASSWORD = "correct horse battery staple"
FRAMES = 30
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """A sample that was anonymised once for all tests."""

    folder: Path
    sample: Path
    out: Path
    keylog: Path
    password_file: Path
    summary: dict[str, object]


def last_json(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.strip().splitlines()[-1])
    return found


def pictures_of(path: Path) -> list[UInt8Array]:
    with av.open(str(path)) as container:
        return [
            np.asarray(f.to_ndarray(format="yuv420p"), np.uint8) for f in container.decode(video=0)
        ]


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(f.time or 0) for f in container.decode(video=0)]


def write_sample(path: Path, *, duration_s: float) -> None:
    with DemoSink(path, SAMPLE_SIZE_HW, fps=SAMPLE_FPS) as sink:
        for pixels in sample_frames(duration_s):
            sink.write_sample(pixels)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("cli")
    sample, out = folder / "in put ä.mp4", folder / "out.mp4"
    write_sample(sample, duration_s=FRAMES / SAMPLE_FPS)
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD + "\n", encoding="utf-8")
    done = run_command("anonymize", str(sample), "--out", str(out),
                    "--password-file", str(password_file), "--json", "--quiet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Run(folder, sample, out, folder / "out.mp4.vskl", password_file, last_json(done.stdout))


def run_command(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_stream.py"), *args],
        capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def recover_run(run: Run, name: str, *args: str, password: Path | None = None) -> Path:
    out = run.folder / name
    code = main([
        "recover", str(run.out), "--keylog", str(run.keylog), "--out", str(out), "--quiet",
        "--reason", "a test", "--password-file", str(password or run.password_file), *args,
    ])  # fmt: skip
    assert code == 0
    return out


def face_difference(a: Sequence[UInt8Array], b: Sequence[UInt8Array]) -> float:
    """Mean luma difference around the middle actor's face."""
    return float(
        np.mean([np.abs(x[150:280, 430:530].astype(int) - y[150:280, 430:530]).mean()
                 for x, y in zip(a, b, strict=True)])
    )  # fmt: skip
