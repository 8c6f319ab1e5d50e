"""The middle stage of a live job: find, follow, plan and render; and stubs while nothing comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from engines.arrays import Float32Array
from engines.errors import EngineRunError
from streamer.blender import AnonymizedFrame
from streamer.camera_status import CameraStatus
from streamer.config import AppConfig
from streamer.face_finder import FaceFinder, input_side_px
from streamer.frames import CopiedPacket, Frame
from streamer.job_options import analysis_options, make_blender, make_disguise, make_renderer
from streamer.key_log import Note
from streamer.live_log import LiveLog
from streamer.live_source import FormatChanged, LiveItem, Reconnected
from streamer.live_tracks import LiveTracks, PlannedFrame
from streamer.media_info import MediaInfo, Notices
from streamer.models import Models
from streamer.overload import InputSize
from streamer.people import Shown, people_rule
from streamer.renderer import RenderedFrame
from streamer.zones import PrivacyZones

__all__ = ["LiveProcess", "Processed", "Stub", "TracksEnded"]

_log = logging.getLogger(__name__)

_STUB_TEXT: Final = "NO SIGNAL"
# A stub stands so far behind the present that the first frame after it is later in any case.
_STUB_LAG_S: Final = 1.0
# Frames in a row for which a network failed; then the job ends, and may be started again.
_MOST_FAILURES: Final = 25


@dataclass(frozen=True, slots=True, eq=False)
class Stub:
    """A made picture, for a time without a source."""

    frame: AnonymizedFrame


@dataclass(frozen=True, slots=True)
class TracksEnded:
    """These tracks are in no frame from here on; the key log may forget them."""

    track_ids: tuple[int, ...]


Processed: TypeAlias = (
    RenderedFrame | CopiedPacket | Reconnected | FormatChanged | Stub | Note | TracksEnded
)


class LiveProcess:
    """Turns what a camera gives into what may be shown. Not thread-safe.

    Args:
        info: what the frames are like at first.
        models: the networks.
        config: how faces are found and covered, and the rules of the place.
        log: learns whose identity a track has.
        notices: takes what cannot be kept.
        status: told when engines fail.
        dropped: how many frames were dropped so far.
        now: monotonic clock in seconds.

    Raises:
        ConfigError: a reference picture cannot be used.
    """

    def __init__(
        self,
        info: MediaInfo,
        models: Models,
        config: AppConfig,
        log: LiveLog,
        notices: Notices,
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
        self._finder = self._make_finder()
        options = analysis_options(config, models, workers=1, frame_count=None)
        self.tracks = LiveTracks(
            options, models.embedder,
            depth_frames=config.cover.look_back_frames, depth_s=config.live.look_back_limit_s,
            disguise=make_disguise(config, models, log),
        )  # fmt: skip
        self._targets: dict[int, Float32Array] = {}
        self._renderer = make_renderer(
            config, models, targets=self._targets, originals=self.tracks.embeddings,
            seal=log.is_sealing, notices=notices, observer=status,
        )  # fmt: skip
        self._zones = PrivacyZones(config.rules.zones)
        self._blender = make_blender(config)
        self._people = people_rule(
            config.rules, models.detector, models.embedder,
            crop_size_px=models.generator.crop_size_px,
        )  # fmt: skip
        self._last: Frame | None = None
        self._last_wall_s = now()
        self._is_flushed = True
        self._stub_s: float | None = None
        self._failures = 0

    def _input_size(self) -> InputSize:
        full_px = input_side_px(self._info.size_hw, self._config.detector.long_side_px)
        return InputSize(full_px, may_shrink=self._config.live.smaller_input, now=self._now)

    def _make_finder(self) -> FaceFinder:
        return FaceFinder(
            self._models.detector,
            rotation_deg=self._info.rotation_deg,
            long_side_px=self._input.side_px,
        )

    def take(self, item: LiveItem) -> Iterator[Processed]:
        """What leaves because of the next item."""
        if isinstance(item, CopiedPacket):
            yield item
        elif isinstance(item, Frame):
            yield from self._take_frame(item)
        else:
            # Nobody knows what happened in between: all tracks end.
            yield from self.flush()
            if isinstance(item, FormatChanged):
                self._info = item.info
                self._input = self._input_size()
                self._finder = self._make_finder()
            yield item

    def _take_frame(self, frame: Frame) -> Iterator[Processed]:
        last, self._last = self._last, frame
        self._last_wall_s, self._stub_s = self._now(), None
        gap_s = 0.0 if last is None else frame.time_s - last.time_s
        if gap_s > self._config.live.longest_track_gap_s:
            yield from self.flush()
        if self._input.frame(self._dropped()):
            _log.warning("overload: the detector's input is now %d px wide", self._input.side_px)
            self._finder = self._make_finder()
        covered = self._zones.covered(frame)
        try:
            leaving = self.tracks.push(covered, self._finder.find(covered))
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

    def idle(self) -> Iterator[Processed]:
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

    def _stub(self, last: Frame, later_s: float) -> Stub:
        pts = last.pts + round(later_s / last.time_base)
        return Stub(
            self._blender.stub(
                last.size_hw, _STUB_TEXT, pts=pts, time_base=last.time_base, index=-1
            )
        )

    def flush(self) -> Iterator[Processed]:
        """The frames that are still held; all tracks end."""
        self._is_flushed = True
        yield from self._leave(self.tracks.flush())

    def _leave(self, planned: Sequence[PlannedFrame]) -> Iterator[Processed]:
        for one in planned:
            yield from self._rendered(one)
        ended, self.tracks.ended = tuple(self.tracks.ended), []
        if ended:
            # Who comes back later is protected anew, since the log forgets them.
            in_use = set(self.tracks.identities.values())
            for identity in self._targets.keys() - in_use:
                del self._targets[identity]
            # Behind the last frames that they are in, which the log must still know them by.
            yield TracksEnded(ended)

    def _rendered(self, planned: PlannedFrame) -> Iterator[Processed]:
        frame, plan = planned.frame, planned.plan
        if self._people is not None:
            plan, shown = self._people.apply(frame, plan)
            for one in shown:
                yield self._shown_note(one, frame)
        yield self._renderer.render(frame, plan)

    def _shown_note(self, shown: Shown, frame: Frame) -> Note:
        who = f"taken for {shown.who}" if shown.who else "taken for nobody who is to be hidden"
        text = f"track {shown.track_id} stays visible from {frame.time_s:.3f} s on: {who}"
        _log.info("%s", text)
        return Note("visible", text)

    def _update_identities(self) -> None:
        for track_id, identity in self.tracks.identities.items():
            self._key_log.assign(track_id, identity)
            if identity not in self._targets and identity in self.tracks.embeddings:
                original = self.tracks.embeddings[identity]
                self._targets[identity] = self._key_log.protect(
                    identity, original, self.tracks.attempts.get(identity, 0)
                )
