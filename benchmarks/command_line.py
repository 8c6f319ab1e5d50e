"""Running a command as a user does, with its processor time, wall time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.clips import BenchmarkError
from benchmarks.processes import process_tree
from streamer.recipient_keys import generate_device

__all__ = [
    "REPOSITORY",
    "CommandResult",
    "anonymize_command",
    "recover_command",
    "run_command",
    "tree_rss_bytes",
    "write_password",
]

REPOSITORY: Final = Path(__file__).resolve().parents[1]
_SAMPLE_INTERVAL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended and what it cost.

    Attributes:
        exit_code: negative for a signal.
        stdout: what it printed.
        stderr: what it complained about.
        cpu_s: user and system time of the process and its children.
        wall_s: from start to end.
        peak_rss_bytes: greatest resident size of the process tree, sampled.
    """

    exit_code: int
    stdout: str
    stderr: str
    cpu_s: float
    wall_s: float
    peak_rss_bytes: int

    def summary(self) -> dict[str, Any]:
        """The JSON line at the end of standard output, empty when there is none."""
        for line in reversed(self.stdout.splitlines()):
            if line.startswith("{"):
                parsed: dict[str, Any] = json.loads(line)
                return parsed
        return {}

    def require_success(self, what: str) -> CommandResult:
        """This result, if the command ended well.

        Raises:
            BenchmarkError: it did not; the message holds its last line.
        """
        if self.exit_code:
            last = (self.stderr.strip() or self.stdout.strip() or "no output").splitlines()[-1]
            raise BenchmarkError(f"{what} ended with exit code {self.exit_code}: {last}")
        return self


def write_password(folder: Path, *, is_wrong: bool = False) -> Path:
    """Write a password file; the wrong one for trying what the right one does not open."""
    path = folder / ("wrong_password.txt" if is_wrong else "password.txt")
    path.write_text("tango two\n" if is_wrong else "correct horse battery\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def anonymize_command(
    source: Path, out: Path, keylog: Path, password: Path, *extra: str
) -> list[str]:
    """Arguments that anonymise a file."""
    return [
        *(sys.executable, str(REPOSITORY / "run_stream.py"), "anonymize", str(source)),
        *("--out", str(out), "--keylog", str(keylog), "--password-file", str(password)),
        *("--json", "--quiet", "--overwrite", *extra),
    ]


def recover_command(
    source: Path, out: Path, keylog: Path, password: Path, mode: str, *extra: str
) -> list[str]:
    """Arguments that recover a file, and note that in an audit log."""
    signer = keylog.with_name("benchmark_audit.key")
    if not signer.exists():
        generate_device(signer)
    return [
        *(sys.executable, str(REPOSITORY / "run_stream.py"), "recover", str(source)),
        *("--keylog", str(keylog), "--out", str(out), "--mode", mode),
        *("--reason", "benchmark", "--by", "benchmark", "--device-key", str(signer)),
        *("--password-file", str(password), "--json", "--quiet", "--overwrite", *extra),
    ]


def tree_rss_bytes(pid: int) -> int:
    """Resident size of a process and all its descendants, 0 when it has ended."""
    page, total = os.sysconf("SC_PAGE_SIZE"), 0
    for current in process_tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{current}/statm").read_text(encoding="ascii").split()
            total += int(fields[1]) * page
    return total


def _watch(pid: int, stop: threading.Event, samples: list[int]) -> None:
    while not stop.wait(_SAMPLE_INTERVAL_S):
        samples[0] = max(samples[0], tree_rss_bytes(pid))


def run_command(
    command: Sequence[str],
    *,
    cores: int | None = None,
    on_start: Callable[[subprocess.Popen[bytes]], None] | None = None,
    timeout_s: float = 3600.0,
    stderr_path: Path | None = None,
) -> CommandResult:
    """Run a command to its end.

    Args:
        command: program and arguments.
        cores: how many of this machine's cores it may use; None leaves that alone.
        on_start: called once with the running process, in a thread.
        timeout_s: after this it is killed, and the result says so by its exit code.
        stderr_path: file for standard error that others may read while the program runs.
    """
    allowed = sorted(os.sched_getaffinity(0))[:cores] if cores else None

    def _confine() -> None:
        if allowed:
            os.sched_setaffinity(0, allowed)

    samples, stop = [0], threading.Event()
    with tempfile.TemporaryFile() as out, _error_file(stderr_path) as err:
        start_s = time.monotonic()
        process = subprocess.Popen(
            command, stdout=out, stderr=err, cwd=REPOSITORY, preexec_fn=_confine
        )
        killer = threading.Timer(timeout_s, process.kill)
        watchers = [threading.Thread(target=_watch, args=(process.pid, stop, samples))]
        if on_start:
            watchers.append(threading.Thread(target=on_start, args=(process,)))
        for thread in (*watchers, killer):
            thread.start()
        # wait4 gives the usage of this one child and of what it waited for.
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - start_s
        process.returncode = os.waitstatus_to_exitcode(status)
        killer.cancel()
        stop.set()
        for thread in watchers:
            thread.join()
        texts = [_text(stream) for stream in (out, err)]
    return CommandResult(
        exit_code=process.returncode,
        stdout=texts[0],
        stderr=texts[1],
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=wall_s,
        peak_rss_bytes=samples[0],
    )


def _error_file(path: Path | None) -> IO[bytes]:
    return tempfile.TemporaryFile() if path is None else path.open("w+b")


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
