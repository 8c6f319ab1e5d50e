"""The finding stage of a live job: find, follow and plan; and say when a stub is due."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from engines.arrays import Float32Array
from engines.errors import EngineRunError
from engines.types import Detections
from streamer.camera_status import CameraStatus
from streamer.config import AppConfig
from streamer.face_finder import FaceFinder, input_side_px
from streamer.frames import CopiedPacket, Frame
from streamer.job_options import analysis_options, make_disguise
from streamer.live_items import Found, FrameToDraw, NewFace, StubToDraw, TracksEnded
from streamer.live_log import LiveLog
from streamer.live_looks import LiveLooks
from streamer.live_source import FormatChanged, LiveItem, Reconnected
from streamer.live_tracks import LiveTracks, PlannedFrame
from streamer.media_info import MediaInfo
from streamer.models import Models
from streamer.overload import InputSize
from streamer.zones import PrivacyZones

__all__ = ["LiveProcess"]

_log = logging.getLogger(__name__)

# A stub stands so far behind the present that the first frame after it is later in any case.
_STUB_LAG_S: Final = 1.0
# Frames in a row for which a network failed; then the job ends, and may be started again.
_MOST_FAILURES: Final = 25


class LiveProcess:
    """Says what is to be drawn in what a camera gives. Not thread-safe.

    Args:
        info: what the frames are like at first.
        models: the networks.
        config: how faces are found, and the zones of the place, where nobody looks.
        log: learns whose identity a track has.
        status: told when engines fail.
        dropped: how many frames were dropped so far.
        now: monotonic clock in seconds.
    """

    def __init__(
        self,
        info: MediaInfo,
        models: Models,
        config: AppConfig,
        log: LiveLog,
        *,
        status: CameraStatus,
        dropped: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        self._models, self._config, self._key_log = models, config, log
        self._dropped, self._now = dropped, now
        self._status = status
        self._info = info
        self._input = self._input_size()
        options = analysis_options(config, models, workers=1, frame_count=None)
        self._sparse = options.sparse
        self._looks = self._make_looks()
        self.tracks = LiveTracks(
            options, models.embedder,
            depth_frames=config.cover.look_back_frames, depth_s=config.live.look_back_limit_s,
            disguise=make_disguise(config, models, log),
        )  # fmt: skip
        self._targets: dict[int, Float32Array] = {}
        self._zones = PrivacyZones(config.rules.zones)
        self._last: Frame | None = None
        self._last_wall_s = now()
        self._is_flushed = True
        self._stub_s: float | None = None
        self._failures = 0

    def _input_size(self) -> InputSize:
        full_px = input_side_px(self._info.size_hw, self._config.detector.long_side_px)
        return InputSize(full_px, may_shrink=self._config.live.smaller_input, now=self._now)

    def _make_looks(self) -> LiveLooks:
        finder = FaceFinder(
            self._models.detector,
            rotation_deg=self._info.rotation_deg,
            long_side_px=self._input.side_px,
        )
        return LiveLooks(finder, self._sparse)

    @property
    def most_at_once(self) -> int:
        """How many frames that wait are worth taking together."""
        return self._looks.most_at_once

    def take(self, items: Sequence[LiveItem]) -> Iterator[Found]:
        """What leaves because of the next items.

        Args:
            items: the next one, and what waits behind it; frames in it are looked at together.
        """
        frames: list[Frame] = []
        for item in items:
            if isinstance(item, Frame):
                frames.append(item)
            elif isinstance(item, CopiedPacket):
                yield item  # outputs hold it back until the video has reached its time
            else:
                yield from self._take_frames(frames)
                frames = []
                yield from self._changed(item)
        yield from self._take_frames(frames)

    def _changed(self, item: Reconnected | FormatChanged) -> Iterator[Found]:
        # Nobody knows what happened in between: all tracks end.
        yield from self.flush()
        if isinstance(item, FormatChanged):
            self._info = item.info
            self._input = self._input_size()
            self._looks = self._make_looks()
        yield item

    def _take_frames(self, frames: Sequence[Frame]) -> Iterator[Found]:
        if not frames:
            return
        self._last_wall_s, self._stub_s = self._now(), None
        if any([self._input.frame(self._dropped()) for _ in frames]):
            _log.warning("overload: the detector's input is now %d px wide", self._input.side_px)
            self._looks = self._make_looks()
        covered = [self._zones.covered(frame) for frame in frames]
        try:
            found = self._looks.find(covered)
        except EngineRunError as exc:
            self._last = frames[-1]
            self._engine_failed(exc)
            return
        is_late = len(frames) > 1  # the others waited while the one before was looked at
        for frame, faces in zip(covered, found, strict=True):
            yield from self._follow(frame, faces, is_late=is_late)

    def _follow(self, frame: Frame, found: Detections, *, is_late: bool) -> Iterator[Found]:
        last, self._last = self._last, frame
        gap_s = 0.0 if last is None else frame.time_s - last.time_s
        if gap_s > self._config.live.longest_track_gap_s:
            yield from self._end_tracks()
        try:
            leaving = self.tracks.push(frame, found, is_late=is_late)
            self._update_identities()
        except EngineRunError as exc:
            self._engine_failed(exc)
            return
        self._failures, self._is_flushed = 0, False
        yield from self._leave(leaving)

    def _engine_failed(self, exc: EngineRunError) -> None:
        """Lose the frame, which nobody has looked at; give up when that goes on."""
        self._status.engine_failed(str(exc))
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise exc

    def idle(self) -> Iterator[Found]:
        """What leaves when nothing has come for a while; call it a few times a second."""
        if self._last is None:
            return
        silent_s = self._now() - self._last_wall_s
        if silent_s > self._config.live.longest_track_gap_s and not self._is_flushed:
            yield from self.flush()
        after_s = self._config.live.stub_after_s
        if after_s is None or silent_s < after_s:
            return
        if self._stub_s is None or self._now() - self._stub_s >= 1 / self._config.live.stub_fps:
            self._stub_s = self._now()
            yield self._stub(self._last, silent_s - _STUB_LAG_S)

    def _stub(self, last: Frame, later_s: float) -> StubToDraw:
        pts = last.pts + round(later_s / last.time_base)
        return StubToDraw(last.size_hw, pts, last.time_base)

    def flush(self) -> Iterator[Found]:
        """The frames that are still held; all tracks end."""
        self._looks.forget()
        yield from self._end_tracks()

    def _end_tracks(self) -> Iterator[Found]:
        self._is_flushed = True
        yield from self._leave(self.tracks.flush())

    def _leave(self, planned: Sequence[PlannedFrame]) -> Iterator[Found]:
        new_faces = self._new_faces() if planned else {}
        for one in planned:
            held_s = 0.0 if self._last is None else self._last.time_s - one.frame.time_s
            yield FrameToDraw(one.frame, one.plan, new_faces, held_s)
        ended, self.tracks.ended = tuple(self.tracks.ended), []
        if ended:
            # Who comes back later is protected anew, since the log forgets them.
            in_use = set(self.tracks.identities.values())
            for identity in self._targets.keys() - in_use:
                del self._targets[identity]
            # Behind the last frames that they are in, which the log must still know them by.
            yield TracksEnded(ended)

    def _new_faces(self) -> dict[int, NewFace]:
        """Who can be drawn now; a copy, since this stage goes on while others are drawn."""
        originals = self.tracks.embeddings
        return {
            identity: NewFace(target, originals[identity])
            for identity, target in self._targets.items()
            if identity in originals
        }

    def _update_identities(self) -> None:
        for track_id, identity in self.tracks.identities.items():
            self._key_log.assign(track_id, identity)
            if identity not in self._targets and identity in self.tracks.embeddings:
                original = self.tracks.embeddings[identity]
                self._targets[identity] = self._key_log.protect(
                    identity, original, self.tracks.attempts.get(identity, 0)
                )
