"""KeyLogCursor: the records of one frame after the other, with flat memory."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from engines.errors import KeyLogTamperedError
from streamer.key_log_chunks import ChunkKind
from streamer.key_log_framing import ChunkRef
from streamer.key_log_records import Face, Record, SealedPatch, Thumbnail, TrackRecord

__all__ = ["ChunkSource", "FrameRecords", "KeyLogCursor"]

_EMPTY: Final[tuple[()]] = ()


class ChunkSource(Protocol):
    """A log that was opened: by a key (`KeyLogReader`) or through a grant (`GrantReader`)."""

    @property
    def chunks(self) -> tuple[ChunkRef, ...]:
        """The chunks that can be read, in file order."""
        ...

    def read_chunk(self, ref: ChunkRef) -> tuple[Record, ...]:
        """Decrypt one chunk; KeyLogTamperedError if it was changed."""
        ...


@dataclass(frozen=True, slots=True)
class FrameRecords:
    """What the log holds for one frame.

    Attributes:
        pts: the frame.
        faces: one for each face that was covered.
        patches: sealed original regions.
        thumbnails: small pictures of original faces.
    """

    pts: int
    faces: tuple[Face, ...]
    patches: tuple[SealedPatch, ...]
    thumbnails: tuple[Thumbnail, ...]


class KeyLogCursor:
    """Walks through a log's frames by ascending pts. Not thread-safe.

    Holds the decoded chunks whose span reaches over the current pts and no others.

    Args:
        reader: stays open while this is used.
        track_ids: only these tracks; None for all.
        salvage: leave out damaged chunks (named in `reader.damage`) instead of raising.
    """

    def __init__(
        self,
        reader: ChunkSource,
        *,
        track_ids: Collection[int] | None = None,
        salvage: bool = False,
    ) -> None:
        self._reader = reader
        self._salvage = salvage
        self._waiting = sorted(
            (
                ref
                for ref in reader.chunks
                if ref.prefix.kind is ChunkKind.TRACK_DATA
                and (track_ids is None or ref.prefix.track_id in track_ids)
            ),
            key=lambda ref: (ref.prefix.first_pts, ref.prefix.index),
            reverse=True,
        )
        self._records: dict[int, list[TrackRecord]] = {}
        self._order: list[int] = []

    def at(self, pts: int) -> FrameRecords:
        """The records of a frame; frames must be asked for in ascending order.

        Raises:
            KeyLogTamperedError: a chunk that reaches over this frame was changed.
        """
        self._advance(pts, pts)
        return self._found(pts)

    def near(self, pts: int, tolerance: int) -> FrameRecords:
        """The records of the frame nearest to a time that a container has rounded.

        Args:
            pts: the time; times must be asked for in ascending order.
            tolerance: largest distance, in the log's units.

        Raises:
            KeyLogTamperedError: a chunk that reaches over this time was changed.
        """
        self._advance(pts - tolerance, pts + tolerance)
        close = [key for key in self._records if abs(key - pts) <= tolerance]
        return self._found(min(close, key=lambda key: abs(key - pts)) if close else pts)

    def _advance(self, first_pts: int, last_pts: int) -> None:
        while self._waiting and self._waiting[-1].prefix.first_pts <= last_pts:
            ref = self._waiting.pop()
            if ref.prefix.last_pts >= first_pts:
                self._load(ref)
        while self._order and self._order[0] < first_pts:
            self._records.pop(heapq.heappop(self._order), None)

    def _found(self, pts: int) -> FrameRecords:
        found = self._records.get(pts, _EMPTY)
        return FrameRecords(
            pts,
            tuple(record for record in found if isinstance(record, Face)),
            tuple(record for record in found if isinstance(record, SealedPatch)),
            tuple(record for record in found if isinstance(record, Thumbnail)),
        )

    def _load(self, ref: ChunkRef) -> None:
        try:
            records = self._reader.read_chunk(ref)
        except KeyLogTamperedError:
            if not self._salvage:
                raise
            return
        for record in records:
            if isinstance(record, TrackRecord):
                if record.pts not in self._records:
                    self._records[record.pts] = []
                    heapq.heappush(self._order, record.pts)
                self._records[record.pts].append(record)
