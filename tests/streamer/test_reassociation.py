from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.arrays import Float32Array
from streamer.reassociation import (
    ReassociationOptions,
    RecentlyLost,
    TrackSummary,
    group_tracks,
    reassociate,
)
from tests.streamer.scenes import face_box, moving, table_of

OPTIONS = ReassociationOptions()


def person(number: int, noise: float = 0.5, seed: int = 0) -> Float32Array:
    """A unit embedding of this person, with noise of that norm."""
    base = np.random.default_rng(1000 + number).normal(size=512)
    extra = np.random.default_rng(seed).normal(size=512) * noise
    vector = base / np.linalg.norm(base) + extra / np.sqrt(512)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def track(
    track_id: int,
    first_s: float,
    last_s: float,
    embedding: Float32Array | None,
    *,
    x: float = 300,
    shot: int = 0,
) -> TrackSummary:
    box = face_box(x, 200)
    return TrackSummary(track_id, first_s, last_s, box, box, shot, embedding)


def test_a_person_who_comes_back_keeps_the_identity() -> None:
    tracks = [
        track(1, 0, 2, person(1, seed=1)),
        track(2, 0, 6, person(2, seed=2), x=500),
        track(3, 4, 6, person(1, seed=3)),
        track(4, 7, 9, person(1, seed=4), shot=1, x=20),
    ]
    assert group_tracks(tracks, OPTIONS) == {1: 1, 2: 2, 3: 1, 4: 1}


def test_people_seen_at_once_are_different_even_if_alike() -> None:
    tracks = [track(1, 0, 2, person(1)), track(2, 1, 3, person(1), x=320)]
    assert group_tracks(tracks, OPTIONS) == {1: 1, 2: 2}


def test_a_chain_does_not_join_people_seen_at_once() -> None:
    tracks = [
        track(1, 0, 2, person(1, seed=1)),
        track(2, 1, 2, person(1, seed=2), x=420),
        track(3, 3, 4, person(1, seed=3), x=350),
    ]
    identities = group_tracks(tracks, OPTIONS)
    assert identities[1] != identities[2]
    assert identities[3] in (1, 2)


def test_long_absences_are_not_linked() -> None:
    tracks = [track(1, 0, 2, person(1)), track(2, 2 + OPTIONS.max_gap_s + 1, 20, person(1))]
    assert group_tracks(tracks, OPTIONS) == {1: 1, 2: 2}


def test_nobody_jumps_across_the_picture() -> None:
    tracks = [track(1, 0, 2, person(1)), track(2, 2.1, 4, person(1), x=2000)]
    assert group_tracks(tracks, OPTIONS) == {1: 1, 2: 2}


def test_without_embeddings_only_the_place_counts() -> None:
    near = [track(1, 0, 2, None), track(2, 2.2, 4, person(1))]
    assert group_tracks(near, OPTIONS) == {1: 2, 2: 2}
    far = [track(1, 0, 2, None), track(2, 2.2, 4, person(1), x=400)]
    assert group_tracks(far, OPTIONS) == {1: 1, 2: 2}


def test_from_a_table() -> None:
    scene = moving(60, lambda t: (300, 200, 80), missing=range(20, 40))
    table = table_of(scene, cuts=[30])
    embeddings = {1: person(1, seed=1), 2: person(1, seed=2)}
    assert reassociate(table, embeddings) == {1: 1, 2: 1}
    assert reassociate(table, {1: person(1), 2: person(2)}) == {1: 1, 2: 2}
    assert reassociate(table_of([]), {}) == {}


@given(
    spans=st.lists(
        st.tuples(st.floats(0, 20), st.floats(0, 3), st.integers(1, 3), st.integers(0, 600)),
        max_size=12,
    )
)
def test_no_identity_is_in_two_places_at_once(
    spans: list[tuple[float, float, int, int]],
) -> None:
    tracks = [
        track(i + 1, start, start + length, person(who, seed=i), x=float(x))
        for i, (start, length, who, x) in enumerate(spans)
    ]
    identities = group_tracks(tracks, OPTIONS)
    assert set(identities) == {one.track_id for one in tracks}
    for one in tracks:
        assert identities[identities[one.track_id]] == identities[one.track_id]
        for other in tracks:
            if one is not other and identities[one.track_id] == identities[other.track_id]:
                shared_s = min(one.last_s, other.last_s) - max(one.first_s, other.first_s)
                assert shared_s <= OPTIONS.max_overlap_s


def test_live_gives_an_identity_back_once() -> None:
    lost = RecentlyLost()
    assert lost.identity_of(track(1, 0, 1, person(1))) == 1
    lost.add(track(1, 0, 2, person(1, seed=1)), 1)
    lost.add(track(2, 0, 2, person(2, seed=2), x=500), 2)
    assert lost.identity_of(track(3, 3, 3, person(1, seed=3))) == 1
    assert lost.identity_of(track(4, 3, 3, person(1, seed=4))) == 4
    assert lost.identity_of(track(5, 60, 60, person(2, seed=5))) == 5
