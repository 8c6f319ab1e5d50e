"""The second pass over a file: decode, render on several threads, log and write in order."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from streamer.channel import Channel
from streamer.frames import CopiedPacket
from streamer.interrupt import StopRequest
from streamer.job_log import JobLog
from streamer.plan import PlanTable
from streamer.progress import ProgressSink, Tick
from streamer.renderer import RenderedFrame, Renderer
from streamer.runner import StageRunner
from streamer.sink import Sink
from streamer.source import Source

__all__ = ["RenderPass"]

_Pending: TypeAlias = "Future[RenderedFrame] | CopiedPacket"


class RenderPass:
    """Writes a file from its plan. Use once.

    Args:
        source: the input, opened anew.
        sink: the output.
        log: takes the records of each frame before the sink takes the frame.
        renderer: called from several threads.
        plans: one plan per frame; frames after the last plan are not written.
        track_count: for progress.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        log: JobLog,
        renderer: Renderer,
        plans: PlanTable,
        *,
        track_count: int,
    ) -> None:
        self._source = source
        self._sink = sink
        self._log = log
        self._renderer = renderer
        self._plans = plans
        self._tracks = track_count
        self._copied = frozenset(stream.index for stream in sink.info.copy_streams)
        self.replaced = 0
        self.covered = 0

    def run(self, workers: int, progress: ProgressSink, stop: StopRequest) -> None:
        """Write the whole file, or as much as there is a plan for.

        A stop that comes while rendering ends the file at the next frame; one that came during
        the analysis has shortened the plan already.
        """
        channel: Channel[_Pending] = Channel(2 * workers + 2)
        stopped_before = stop.is_set()
        with ThreadPoolExecutor(workers, thread_name_prefix="render") as pool:

            def decode() -> None:
                for item in self._source:
                    if stop.is_set() and not stopped_before:
                        break
                    if isinstance(item, CopiedPacket):
                        if item.stream_index in self._copied:
                            channel.send(item)
                    elif item.index < len(self._plans):
                        plan = self._plans[item.index]
                        channel.send(pool.submit(self._renderer.render, item, plan))
                    else:
                        break
                channel.close()

            def write() -> None:
                for item in channel:
                    if isinstance(item, CopiedPacket):
                        self._sink.copy(item)
                    else:
                        self._write(item.result(), progress)

            runner = StageRunner(channel)
            runner.add("decode", decode)
            runner.add("write", write)
            runner.run()

    def _write(self, rendered: RenderedFrame, progress: ProgressSink) -> None:
        result = rendered.result
        # The log first: a face that is out must have its way back already on the disk.
        self._log.add(rendered.records, result.frame.pts)
        self._sink.write(result.frame)
        self.replaced += len(result.replaced)
        self.covered += len(result.filled)
        faces = len(result.replaced) + len(result.filled)
        done, total = self._sink.frames_written, len(self._plans)
        progress.update(Tick("render", done, total, faces, self._tracks, self.covered))
