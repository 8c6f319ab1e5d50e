"""The sound of a live job: copied, muted or left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from streamer.frames import CopiedPacket
from streamer.media_info import CopyStream, MediaInfo
from streamer.sink_silence import Silence, silence_for

__all__ = ["LiveSound"]


class LiveSound:
    """Decides about each copied stream. One thread at a time.

    Muted sound keeps its stream and its times, with silence in its packets; sound of a codec that
    no silence is known for is left out, which is silent as well.

    Args:
        mode: what is asked for.
        drops: leave all sound out whatever `mode` says.
    """

    def __init__(self, mode: Literal["copy", "mute", "drop"], *, drops: bool) -> None:
        self._mode: Literal["copy", "mute", "drop"] = "drop" if drops else mode
        self._passed: frozenset[int] = frozenset()
        self._silence: dict[int, Silence] = {}

    def kept(self, info: MediaInfo) -> MediaInfo:
        """The facts with those streams only that go to the outputs; to be asked at each change."""
        self._silence.clear()
        kept = tuple(stream for stream in info.copy_streams if self._keeps(stream))
        self._passed = frozenset(stream.index for stream in kept)
        return info if kept == info.copy_streams else replace(info, copy_streams=kept)

    def _keeps(self, stream: CopyStream) -> bool:
        if stream.kind != "audio" or self._mode == "copy":
            return True
        silence = silence_for(stream) if self._mode == "mute" else None
        if silence is None:
            return False
        self._silence[stream.index] = silence
        return True

    def passed(self, packet: CopiedPacket) -> CopiedPacket | None:
        """A packet as it goes on, None when it does not."""
        if packet.stream_index not in self._passed:
            return None
        silence = self._silence.get(packet.stream_index)
        return packet if silence is None else replace(packet, data=silence.of(packet.data))
