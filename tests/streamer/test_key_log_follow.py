from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import KeyLogError, KeyLogTamperedError, KeyLogTruncatedError
from streamer.key_log_follow import follow_log
from tests.key_log_forge import flip, sample_records, write_log


def test_sees_a_log_grow_byte_by_byte(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "a.keylog", sample_records()).read_bytes()
    header = whole.index(b"VSC1")
    path, size = tmp_path / "b.keylog", header
    path.write_bytes(whole[:size])

    def grow(_poll_s: float) -> None:
        nonlocal size
        size = min(size + 97, len(whole))
        path.write_bytes(whole[:size])

    seen = list(follow_log(path, sleep=grow))
    assert seen[0].chunks == 0
    assert seen[-1].is_complete
    assert not any(growth.is_complete for growth in seen[:-1])
    assert sum(growth.new_chunks for growth in seen) == seen[-1].chunks
    assert seen[-1].tracks == 2


def test_finished_log_is_one_report(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", sample_records())
    (only,) = follow_log(path)
    assert only.is_complete
    assert only.last_pts == 20000


def test_changes_are_named(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", sample_records())
    data = path.read_bytes()
    first = data.index(b"VSC1")
    for at in (first, first + 9, first + 50):
        path.write_bytes(flip(data, at))
        with pytest.raises(KeyLogTamperedError):
            list(follow_log(path))
    path.write_bytes(data[:30])
    with pytest.raises(KeyLogTruncatedError):
        list(follow_log(path))
    with pytest.raises(KeyLogError, match="No such file"):
        list(follow_log(tmp_path / "none"))
