"""Re-association: tracks of one person get one identity, after occlusion or leaving the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engines.arrays import Float32Array, Float64Array
from streamer.association import box_overlaps, box_sides_px
from streamer.track_table import TrackTable

__all__ = [
    "ReassociationOptions",
    "RecentlyLost",
    "TrackSummary",
    "group_tracks",
    "reassociate",
    "summarise",
]


@dataclass(frozen=True, slots=True)
class ReassociationOptions:
    """When two tracks are one person.

    Attributes:
        min_cosine: of the mean embeddings, anywhere within `max_gap_s`.
        near_cosine: enough when the later track begins where and when the earlier one ended.
        max_gap_s: longest absence; longer ones are another appearance, which is not linked.
        near_gap_s: "when".
        near_iou: "where".
        max_overlap_s: two tracks seen together for longer are two people.
        max_speed_ratio_per_s: of the way within a shot, in face sizes a second.
    """

    min_cosine: float = 0.45
    near_cosine: float = 0.25
    max_gap_s: float = 10.0
    near_gap_s: float = 0.8
    near_iou: float = 0.2
    max_overlap_s: float = 0.1
    max_speed_ratio_per_s: float = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class TrackSummary:
    """Where and when a track began and ended.

    Attributes:
        track_id: number of the track.
        first_s: time of the first sighting.
        last_s: time of the last sighting.
        first_box_xyxy_px: (4,) float32.
        last_box_xyxy_px: (4,) float32.
        shot: number of its shot.
        embedding: (D,) float32 unit mean embedding, or None.
    """

    track_id: int
    first_s: float
    last_s: float
    first_box_xyxy_px: Float32Array
    last_box_xyxy_px: Float32Array
    shot: int
    embedding: Float32Array | None = None


def summarise(table: TrackTable, embeddings: Mapping[int, Float32Array]) -> list[TrackSummary]:
    """The summaries of all tracks of a table, in the order of their ids."""
    times_s, shots = table.times_s, table.shots
    return [
        TrackSummary(
            track_id,
            float(times_s[seen.frames[0]]),
            float(times_s[seen.frames[-1]]),
            seen.boxes_xyxy_px[0].copy(),
            seen.boxes_xyxy_px[-1].copy(),
            int(shots[seen.frames[0]]),
            embeddings.get(track_id),
        )
        for track_id, seen in table.tracks()
    ]


def _link(first: TrackSummary, second: TrackSummary, options: ReassociationOptions) -> float | None:
    """How surely the later track is the earlier one's person; None when it cannot be."""
    early, late = (first, second) if first.first_s <= second.first_s else (second, first)
    gap_s = late.first_s - early.last_s
    if gap_s < -options.max_overlap_s or gap_s > options.max_gap_s:
        return None
    before, after = early.last_box_xyxy_px[None], late.first_box_xyxy_px[None]
    is_near = False
    if early.shot == late.shot:
        side = float(max(box_sides_px(before)[0], box_sides_px(after)[0]))
        way = (before[0, :2] + before[0, 2:] - after[0, :2] - after[0, 2:]) / 2
        limit = 1.0 + options.max_speed_ratio_per_s * max(gap_s, 0.0)
        if float(np.hypot(way[0], way[1])) > limit * side:
            return None
        overlap = float(box_overlaps(before, after)[0, 0])
        is_near = gap_s <= options.near_gap_s and overlap >= options.near_iou
    if early.embedding is None or late.embedding is None:
        return 0.0 if is_near else None
    cosine = float(early.embedding @ late.embedding)
    return cosine if cosine >= (options.near_cosine if is_near else options.min_cosine) else None


def _unit(vector: Float32Array | Float64Array) -> Float64Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float64)


class _Person:
    """Tracks taken for one person so far."""

    def __init__(self, track: TrackSummary) -> None:
        self.tracks = [track]

    def is_other_than(self, other: _Person, options: ReassociationOptions) -> bool:
        """Whether the two were seen at the same time, or do not look alike as a whole."""
        for mine in self.tracks:
            for their in other.tracks:
                shared_s = min(mine.last_s, their.last_s) - max(mine.first_s, their.first_s)
                if shared_s > options.max_overlap_s:
                    return True
        mine_mean, their_mean = self.mean(), other.mean()
        if mine_mean is None or their_mean is None:
            return False
        return float(mine_mean @ their_mean) < options.near_cosine

    def mean(self) -> Float64Array | None:
        known = [track.embedding for track in self.tracks if track.embedding is not None]
        return _unit(np.mean(known, axis=0)) if known else None


def reassociate(
    table: TrackTable,
    embeddings: Mapping[int, Float32Array],
    options: ReassociationOptions | None = None,
) -> dict[int, int]:
    """Find the tracks of each person of a recording.

    Args:
        table: all that was seen.
        embeddings: track id to its (D,) unit mean embedding, where there is one.
        options: when two tracks are one person.

    Returns:
        Every track id to its identity id, the id of the person's first track that has an embedding
        (of the first track, when none has).
    """
    return group_tracks(summarise(table, embeddings), options or ReassociationOptions())


def group_tracks(summaries: list[TrackSummary], options: ReassociationOptions) -> dict[int, int]:
    """The same from summaries, surest pairs first."""
    by_start = sorted(summaries, key=lambda track: track.first_s)
    links: list[tuple[float, int, int]] = []
    for i, early in enumerate(by_start):
        for late in by_start[i + 1 :]:
            if late.first_s > early.last_s + options.max_gap_s:
                break
            score = _link(early, late, options)
            if score is not None:
                links.append((score, early.track_id, late.track_id))
    people = {track.track_id: _Person(track) for track in summaries}
    for _, first, second in sorted(links, key=lambda link: (-link[0], link[1], link[2])):
        one, other = people[first], people[second]
        if one is other or one.is_other_than(other, options):
            continue
        one.tracks.extend(other.tracks)
        for track in other.tracks:
            people[track.track_id] = one
    return {track_id: _identity_of(person) for track_id, person in people.items()}


def _identity_of(person: _Person) -> int:
    known = [track for track in person.tracks if track.embedding is not None]
    return min(known or person.tracks, key=lambda track: track.track_id).track_id


class RecentlyLost:
    """The same for a live source: a new track against those that ended lately. Not thread-safe.

    Args:
        options: when two tracks are one person.
    """

    def __init__(self, options: ReassociationOptions | None = None) -> None:
        self._options = options or ReassociationOptions()
        self._lost: list[tuple[TrackSummary, int]] = []

    def add(self, track: TrackSummary, identity_id: int) -> None:
        """Remember a track that ended, and the identity it had."""
        self._lost.append((track, identity_id))

    def identities(self, now_s: float) -> set[int]:
        """Those that a track which begins now could still have; the others are forgotten."""
        limit_s = now_s - self._options.max_gap_s
        self._lost = [entry for entry in self._lost if entry[0].last_s >= limit_s]
        return {identity for _, identity in self._lost}

    def identity_of(self, track: TrackSummary) -> int:
        """The identity of a new track: that of the lost one it continues, or its own id.

        An identity is given back once only, since the person can be in one place only.
        """
        self.identities(track.first_s)
        links = [(_link(entry[0], track, self._options), entry) for entry in self._lost]
        sure = [(score, entry) for score, entry in links if score is not None]
        if not sure:
            return track.track_id
        _, best = max(sure, key=lambda pair: pair[0])
        self._lost = [entry for entry in self._lost if entry is not best]
        return best[1]
