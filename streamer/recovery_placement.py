"""Placement: which frame of a recording a frame of a video file is, after cuts and re-muxing.

The log's digests prove for whole groups of pictures that they are what was recorded, and tell their
times in the log. Frames of other groups can only be placed by their time, between or beside proven
ones; that is said of them, and where even this is ambiguous they are not placed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from streamer.key_log_records import VideoDigest
from streamer.video_verify import VideoReport, compare_segments, match_segments

__all__ = ["Placed", "PlacedHow", "Placement", "place_segments"]

PlacedHow = Literal["proven", "by time", "not"]
# Containers round times, Matroska to a millisecond; a file and its log may both have been rounded.
_TOLERANCE_S: Final = Fraction(11, 10000)
_SHIFT_TOLERANCE_S: Final = Fraction(2, 1000)


_SPAN: Final = "{0.frames} frame(s) from {0.first_s:.3f} s to {0.last_s:.3f} s "
_WORDS: Final[dict[PlacedHow, str]] = {
    "by time": _SPAN + "were placed by their time alone: nothing proves that they are frames of "
    "this recording",
    "not": _SPAN + "could not be placed in the recording; nothing was brought back in them",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a frame belongs.

    Attributes:
        log_s: its time in the log, None if it cannot be told.
        how: "proven" by a digest, "by time" alone, or "not".
        tolerance_s: how far off the time may be.
    """

    log_s: Fraction | None
    how: PlacedHow
    tolerance_s: Fraction = _TOLERANCE_S


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A group of pictures of the file, and how its times lead to the log's."""

    first_s: Fraction
    last_s: Fraction
    log_first_s: Fraction
    rate: Fraction
    how: PlacedHow
    tolerance_s: Fraction

    def place(self, time_s: Fraction) -> Placed:
        if self.how == "not":
            return Placed(None, "not")
        log_s = self.log_first_s + (time_s - self.first_s) * self.rate
        return Placed(log_s, self.how, self.tolerance_s)


@dataclass(slots=True)
class _Tally:
    """Frames placed in one way, one stretch of time after the other."""

    how: PlacedHow
    first_s: float
    last_s: float
    frames: int = 1


class Placement:
    """Places frames one after the other, and counts how. Not thread-safe.

    Attributes:
        verified: the comparison of the file's segments with the log's.
        counts: frames placed in each way so far.

    Args:
        verified: the same.
        stretches: the file's groups of pictures by ascending time; empty: times are the log's own.
    """

    def __init__(self, verified: VideoReport, stretches: Sequence[_Stretch]) -> None:
        self.verified = verified
        self.counts: Counter[PlacedHow] = Counter()
        self._stretches = tuple(stretches)
        self._starts = [stretch.first_s for stretch in stretches]
        self._spans: list[_Tally] = []

    def again(self) -> Placement:
        """The same with nothing counted, for another pass over the file."""
        return Placement(self.verified, self._stretches)

    def of(self, time_s: Fraction) -> Placed:
        """Where the frame at a time of the file belongs."""
        if not self._stretches:
            return Placed(time_s, "by time")
        number = bisect_right(self._starts, time_s + _TOLERANCE_S) - 1
        return Placed(None, "not") if number < 0 else self._stretches[number].place(time_s)

    def count(self, time_s: Fraction, placed: Placed) -> None:
        """Note that a frame was placed."""
        self.counts[placed.how] += 1
        last = self._spans[-1] if self._spans else None
        if last is not None and last.how == placed.how:
            last.last_s, last.frames = float(time_s), last.frames + 1
        else:
            self._spans.append(_Tally(placed.how, float(time_s), float(time_s)))

    def words(self) -> tuple[str, ...]:
        """What is known about the places of all frames counted so far, one sentence each."""
        total, proven = sum(self.counts.values()), self.counts["proven"]
        head = f"{proven} of {total} frames are proven, by digests, to be frames of this recording"
        doubtful = [span for span in self._spans if span.how in _WORDS]
        return (head, *(_WORDS[span.how].format(span) for span in doubtful))


def place_segments(
    listed: Sequence[VideoDigest],
    found: Sequence[VideoDigest],
    *,
    log_time_base: Fraction,
    video_time_base: Fraction,
) -> Placement:
    """Match a file's groups of pictures with those that a log lists.

    Args:
        listed: the log's digests, by slices.
        found: the file's, made by `SegmentDigester`.
        log_time_base: seconds per pts unit of the log.
        video_time_base: seconds per pts unit of the file.
    """
    verified = compare_segments(
        listed, found, log_time_base=log_time_base, video_time_base=video_time_base
    )
    if not verified.matched:
        # Coded anew, or a log without digests: times are all there is, and they are the log's own.
        return Placement(verified, ())
    matches = match_segments(listed, found)
    stretches: list[_Stretch | None] = []
    for segment, number in zip(found, matches, strict=True):
        match = None if number is None else listed[number]
        stretches.append(_proven(segment, match, log_time_base, video_time_base))
    whole = [
        stretch or _between(stretches, at, segment, video_time_base)
        for at, (stretch, segment) in enumerate(zip(stretches, found, strict=True))
    ]
    return Placement(verified, tuple(sorted(whole, key=lambda stretch: stretch.first_s)))


def _proven(
    segment: VideoDigest, match: VideoDigest | None, log_unit: Fraction, unit: Fraction
) -> _Stretch | None:
    if match is None:
        return None
    first_s, last_s = segment.first_pts * unit, segment.last_pts * unit
    log_first_s, log_last_s = match.first_pts * log_unit, match.last_pts * log_unit
    rate, tolerance_s = Fraction(1), _TOLERANCE_S
    if abs((last_s - first_s) - (log_last_s - log_first_s)) > _SHIFT_TOLERANCE_S:
        # Shown faster or slower: the frames are the same, in the same order.
        rate = (log_last_s - log_first_s) / (last_s - first_s) if last_s > first_s else Fraction(0)
        tolerance_s = max(_TOLERANCE_S, (log_last_s - log_first_s) / (4 * match.frames))
    return _Stretch(first_s, last_s, log_first_s, rate, "proven", tolerance_s)


def _between(
    stretches: Sequence[_Stretch | None], at: int, segment: VideoDigest, unit: Fraction
) -> _Stretch:
    """An unproven group: placed like its proven neighbours, if they agree."""
    first_s, last_s = segment.first_pts * unit, segment.last_pts * unit
    before = next((s for s in reversed(stretches[:at]) if s is not None), None)
    after = next((s for s in stretches[at + 1 :] if s is not None), None)
    shifts = [s.log_first_s - s.first_s for s in (before, after) if s is not None]
    do_agree = max(shifts) - min(shifts) <= _SHIFT_TOLERANCE_S
    is_steady = all(s is None or s.rate == 1 for s in (before, after))
    how: PlacedHow = "by time" if do_agree and is_steady else "not"
    return _Stretch(first_s, last_s, first_s + shifts[0], Fraction(1), how, _TOLERANCE_S)
