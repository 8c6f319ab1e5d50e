"""Where the time of the pipeline goes: processor time of each stage, and how full the queues are.

The stages are timed from outside, at the public methods through which all of their work goes; a
run without the meter has nothing of it.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import engines.loader
import streamer.analysis
import streamer.file_job
import streamer.models
import streamer.renderer
from engines.arrays import AnyArray
from engines.protocols import Engine
from streamer.best_crops import BestCrops
from streamer.blender import Blender
from streamer.channel import Channel
from streamer.face_finder import FaceFinder
from streamer.job_log import JobLog
from streamer.renderer import Renderer
from streamer.sink import Sink
from streamer.source_convert import FrameConverter
from streamer.source_decode import VideoDecoder
from streamer.track_table import TrackTable
from streamer.tracker import Tracker

__all__ = ["CODEC_STAGES", "QueueDepth", "StageMeter", "metered"]

CODEC_STAGES: Final = ("decode", "encode and mux")
# What is not listed is counted to the stage that calls it.
_METHODS: Final = (
    (VideoDecoder, "_decode", "decode"),
    (FrameConverter, "convert", "copy planes"),
    (FaceFinder, "find", "find"),
    (FaceFinder, "refine", "find"),
    (Tracker, "update", "track"),
    (TrackTable, "append", "track"),
    (BestCrops, "offer", "track"),
    (streamer.analysis, "reassociate", "plan"),
    (streamer.analysis, "finalise", "plan"),
    (Renderer, "render", "render"),
    (Blender, "blend", "blend"),
    (streamer.renderer, "kept_picture", "seal"),
    (JobLog, "add", "key log"),
    (JobLog, "flush", "key log"),
    (Sink, "write", "encode and mux"),
)
_PASSES: Final = ("analyse", "render")
_OPENVINO: Final = "network threads of OpenVINO"
_TASKS: Final = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many items waited when one more was sent.

    Attributes:
        name: the pass whose queue it is.
        capacity: most items it holds.
        mean: over all sends.
        most: largest.
    """

    name: str
    capacity: int
    mean: float
    most: int


class StageMeter:
    """Processor seconds of each stage. Thread-safe.

    Args:
        now: processor time of the calling thread in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.thread_time) -> None:
        self._now = now
        self._local = threading.local()
        self._lock = threading.Lock()
        self._queues: dict[int, tuple[int, list[int]]] = {}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.total_s = 0.0

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time counts for a stage and not for that of its caller."""

        @functools.wraps(work)
        def wrapper(*args: object, **kwargs: object) -> object:
            stack: list[float] = self._local.__dict__.setdefault("inner", [])
            stack.append(0.0)
            start_s = self._now()
            try:
                return work(*args, **kwargs)
            finally:
                whole_s = self._now() - start_s
                own_s = whole_s - stack.pop()
                if stack:
                    stack[-1] += whole_s
                with self._lock:
                    self.seconds[stage] += own_s
                    self.calls[stage] += 1

        return wrapper

    def sent(self, channel: Channel[Any], capacity: int) -> None:
        """Note how full a channel is."""
        with self._lock:
            _, depths = self._queues.setdefault(id(channel), (capacity, []))
            depths.append(len(channel))

    def queues(self) -> list[QueueDepth]:
        """The queue of each pass."""
        return [
            QueueDepth(name, capacity, sum(depths) / len(depths), max(depths))
            for name, (capacity, depths) in zip(_PASSES, self._queues.values(), strict=False)
        ]

    def network_s(self) -> float:
        """Seconds inside the networks."""
        return sum(s for stage, s in self.seconds.items() if stage.startswith("network "))

    def codec_s(self) -> float:
        """Seconds of decoding and encoding."""
        return sum(self.seconds[stage] for stage in CODEC_STAGES)

    def overhead_ratio(self) -> float:
        """Share of everything that is neither network nor codec, in [0, 1]."""
        return 1 - (self.network_s() + self.codec_s()) / max(self.total_s, 1e-9)

    def shares(self) -> dict[str, float]:
        """Stage -> its share of the time of both passes; "other" is what no stage covers."""
        total_s = max(self.total_s, 1e-9)
        found = {stage: s / total_s for stage, s in sorted(self.seconds.items())}
        found["other"] = max(0.0, 1 - sum(found.values()))
        return found


class _MeteredEngine:
    """An engine whose calls are timed."""

    def __init__(self, engine: Engine, meter: StageMeter) -> None:
        self._engine = engine
        if engine.describe().backend == "openvino":
            meter.seconds.setdefault(_OPENVINO, 0.0)
        self._infer = meter.timed(f"network {engine.describe().model.split()[0]}", engine.infer)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the engine has
        return getattr(self._engine, name)

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        outputs: dict[str, AnyArray] = self._infer(inputs)
        return outputs


@contextmanager
def metered(meter: StageMeter) -> Iterator[None]:
    """Time every job that runs meanwhile in this process, with codecs on one thread each.

    Threads of a codec would do its work where no stage is seen.
    """
    with ExitStack() as stack:
        for owner, name, stage in _METHODS:
            work = meter.timed(stage, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, work))
        load = engines.loader.load_engine
        stack.enter_context(
            patch.object(
                streamer.models,
                "load_engine",
                lambda *args, **kwargs: _MeteredEngine(load(*args, **kwargs), meter),
            )
        )
        send = Channel.send

        def noting(channel: Channel[Any], item: object) -> None:
            meter.sent(channel, channel._capacity)
            send(channel, item)

        stack.enter_context(patch.object(Channel, "send", noting))
        stack.enter_context(patch.object(os, "cpu_count", lambda: 1))
        for name in _PASSES:
            work = _whole(meter, getattr(streamer.file_job._FileJob, name))
            stack.enter_context(patch.object(streamer.file_job._FileJob, name, work))
        yield


def _foreign_s() -> float:
    """Processor seconds of the threads that are not Python's; 0 where Linux does not say.

    OpenVINO computes in such threads, which the clock of the calling one does not see.
    """
    known = {thread.native_id for thread in threading.enumerate()}
    total = 0
    for task in _TASKS.glob("*"):
        try:
            fields = (task / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(task.name) not in known:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK") if total else 0.0


def _whole(meter: StageMeter, work: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: object, **kwargs: object) -> object:
        start_s, before_s = time.process_time(), _foreign_s()
        try:
            return work(*args, **kwargs)
        finally:
            meter.total_s += time.process_time() - start_s
            if _OPENVINO in meter.seconds:
                meter.seconds[_OPENVINO] += max(0.0, _foreign_s() - before_s)

    return wrapper
