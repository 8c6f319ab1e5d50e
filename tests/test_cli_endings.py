"""A job that is told to stop, or killed, leaves what plays and comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from run_stream import main
from tests.cli_run import ROOT, Run, face_difference, pictures_of, write_sample


def _start_long_job(run: Run, name: str) -> tuple[subprocess.Popen[str], Path, Path]:
    """Anonymise five seconds in the background; returns once a fragment of it is written."""
    long, out = run.folder / f"{name}_in.mp4", run.folder / f"{name}.mp4"
    write_sample(long, duration_s=5)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_stream.py"), "anonymize", str(long), "--out", str(out),
         "--password-file", str(run.password_file), "--quiet"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    partial = out.with_name(f"{name}.partial.mp4")
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if partial.exists() and _holds_a_fragment(partial):
            break
        time.sleep(0.02)
    return process, long, out


def _holds_a_fragment(path: Path) -> bool:
    """Whether the pictures of the first fragment are all there, not only begun."""
    data, start = path.read_bytes(), 0
    while start + 8 <= len(data):
        kind = data[start + 4 : start + 8]
        start += int.from_bytes(data[start : start + 4], "big")
        if kind == b"mdat":
            return start <= len(data)
    return False


def test_sigterm_finishes_the_file_and_closes_the_log(run: Run) -> None:
    process, _, out = _start_long_job(run, "stopped")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert 0 < len(pictures_of(out)) < 125
    assert main(["inspect", str(run.folder / "stopped.mp4.vskl")]) == 0


def test_sigkill_leaves_what_plays_and_recovers(run: Run) -> None:
    process, long, out = _start_long_job(run, "killed")
    process.kill()
    process.communicate(timeout=60)
    assert not out.exists()
    recovered = run.folder / "killed_back.mp4"
    code = main(["recover", str(run.folder / "killed.partial.mp4"), "--out", str(recovered),
                 "--keylog", str(run.folder / "killed.mp4.vskl"), "--mode", "sealed", "--quiet",
                 "--reason", "a test", "--password-file", str(run.password_file)])  # fmt: skip
    assert code == 0
    before, after = pictures_of(long), pictures_of(recovered)
    assert len(after) >= 10
    assert face_difference(before[: len(after)], after) < 4
