"""What the stages of a live job hand to each other; nothing of it is changed after it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from engines.arrays import Float32Array
from streamer.blender import AnonymizedFrame
from streamer.frames import CopiedPacket, Frame
from streamer.key_log import Note
from streamer.live_source import FormatChanged, Reconnected
from streamer.plan import FramePlan
from streamer.renderer import RenderedFrame

__all__ = ["Drawn", "Found", "FrameToDraw", "NewFace", "Stub", "StubToDraw", "TracksEnded"]


@dataclass(frozen=True, slots=True, eq=False)
class NewFace:
    """What one identity is drawn with.

    Attributes:
        target: (D,) unit embedding of the new face.
        original: (D,) unit embedding of the person, whom the new face must not look like.
    """

    target: Float32Array
    original: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class FrameToDraw:
    """A frame as the camera gave it, and all that is needed to anonymise it.

    Attributes:
        frame: the frame.
        plan: all its faces.
        new_faces: identity -> what it is drawn with; a face of another identity is covered.
        held_s: how much of its age is look-back, the time between it and the newest frame.
    """

    frame: Frame
    plan: FramePlan
    new_faces: Mapping[int, NewFace]
    held_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StubToDraw:
    """A made picture is due.

    Attributes:
        size_hw: even height and width.
        pts: its time.
        time_base: seconds per unit of `pts`.
    """

    size_hw: tuple[int, int]
    pts: int
    time_base: Fraction


@dataclass(frozen=True, slots=True, eq=False)
class Stub:
    """A made picture, for a time without a source."""

    frame: AnonymizedFrame


@dataclass(frozen=True, slots=True)
class TracksEnded:
    """These tracks are in no frame from here on; the key log may forget them."""

    track_ids: tuple[int, ...]


# From finding to drawing: the last place where there are pictures of the camera.
Found: TypeAlias = (
    FrameToDraw | StubToDraw | CopiedPacket | Reconnected | FormatChanged | TracksEnded
)
# From drawing to writing: no picture of the camera is among these.
Drawn: TypeAlias = (
    RenderedFrame | Stub | CopiedPacket | Reconnected | FormatChanged | TracksEnded | Note
)
