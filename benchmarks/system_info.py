"""The machine a figure was measured on, described for reports."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["SystemInfo", "describe_system"]

_PACKAGES = ("av", "numpy", "onnxruntime", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """What a reader needs to know to compare figures.

    Attributes:
        cpu: model name of the processor.
        core_count: logical cores this process may use.
        memory_mib: installed memory.
        load_1min: load average when it was asked; above `core_count` means a busy machine.
        python: version of the interpreter.
        system: kernel and architecture.
        packages: versions of the libraries that do the work.
    """

    cpu: str
    core_count: int
    memory_mib: int
    load_1min: float
    python: str
    system: str
    packages: dict[str, str]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    def line(self) -> str:
        """One line for the head of a report."""
        versions = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return (
            f"{self.cpu}, {self.core_count} cores, {self.memory_mib} MiB, {self.system}, "
            f"Python {self.python}, {versions}, load {self.load_1min:.1f}, no GPU used"
        )


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"


def _memory_mib() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (OSError, ValueError):
        return 0


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def describe_system() -> SystemInfo:
    """Describe this machine as it is now."""
    return SystemInfo(
        cpu=_cpu_model(),
        core_count=len(os.sched_getaffinity(0)),
        memory_mib=_memory_mib(),
        load_1min=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        packages={name: _version(name) for name in _PACKAGES},
    )
