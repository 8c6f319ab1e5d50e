"""What the outputs of a live job get, and what they must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from streamer.frames import CopiedPacket
from streamer.sink_coded import CodedPicture, CodedVideo

__all__ = ["Cut", "OutputItem", "OutputTarget"]


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A new piece begins; the next picture is a key frame.

    Attributes:
        label: of the piece; goes into the names of files.
        video: what the pictures are like from here on.
        start_pts: pts of the first picture.
        shift: added to the times in files, in units of the video's time base.
        is_new_video: the pictures are not like those before.
    """

    label: str
    video: CodedVideo
    start_pts: int
    shift: int
    is_new_video: bool


OutputItem: TypeAlias = CodedPicture | CopiedPacket | Cut


class OutputTarget(Protocol):
    """Where an output goes. Called by its worker's thread only."""

    @property
    def renews(self) -> Literal["on cut", "on new video"]:
        """Which cuts end it: files begin anew with each, connections only with a new format."""
        ...

    def is_ready(self) -> bool:
        """A cheap look whether `open` may succeed, after it has failed."""
        ...

    def open(self, cut: Cut) -> None:
        """Begin; raises SinkError."""
        ...

    def write(self, item: CodedPicture | CopiedPacket) -> None:
        """Write one item; raises SinkError."""
        ...

    def close(self) -> None:
        """End in good order; raises SinkError. Nothing when it is not open."""
        ...

    def abandon(self) -> None:
        """End somehow; never fails."""
        ...
