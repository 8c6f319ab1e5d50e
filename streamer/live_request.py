"""What a live job is asked for, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamer.camera_snapshot import SinkHealth
from streamer.live_source import LiveOptions

__all__ = ["LiveReport", "LiveRequest", "OutputReport"]


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What goes where.

    Attributes:
        url: the camera; may hold credentials.
        outs: files, and addresses to publish to; addresses may hold credentials.
        keylog: path of the key log; None to put it beside the first file.
        options: how the camera is read.
        overwrite: replace existing files.
        goes_on: this run goes on with what earlier ones began: it writes beside what they left.
    """

    url: str = field(repr=False)
    outs: tuple[str, ...] = field(repr=False)
    keylog: Path | None
    options: LiveOptions
    overwrite: bool = False
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class OutputReport:
    """How one output fared.

    Attributes:
        health: at its end.
        latency_p50_s: median time from the arrival of a frame until the output had taken it.
        latency_p95_s: 95th percentile of the same.
        latency_p99_s: 99th percentile of the same.
    """

    health: SinkHealth
    latency_p50_s: float
    latency_p95_s: float
    latency_p99_s: float


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What a run did.

    Attributes:
        frames: frames written, made pictures included.
        dropped: frames dropped before detection, because the machine was too slow.
        stubs: made pictures that were written while the source was away.
        reconnects: how often the connection was lost and came back.
        tracks: tracks found.
        replaced: faces that got a synthetic one.
        covered: faces under a cover.
        latency_p50_s: median time from the arrival of a frame until it was coded.
        latency_p95_s: 95th percentile of the same.
        latency_p99_s: 99th percentile of the same.
        outputs: each output by its name.
        keylog: the newest key log, None when irreversible.
        warnings: everything that could not be kept.
    """

    frames: int
    dropped: int
    stubs: int
    reconnects: int
    tracks: int
    replaced: int
    covered: int
    latency_p50_s: float
    latency_p95_s: float
    latency_p99_s: float
    outputs: Mapping[str, OutputReport]
    keylog: Path | None
    warnings: tuple[str, ...]
