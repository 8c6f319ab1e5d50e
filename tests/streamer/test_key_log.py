from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import KeyLogError, KeyLogTamperedError, WrongPasswordError
from streamer.key_log import (
    End,
    KeyLogCursor,
    KeyLogReader,
    Recipient,
    Record,
    ScopeKey,
    inspect_outer,
)
from streamer.key_log_chunks import ChunkKind
from streamer.keys import KeyScope
from tests.key_log_forge import (
    PASSWORD,
    identity,
    make_header,
    make_patch,
    make_track,
    sample_records,
    write_log,
)
from tests.key_log_vectors import describe


def test_gives_back_what_was_written(tmp_path: Path) -> None:
    records = sample_records()
    path = write_log(tmp_path / "a.keylog", records)
    with KeyLogReader.open(path, PASSWORD) as reader:
        found = list(reader.records())
        assert reader.is_complete
        assert reader.header == make_header()
        assert reader.damage == ()
    assert isinstance(found[-1], End)
    by_text = sorted(str(describe(record)) for record in found[:-1])
    assert by_text == sorted(str(describe(record)) for record in records)


def test_end_counts_what_was_written(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", sample_records())
    with KeyLogReader.open(path, PASSWORD) as reader:
        end = reader.end()
    assert end == End(
        frames=4, tracks=2, faces=4, generated=3, filled=1, first_pts=3000, last_pts=12000
    )


def test_one_key_opens_for_each_recipient(tmp_path: Path) -> None:
    guests = (Recipient("a", identity(1).public), Recipient("b", identity(2).public))
    path = write_log(tmp_path / "a.keylog", sample_records(), password=None, recipients=guests)
    for number in (1, 2):
        with KeyLogReader.open(path, identities=[identity(number)]) as reader:
            assert len(list(reader.records())) == len(sample_records()) + 1
    with pytest.raises(WrongPasswordError):
        KeyLogReader.open(path, identities=[identity(3)])
    with pytest.raises(WrongPasswordError, match="secret key"):
        KeyLogReader.open(path, PASSWORD)


def test_older_header_is_refused_when_told(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", [])
    KeyLogReader.open(path, PASSWORD, min_generation=0).close()
    with pytest.raises(KeyLogTamperedError, match="generation"):
        KeyLogReader.open(path, PASSWORD, min_generation=1)


def test_large_patches_are_split_over_chunks(tmp_path: Path) -> None:
    records: list[Record] = [make_track()]
    records += [make_patch(pts=pts, size=200_000) for pts in range(12)]
    path = write_log(tmp_path / "a.keylog", records)
    with KeyLogReader.open(path, PASSWORD) as reader:
        sizes = [c.prefix.body_size for c in reader.chunks if c.prefix.kind is ChunkKind.TRACK_DATA]
        assert len(list(reader.records())) == 14
    assert len(sizes) == 6
    assert max(sizes) < 512 * 1024


def test_cursor_gives_each_frame_its_records(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", sample_records())
    with KeyLogReader.open(path, PASSWORD) as reader:
        cursor = KeyLogCursor(reader)
        counts = [(len(f.faces), len(f.patches)) for f in map(cursor.at, range(0, 15000, 3000))]
        assert counts == [(0, 0), (1, 1), (1, 1), (1, 0), (1, 0)]
        only = KeyLogCursor(reader, track_ids=[5])
        assert [len(only.at(pts).faces) for pts in (3000, 9000, 12000)] == [0, 1, 1]


def test_rotation_keys_come_from_the_track_or_its_scope(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", [make_track(2)])
    with KeyLogReader.open(path, PASSWORD) as reader:
        (track,) = reader.tracks()[2]
        assert reader.rotation_key(track) == bytes([9] * 32)
    wide = make_track(scope=KeyScope.RECORDING, scope_id="", key=None)
    key = ScopeKey(KeyScope.RECORDING, "", bytes([1] * 32))
    path = write_log(tmp_path / "b.keylog", [key, wide])
    with KeyLogReader.open(path, PASSWORD) as reader:
        assert reader.rotation_key(reader.tracks()[0][0]) == key.key
    path = write_log(tmp_path / "c.keylog", [wide])
    with KeyLogReader.open(path, PASSWORD) as reader, pytest.raises(KeyLogTamperedError):
        reader.rotation_key(reader.tracks()[0][0])


def test_outside_shows_time_and_tracks_only(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", sample_records())
    report = inspect_outer(path)
    assert (report.tracks, report.first_pts, report.last_pts) == (2, 3000, 20000)
    assert report.duration_s == pytest.approx((20000 - 3000) / 90000)
    assert report.is_complete
    assert report.damage == ()
    assert report.end is not None
    assert report.end.faces == 4
    body = path.read_bytes()
    for secret in (b"camera at gate", bytes(range(40)), bytes([7] * 32)):
        assert secret not in body


def test_missing_log_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(KeyLogError, match="No such file"):
        KeyLogReader.open(tmp_path / "none", PASSWORD)
    with pytest.raises(KeyLogError, match="No such file"):
        inspect_outer(tmp_path / "none")


def test_nothing_secret_in_texts(tmp_path: Path) -> None:
    track = make_track(z=np.full(4, 0.123, np.float32))
    texts = [repr(track), repr(ScopeKey(KeyScope.RECORDING, "", bytes([7] * 32)))]
    texts += [repr(make_patch()), repr(identity(1))]
    path = write_log(tmp_path / "a.keylog", [track])
    with pytest.raises(WrongPasswordError) as caught:
        KeyLogReader.open(path, b"tell nobody this")
    texts.append(str(caught.value))
    with KeyLogReader.open(path, PASSWORD) as reader:
        texts.append(repr(reader))
    everything = " ".join(texts)
    for secret in ("0.123", "\\x07", "070707", "tell nobody", "six random"):
        assert secret not in everything


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sizes=st.lists(
        st.one_of(
            st.integers(1, 300),
            st.integers(512 * 1024 - 60, 512 * 1024 + 60),
            st.integers(256 * 1024 - 60, 256 * 1024 + 60),
        ),
        max_size=5,
    )
)
def test_sizes_around_the_chunk_limit_survive(tmp_path: Path, sizes: list[int]) -> None:
    records: list[Record] = [make_track()]
    records += [replace(make_patch(pts=i), payload=bytes(size)) for i, size in enumerate(sizes)]
    path = tmp_path / "a.keylog"
    path.unlink(missing_ok=True)
    write_log(path, records)
    with KeyLogReader.open(path, PASSWORD) as reader:
        found = list(reader.records())
    assert [len(r.payload) for r in found if hasattr(r, "payload")] == sizes
