from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import (
    AnonymizerError,
    KeyLogError,
    KeyLogFormatError,
    KeyLogTamperedError,
    WrongPasswordError,
)
from streamer.key_log import Face, KeyLogCursor, KeyLogReader, Record, SealedPatch
from streamer.key_log_grant import GrantReader
from streamer.key_log_grant_format import TrackSpan, decode_grant, encode_grant
from streamer.key_log_grant_writer import grant_body, write_grant
from streamer.recovery_log import RecoveryLog
from tests.key_log_forge import (
    PASSWORD,
    flip,
    identity,
    make_face,
    make_header,
    make_patch,
    make_track,
    write_log,
)

FIRST, LAST = 25, 74


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tracks of 100 frames, in chunks of about 30."""
    records: list[Record] = [make_track(7), make_track(8)]
    for pts in range(100):
        for track_id in (7, 8):
            records += [make_face(track_id, pts=pts), make_patch(track_id, pts=pts, size=17_000)]
    return write_log(tmp_path_factory.mktemp("log") / "a.keylog", records)


def grant(log: Path, path: Path, *, with_identity: bool = False, track_id: int = 7) -> Path:
    with KeyLogReader.open(log, PASSWORD) as reader:
        body = grant_body(
            reader,
            [TrackSpan(track_id, FIRST, LAST)],
            granted_by="owner",
            reason="case 12",
            created_unix_us=5,
            with_identity=with_identity,
        )
        write_grant(path, body, core_hash=reader.core_hash, recipient=identity(1).public)
    return path


def all_records(reader: GrantReader) -> list[Record]:
    return [record for ref in reader.chunks for record in reader.read_chunk(ref)]


def test_opens_the_track_and_span_and_nothing_else(log: Path, tmp_path: Path) -> None:
    path = grant(log, tmp_path / "g")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with GrantReader.open(path, log, identity(1)) as reader:
        records = all_records(reader)
        faces = [r for r in records if isinstance(r, Face)]
        patches = [r for r in records if isinstance(r, SealedPatch)]
        assert {r.track_id for r in faces} == {r.track_id for r in patches} == {7}
        assert sorted(r.pts for r in faces) == list(range(FIRST, LAST + 1))
        assert sorted(r.pts for r in patches) == list(range(FIRST, LAST + 1))
        assert reader.tracks() == {}
        assert (reader.body.granted_by, reader.body.reason) == ("owner", "case 12")
        granted = {chunk.index for chunk in reader.body.chunks}
    # The keys in it open no other chunk, not even of the same track.
    with KeyLogReader.open(log, PASSWORD) as whole:
        inside = {
            ref.prefix.index
            for ref in whole.chunks
            if ref.prefix.track_id == 7
            and FIRST <= ref.prefix.first_pts <= ref.prefix.last_pts <= LAST
        }
        keys = {ref.prefix.index: whole.chunk_key(ref) for ref in whole.chunks}
    assert granted == inside
    assert len(set(keys.values())) == len(keys)


def test_serves_the_cursor(log: Path, tmp_path: Path) -> None:
    with GrantReader.open(grant(log, tmp_path / "g"), log, identity(1)) as reader:
        cursor = KeyLogCursor(reader)
        found = [len(cursor.at(pts).faces) + len(cursor.at(pts).patches) for pts in range(100)]
    assert found == [2 if FIRST <= pts <= LAST else 0 for pts in range(100)]


def test_serves_recovery(log: Path, tmp_path: Path) -> None:
    path = grant(log, tmp_path / "g")
    with GrantReader.open(path, log, identity(1)) as reader:
        recovery = RecoveryLog([reader], None)
        assert recovery.track_ids == {7}
        assert recovery.assisted_identities() == {}
        assert not recovery.digests()
        assert not recovery.gaps()
        assert recovery.spans_s().keys() == {7}
        with pytest.raises(KeyLogError, match="no track 8"):
            RecoveryLog([reader], [8])
        assert reader.is_complete
        assert reader.damage == ()
    # A changed chunk is named, and with `salvage` left out.
    changed = tmp_path / "changed.keylog"
    with KeyLogReader.open(log, PASSWORD) as whole:
        ref = next(r for r in whole.chunks if r.prefix.track_id == 7 and r.prefix.first_pts >= 30)
    changed.write_bytes(flip(log.read_bytes(), ref.offset + 100))
    with GrantReader.open(path, changed, identity(1)) as reader:
        salvaging = KeyLogCursor(reader, salvage=True)
        found = [pts for pts in range(100) if salvaging.at(pts).faces]
        assert FIRST in found
        assert ref.prefix.first_pts + 1 not in found
        assert len(reader.damage) == 1


def test_identity_only_when_asked(log: Path, tmp_path: Path) -> None:
    path = grant(log, tmp_path / "g", with_identity=True)
    with GrantReader.open(path, log, identity(1)) as reader:
        assert list(reader.tracks()) == [7]
        assert reader.tracks()[7][0].key == bytes([14] * 32)


def test_refuses_others(log: Path, tmp_path: Path) -> None:
    path = grant(log, tmp_path / "g")
    with pytest.raises(WrongPasswordError):
        GrantReader.open(path, log, identity(2))
    other = write_log(tmp_path / "b.keylog", [], header=make_header(created_unix_us=1))
    with pytest.raises(KeyLogTamperedError, match="another key log"):
        GrantReader.open(path, other, identity(1))
    with pytest.raises(KeyLogFormatError):
        GrantReader.open(log, log, identity(1))
    with pytest.raises(KeyLogError, match="No such file"):
        GrantReader.open(tmp_path / "none", log, identity(1))
    with pytest.raises(KeyLogError, match="no track 9"):
        grant(log, tmp_path / "h", track_id=9)
    with pytest.raises(KeyLogError, match="exists"):
        grant(log, path)


def test_any_flipped_bit_is_refused(log: Path, tmp_path: Path) -> None:
    data = grant(log, tmp_path / "g").read_bytes()
    for at in [*range(170), len(data) // 2, len(data) - 1]:
        changed = tmp_path / "changed"
        changed.write_bytes(flip(data, at))
        with pytest.raises((KeyLogFormatError, KeyLogTamperedError, WrongPasswordError)):
            GrantReader.open(changed, log, identity(1))


def test_body_spells_one_way(log: Path, tmp_path: Path) -> None:
    with GrantReader.open(grant(log, tmp_path / "g"), log, identity(1)) as reader:
        data = encode_grant(reader.body)
    assert encode_grant(decode_grant(data)) == data


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.binary(max_size=120))
def test_other_bodies_are_refused_or_spell_the_same(data: bytes) -> None:
    try:
        body = decode_grant(data)
    except AnonymizerError:
        return
    assert encode_grant(body) == data
