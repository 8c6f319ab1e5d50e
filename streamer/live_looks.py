"""Looks at a camera: every frame is looked at, unless finding is late and its neighbours agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engines.types import Detections
from streamer.channel import Channel
from streamer.face_finder import FaceFinder
from streamer.frames import CopiedPacket, Frame
from streamer.live_source import LiveItem
from streamer.scene_cut import thumbnail
from streamer.sparse_finder import Sample, SparseFinder, SparseOptions

__all__ = ["LiveLooks", "waiting_together"]

# Looks that are farther apart prove less (docs/decisions/0040), and more frames at once come later.
_MOST_AT_ONCE: Final = 2


def waiting_together(
    channel: Channel[LiveItem], timeout_s: float, *, most_frames: int
) -> list[LiveItem]:
    """The next item; when it is a frame and others wait behind it already, those as well.

    Args:
        channel: what comes from the camera.
        timeout_s: longest wait for the first of them; there is none for the others.
        most_frames: so many frames at most.

    Returns:
        Nothing when none came in time, or none will come. Only the last one may be something else
        than a frame or a packet.

    Raises:
        Cancelled: the channel was cancelled.
    """
    items: list[LiveItem] = []
    frames = 0
    item = channel.receive(timeout_s)
    while item is not None:
        items.append(item)
        frames += isinstance(item, Frame)
        if not 0 < frames < most_frames or not isinstance(item, Frame | CopiedPacket):
            break
        item = channel.receive(0.0)
    return items


class LiveLooks:
    """Finds the faces of frames as they come. Not thread-safe.

    Of frames that wait together the last one is looked at first. When it agrees with the look
    before, by the rules of `SparseFinder` for files, those between need none of their own; so a
    camera that was late catches up without waiting for anything, and without dropping frames.

    Args:
        finder: looks at a frame.
        options: when two looks agree; a stride of 1 means that every frame is looked at.
    """

    def __init__(self, finder: FaceFinder, options: SparseOptions) -> None:
        self._finder = SparseFinder(finder, options)
        self._last: tuple[Sample, Detections] | None = None

    @property
    def most_at_once(self) -> int:
        """How many frames that wait are worth taking together."""
        return min(self._finder.options.stride, _MOST_AT_ONCE)

    def find(self, frames: Sequence[Frame]) -> list[Detections]:
        """The faces of the next frames, at least one, in order.

        Raises:
            EngineRunError: the network failed; nothing is known of any of them.
        """
        *between, newest = [Sample(one, thumbnail(one.pixels[: one.size_hw[0]])) for one in frames]
        before, self._last = self._last, None
        found = self._finder.look(newest)
        if before is None or self._finder.options.stride < 2:
            earlier = [self._finder.look(sample) for sample in between]
        else:
            earlier = self._finder.between(before, between, (newest, found))
        self._last = newest, found
        return [*earlier, found]

    def forget(self) -> None:
        """What comes next has nothing to do with what was seen before."""
        self._last = None
