"""Rotation of keys while a recording goes on, and following it over its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines.errors import KeyLogError, KeyLogTamperedError, WrongPasswordError
from streamer.config import AppConfig, KeyLogConfig
from streamer.key_log import (
    Face,
    Gap,
    KeyLogReader,
    Record,
    SealedPatch,
    TrackStart,
    inspect_outer,
)
from streamer.key_log_crypto import X25519Identity
from streamer.key_log_parts import OpenParts, open_parts, part_path, read_links
from streamer.key_rotation import KeyRotation
from streamer.live_log import LiveLog
from streamer.media_info import Notices
from streamer.recipient_keys import public_text
from streamer.recovery_log import RecoveryLog, RecoverySource
from tests.key_log_forge import flip, identity
from tests.streamer.live_streams import FOR_OWNER, INFO, MODELS, OWNER, PASSWORD, Stream, Z


def opener(
    stack: ExitStack,
    *,
    password: bytes | None = None,
    identities: Sequence[X25519Identity] = (),
) -> Callable[[Path], RecoverySource]:
    def open_one(path: Path) -> RecoverySource:
        return stack.enter_context(KeyLogReader.open(path, password, identities=identities))

    return open_one


def read_all(
    path: Path, *, password: bytes | None = None, identities: Sequence[X25519Identity] = ()
) -> list[Record]:
    with KeyLogReader.open(path, password, identities=identities) as reader:
        return list(reader.records())


def test_a_stream_goes_on_over_rotations(tmp_path: Path) -> None:
    stream = Stream(tmp_path, config=FOR_OWNER)
    stream.run(6)
    stream.rotation.ask()
    stream.run(5, tracks=(1, 2))
    stream.rotation.ask()
    stream.run(3)
    stream.log.close()
    paths = [part_path(stream.path, number) for number in (1, 2, 3)]
    assert [path.exists() for path in paths] == [True] * 3
    assert paths[1].name == "a.mp4.part0002.vskl"
    assert paths[1].stat().st_mode & 0o777 == 0o600
    logs = [read_all(path, identities=[OWNER]) for path in paths]
    assert [sum(isinstance(r, Face) for r in log) for log in logs] == [6, 10, 3]
    links = [read_links(path) for path in paths]
    assert [link.is_continued for link in links] == [True, True, False]
    assert links[1].continues(links[0])
    assert links[2].continues(links[1])
    assert not links[2].continues(links[0])
    # The face must not jump, so the track's key stays; its revision counts on.
    starts = [next(r for r in log if isinstance(r, TrackStart)) for log in logs]
    assert len({start.key for start in starts}) == 1
    assert [start.revision for start in starts] == [0, 1, 2]
    # Groups of pictures are whole, although two of them lie across a rotation.
    with ExitStack() as stack:
        parts = open_parts(stream.path, opener(stack, identities=[OWNER]))
        digests = RecoveryLog(parts.logs, None).digests()
    assert [digest.segment for digest in digests] == [0, 1, 2, 3]
    assert [digest.frames for digest in digests] == [4, 4, 4, 2]
    assert not parts.problems
    assert not parts.shut
    ends = [inspect_outer(path).end for path in paths]
    assert [end.frames for end in ends if end is not None] == [6, 5, 3]


def test_other_recipients_open_what_came_while_they_were_recipients(tmp_path: Path) -> None:
    keys = [X25519Identity(bytes([n] * 32)) for n in (1, 2)]
    people = tmp_path / "people"
    people.write_text(f"# the old guard\n{public_text(keys[0].public)} court\n")
    stream = Stream(tmp_path, config=KeyLogConfig(recipients_file=people))
    stream.run(4)
    people.write_text(f"{public_text(keys[1].public)}  new court\n")
    stream.rotation.ask()
    stream.run(4)
    people.write_text("vspub1:nonsense\n")
    stream.rotation.ask()
    stream.run(4)
    stream.log.close()
    assert any("stay as they were" in text for text in stream.notices)
    seen = []
    for key in keys:
        with ExitStack() as stack:
            parts = open_parts(stream.path, opener(stack, identities=[key]))
            faces = [
                r.pts for log in parts.logs for ref in log.chunks
                for r in log.read_chunk(ref) if isinstance(r, Face)
            ]  # fmt: skip
            seen.append((faces, [part.path.name for part in parts.shut]))
    assert seen[0] == ([0, 1, 2, 3], ["a.mp4.part0002.vskl", "a.mp4.part0003.vskl"])
    assert seen[1] == ([4, 5, 6, 7, 8, 9, 10, 11], ["a.mp4.vskl"])
    with ExitStack() as stack, pytest.raises(WrongPasswordError):
        open_parts(stream.path, opener(stack, identities=[identity(9)]))
    assert inspect_outer(part_path(stream.path, 2)).access.stanzas[0].label == "new court"


def test_what_the_machine_still_holds_does_not_open_the_past(tmp_path: Path) -> None:
    key = X25519Identity(bytes([1] * 32))
    stream = Stream(tmp_path, config=KeyLogConfig(recipients=(public_text(key.public),)))
    stream.log.protect(2, Z[1])
    stream.log.assign(2, 2)
    stream.run(2, tracks=(1, 2))
    scope_keys = stream.log._keys.scope_keys
    gone, present = scope_keys.of("2"), scope_keys.of("1")
    stream.log.forget([2])
    stream.rotation.ask()
    stream.run(1)
    assert scope_keys.of("1") == present  # track 1 is still there, and its face must not jump
    assert scope_keys.of("2") != gone
    stream.log.close()
    with pytest.raises(ValueError, match="wiped"):
        scope_keys.of("1")


def test_password_is_not_kept_for_later_parts(tmp_path: Path) -> None:
    stream = Stream(tmp_path, PASSWORD)
    stream.run(1)
    stream.rotation.ask()
    stream.run(1)
    salts = {inspect_outer(part_path(stream.path, n)).header.kdf for n in (1, 2)}
    assert len(salts) == 1  # stretched once, so nothing but the master key is needed
    stream.log.close()
    wraps = [inspect_outer(part_path(stream.path, n)).access.stanzas[0] for n in (1, 2)]
    assert wraps[0] != wraps[1]


def damaged_parts(folder: Path) -> tuple[Path, Path, Path]:
    stream = Stream(folder, config=FOR_OWNER)
    for _ in range(3):
        stream.run(2)
        stream.rotation.ask()
    stream.run(1)
    stream.log.close()
    first, second, third = (part_path(stream.path, n) for n in (1, 2, 3))
    return first, second, third


def parts_of(path: Path) -> OpenParts[RecoverySource]:
    with ExitStack() as stack:
        return open_parts(path, opener(stack, identities=[OWNER]))


def test_missing_foreign_and_damaged_parts_are_named(tmp_path: Path) -> None:
    first, second, third = damaged_parts(tmp_path)
    kept = third.read_bytes()
    third.unlink()
    assert "a part is missing" in parts_of(first).problems[0]
    assert "part0003" in parts_of(first).problems[0]
    (tmp_path / "other").mkdir()
    other = Stream(tmp_path / "other", config=FOR_OWNER)
    other.run(1)
    other.log.close()
    third.write_bytes(other.path.read_bytes())
    found = parts_of(first)
    assert "does not continue" in found.problems[0]
    assert found.paths == (first, second)
    third.write_bytes(kept[:50])
    assert "cannot be read" in parts_of(first).problems[0]
    third.write_bytes(kept)
    # A part that was cut short does not lead to the next any more.
    second.write_bytes(second.read_bytes()[:-40])
    assert "does not continue" in parts_of(first).problems[0]
    assert parts_of(third).paths[0] == third
    second.write_bytes(flip(second.read_bytes(), 60))
    assert "cannot be read" in parts_of(first).problems[0]


def test_swapped_parts_are_refused(tmp_path: Path) -> None:
    first, second, third = damaged_parts(tmp_path)
    a, b = second.read_bytes(), third.read_bytes()
    second.write_bytes(b)
    third.write_bytes(a)
    assert "does not continue" in parts_of(first).problems[0]


def test_without_room_originals_go_and_faces_stay(tmp_path: Path) -> None:
    config = KeyLogConfig(most_mib=0.0005, min_free_mib=0, recipients=FOR_OWNER.recipients)
    stream = Stream(tmp_path, config=config)
    stream.run(5)
    stream.log.close()
    records = read_all(stream.path, identities=[OWNER])
    # The first track record alone has used up half a kibibyte.
    assert sum(isinstance(r, SealedPatch) for r in records) <= 1
    assert sum(isinstance(r, Face) for r in records) == 5
    (gap,) = (r for r in records if isinstance(r, Gap))
    assert (gap.last_pts, gap.reason) == (4, "disk short")
    assert any("not kept any more" in text for text in stream.notices)


def test_a_stream_may_stop_instead(tmp_path: Path) -> None:
    config = KeyLogConfig(
        most_mib=0.0005, min_free_mib=0, when_short="stop", recipients=FOR_OWNER.recipients
    )
    stream = Stream(tmp_path, config=config)
    with pytest.raises(KeyLogError, match="says stop"):
        stream.run(5)
    stream.log.abort(keep=True)


def test_irreversible_streams_rotate_without_files(tmp_path: Path) -> None:
    config = AppConfig(keylog=KeyLogConfig(irreversible=True))
    rotation = KeyRotation(None)
    log = LiveLog(config, None, MODELS, INFO, overwrite=False, notices=Notices(), rotation=rotation)
    log.begin(None, INFO, shift=0)
    log.add([], 0)
    rotation.ask()
    log.add([], 1)
    log.close()
    assert log.paths == []
    assert list(tmp_path.iterdir()) == []


def test_a_next_part_that_exists_stops_the_stream(tmp_path: Path) -> None:
    stream = Stream(tmp_path, config=FOR_OWNER)
    stream.run(1)
    part_path(stream.path, 2).touch()
    stream.rotation.ask()
    with pytest.raises(KeyLogError, match="exists already"):
        stream.run(1)
    stream.log.abort(keep=True)


def test_pieces_name_the_piece_before(tmp_path: Path) -> None:
    stream = Stream(
        tmp_path, config=KeyLogConfig(retention_days=2, recipients=FOR_OWNER.recipients)
    )
    stream.run(4)
    stream.log.begin(tmp_path / "b.mp4.vskl", replace_info(), shift=0)
    stream.run(4)
    stream.rotation.ask()
    stream.run(1)
    stream.log.close()
    first, second = read_links(stream.path), read_links(tmp_path / "b.mp4.vskl")
    assert second.previous_log == first.last_hash
    assert not first.is_continued
    assert second.recording_id != first.recording_id
    third = inspect_outer(tmp_path / "b.mp4.part0002.vskl").header
    assert third.expires_unix_us - third.created_unix_us == 2 * 86400 * 10**6


def replace_info() -> Any:  # noqa: ANN401 - stands for a MediaInfo
    return SimpleNamespace(**vars(INFO))


def test_threshold_recipients_open_together(tmp_path: Path) -> None:
    keys = [X25519Identity(bytes([n] * 32)) for n in (1, 2, 3)]
    publics = tuple(public_text(key.public) for key in keys)
    stream = Stream(tmp_path, config=KeyLogConfig(recipients=publics, threshold=2))
    stream.run(2)
    stream.log.close()
    assert read_all(stream.path, identities=keys[1:])
    with pytest.raises(WrongPasswordError):
        read_all(stream.path, identities=keys[:1])


def test_header_of_a_part_cannot_be_pasted_on_another(tmp_path: Path) -> None:
    first, second, _ = damaged_parts(tmp_path)
    size = [inspect_outer(path).size_bytes for path in (first, second)]
    with KeyLogReader.open(second, identities=[OWNER]) as reader:
        at = reader.chunks[0].offset
    with KeyLogReader.open(first, identities=[OWNER]) as reader:
        start = reader.chunks[0].offset
    mixed = second.read_bytes()[:at] + first.read_bytes()[start:]
    assert len(mixed) < sum(size)
    target = tmp_path / "mixed.vskl"
    target.write_bytes(mixed)
    with KeyLogReader.open(target, identities=[OWNER]) as r, pytest.raises(KeyLogTamperedError):
        list(r.records())
