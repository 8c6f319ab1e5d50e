"""RecoverySink: writes a video whose faces were brought back on purpose.

Apart from `streamer.sink`, so that the path of anonymised video has no way in for other frames.
"""

from __future__ import annotations

from streamer.restorer import RecoveredFrame
from streamer.sink import Sink

__all__ = ["RecoverySink"]


class RecoverySink(Sink):
    """An output file for recovered frames; `copy`, `close` and `abort` are those of `Sink`."""

    def write_recovered(self, frame: RecoveredFrame) -> None:
        """Encode and write one frame.

        Raises:
            TypeError: this is not a recovered frame.
            ValueError: its time is not later than the one before, or its size another.
            SinkError: it cannot be written.
        """
        if not isinstance(frame, RecoveredFrame):
            raise TypeError(f"only RecoveredFrame may be written, got {type(frame).__name__}")
        self._write_picture(frame.pixels, frame.color, frame.pts, frame.time_base)
