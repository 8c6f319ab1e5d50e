"""OutputWorker: one output of a live job, on a thread and with a queue of its own.

Whoever offers items never waits. When the output is slow, the queue drops whole groups of
pictures; when it is gone, it is tried again with back-off, and everything until then is dropped.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from engines.errors import SinkError
from streamer.backoff import Backoff
from streamer.camera_snapshot import SinkHealth
from streamer.frames import CopiedPacket
from streamer.latency import LatencyHistogram, LatencySnapshot
from streamer.memory import give_back_memory
from streamer.sink_coded import CodedPicture
from streamer.sink_items import Cut, OutputItem, OutputTarget
from streamer.sink_queue import OutputQueue, WorkerOptions

__all__ = ["OutputWorker", "WorkerOptions"]


class OutputWorker:
    """Feeds one target. `offer` and `close` belong to one thread, the target to another.

    Args:
        name: of the output, without credentials.
        target: where everything goes.
        options: limits.
        ask_cut: called when the target needs a new piece to begin again.
        ask_key: called when the target needs a key frame.
        on_health: told about every change, and once a second.
        now: monotonic clock in seconds; the one of `CodedPicture.arrived_s`.
    """

    def __init__(
        self,
        name: str,
        target: OutputTarget,
        *,
        options: WorkerOptions,
        ask_cut: Callable[[], None],
        ask_key: Callable[[], None],
        on_health: Callable[[str, SinkHealth], None] = lambda name, health: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._target, self._options, self._now = target, options, now
        self._ask_cut, self._ask_key = ask_cut, ask_key
        self._on_health = on_health
        self._health = SinkHealth(state="down")
        self._told_s = 0.0
        self._condition = threading.Condition()
        self._is_file = target.renews == "on cut"
        # A file is to hold what comes before it is open; for a connection that is too late.
        self._queue = OutputQueue(options, is_listening=self._is_file)
        self._is_closing = False
        self._cut: Cut | None = None
        self._was_up = False
        self._latency = LatencyHistogram()
        self._thread = threading.Thread(target=self._run, name=f"output {name}", daemon=True)
        self._thread.start()

    @property
    def health(self) -> SinkHealth:
        """How it is."""
        with self._condition:
            return replace(self._health, dropped=self._queue.dropped)

    def latency(self) -> LatencySnapshot:
        """From the arrival of a frame to the moment when the output has taken its picture."""
        with self._condition:
            return self._latency.snapshot()

    def offer(self, item: OutputItem) -> None:
        """Take an item, or drop it; never waits."""
        with self._condition:
            if self._is_closing:
                return
            if isinstance(item, Cut):
                self._cut = item
            wants_key = self._queue.offer(item)
            self._condition.notify_all()
        if wants_key:
            self._ask_key()

    def close(self, timeout_s: float) -> bool:
        """Write what waits, end in good order; False when the target hangs and is left alone."""
        with self._condition:
            self._is_closing = True
            self._condition.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        backoff = Backoff(self._options.backoff)
        while (cut := self._next_cut()) is not None:
            try:
                self._target.open(cut)
                if cut.is_new_video:
                    # The cut before held the encoder before, whose parts refer to each other: its
                    # threads would stay until Python happens to look.
                    gc.collect()
                    give_back_memory()
                self._say("up")
                next_cut = self._feed(backoff)
                self._target.close()
            except SinkError as exc:
                self._target.abandon()
                self._wait_until_ready(backoff, str(exc))
                continue
            if next_cut is None:
                break
            with self._condition:
                self._queue.put_back(next_cut)
                self._queue.is_listening = self._is_file
        self._target.abandon()
        self._say("ended")

    def _next_cut(self) -> Cut | None:
        """What to begin with: for a connection the newest cut there was, for a file the next."""
        with self._condition:
            while True:
                if self._is_file and (cut := self._queue.take_cut()) is not None:
                    return cut
                if self._is_closing:
                    return None
                if not self._is_file and self._cut is not None:
                    self._queue.clear(with_cuts=True)
                    return self._cut
                self._condition.wait()

    def _feed(self, backoff: Backoff) -> Cut | None:
        """Write items until a cut that ends this piece (which is returned) or the end (None)."""
        if not self._is_file:
            # The handshake may have taken long; what came meanwhile would only be late.
            with self._condition:
                self._queue.is_listening = True
            self._ask_key()
        while True:
            with self._condition:
                while not len(self._queue) and not self._is_closing:
                    self._condition.wait()
                if not len(self._queue):
                    return None
                item = self._queue.take()
            if isinstance(item, Cut):
                if item.is_new_video or self._is_file:
                    return item
                continue
            self._target.write(item)
            # A server that accepts the connection and refuses the video must not be hammered.
            backoff.reset()
            self._count(item)

    def _count(self, item: CodedPicture | CopiedPacket) -> None:
        with self._condition:
            self._health = replace(self._health, packets_sent=self._health.packets_sent + 1)
            if isinstance(item, CodedPicture) and item.arrived_s is not None:
                self._latency.add(self._now() - item.arrived_s)
        if self._now() - self._told_s >= 1.0:
            self._tell()

    def _wait_until_ready(self, backoff: Backoff, error: str) -> None:
        """Wait, then look from time to time whether the target may work again."""
        with self._condition:
            self._queue.is_listening = False
            self._queue.clear()
        self._say("down", error)
        while not self._is_closing:
            end_s = self._now() + backoff.next_wait_s()
            with self._condition:
                while (left_s := end_s - self._now()) > 0 and not self._is_closing:
                    self._condition.wait(left_s)
            if self._target.is_ready():
                break
        if self._is_file:
            with self._condition:
                # What was cut meanwhile has begun already; the file begins with the next cut.
                self._queue.clear(with_cuts=True)
                self._queue.is_listening = True
            self._ask_cut()

    def _say(self, state: Literal["up", "down", "ended"], error: str | None = None) -> None:
        with self._condition:
            again = state == "up" and self._was_up and self._health.state == "down"
            self._was_up = self._was_up or state == "up"
            self._health = replace(
                self._health,
                state=state,
                reconnects=self._health.reconnects + again,
                last_error=self._health.last_error if error is None else error,
            )
        self._tell()

    def _tell(self) -> None:
        self._told_s = self._now()
        self._on_health(self.name, self.health)
