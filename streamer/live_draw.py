"""The drawing stage of a live job: the only one that makes frames which may be shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from engines.arrays import Float32Array
from streamer.config import AppConfig
from streamer.face_reuse import FaceReuse
from streamer.frames import Frame
from streamer.job_options import make_blender, make_renderer
from streamer.key_log import Note
from streamer.live_items import Drawn, Found, FrameToDraw, Stub, StubToDraw
from streamer.media_info import Notices
from streamer.models import Models
from streamer.people import Shown, people_rule
from streamer.renderer import RenderObserver

__all__ = ["LiveDraw"]

_log = logging.getLogger(__name__)

_STUB_TEXT: Final = "NO SIGNAL"


class LiveDraw:
    """Draws what was planned, in order. Not thread-safe; shares nothing with the finding stage.

    Args:
        models: the networks.
        config: how faces are covered, and who stays visible.
        has_log: somebody takes what the key log keeps of original faces.
        notices: told when the generator fails.
        observer: told each time it fails or a guard refuses a face.
        age_s: seconds since a frame arrived, None if nobody knows.

    Raises:
        ConfigError: a reference picture cannot be used.
    """

    def __init__(
        self,
        models: Models,
        config: AppConfig,
        *,
        has_log: bool,
        notices: Notices,
        observer: RenderObserver,
        age_s: Callable[[Frame], float | None],
    ) -> None:
        self._age_s, self._late_after_s = age_s, config.live.reuse_after_s
        self._targets: dict[int, Float32Array] = {}
        self._originals: dict[int, Float32Array] = {}
        self._renderer = make_renderer(
            config, models, targets=self._targets, originals=self._originals,
            has_log=has_log, notices=notices, observer=observer, reuse=FaceReuse(),
        )  # fmt: skip
        self._blender = make_blender(config)
        self._people = people_rule(
            config.rules, models.detector, models.embedder,
            crop_size_px=models.generator.crop_size_px,
        )  # fmt: skip

    def take(self, item: Found) -> Iterator[Drawn]:
        """What leaves because of the next item.

        Raises:
            CoverageError: a face cannot be covered.
        """
        if isinstance(item, FrameToDraw):
            yield from self._drawn(item)
        elif isinstance(item, StubToDraw):
            yield Stub(
                self._blender.stub(
                    item.size_hw, _STUB_TEXT, pts=item.pts, time_base=item.time_base, index=-1
                )
            )
        else:
            yield item

    def _drawn(self, item: FrameToDraw) -> Iterator[Drawn]:
        # What was known when this frame was planned, no more: a face is drawn from the frame on
        # that the key log knows it by.
        self._targets.clear()
        self._originals.clear()
        for identity, face in item.new_faces.items():
            self._targets[identity], self._originals[identity] = face.target, face.original
        plan = item.plan
        if self._people is not None:
            plan, shown = self._people.apply(item.frame, plan)
            for one in shown:
                yield _shown_note(one, item.frame)
        yield self._renderer.render(item.frame, plan, is_late=self._is_late(item))

    def _is_late(self, item: FrameToDraw) -> bool:
        age_s = self._age_s(item.frame)
        after_s = self._late_after_s
        return after_s is not None and age_s is not None and age_s - item.held_s > after_s


def _shown_note(shown: Shown, frame: Frame) -> Note:
    who = f"taken for {shown.who}" if shown.who else "taken for nobody who is to be hidden"
    text = f"track {shown.track_id} stays visible from {frame.time_s:.3f} s on: {who}"
    _log.info("%s", text)
    return Note("visible", text)
