from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engines.errors import KeyLogError
from streamer.key_log import (
    End,
    Face,
    KeyLogReader,
    KeyLogWriter,
)
from tests.key_log_forge import (
    PASSWORD,
    counted_bytes,
    make_face,
    make_header,
    make_track,
    write_log,
)


class Clock:
    def __init__(self) -> None:
        self.time_s = 100.0

    def __call__(self) -> float:
        return self.time_s


def open_writer(path: Path, clock: Clock, **options: object) -> KeyLogWriter:
    return KeyLogWriter.create(
        path,
        header=make_header(),
        password=PASSWORD,
        background=False,
        now=clock,
        random_bytes=counted_bytes(),
        **options,  # type: ignore[arg-type]  # by name
    )


def test_is_private_and_never_overwritten_unasked(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        path = write_log(tmp_path / "a.keylog", [])
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(KeyLogError, match="exists already"):
        open_writer(path, Clock())
    assert path.read_bytes() == before
    open_writer(path, Clock(), overwrite=True).close()
    assert path.read_bytes() != before


def test_does_not_write_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "a.keylog").symlink_to(target)
    with pytest.raises(KeyLogError):
        open_writer(tmp_path / "a.keylog", Clock())
    assert not target.exists()


def test_needs_a_password_or_a_recipient(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="number of recipients"):
        KeyLogWriter.create(tmp_path / "a.keylog", header=make_header())
    assert not (tmp_path / "a.keylog").exists()


def test_flushes_when_the_interval_is_over(tmp_path: Path) -> None:
    clock = Clock()
    with open_writer(tmp_path / "a.keylog", clock) as writer:
        writer.append(make_track())
        size = writer.size_bytes
        writer.append(make_face(pts=1))
        assert writer.size_bytes == size
        clock.time_s += 0.99
        writer.append(make_face(pts=2))
        assert writer.size_bytes == size
        clock.time_s += 0.02
        writer.append(make_face(pts=3))
        assert writer.size_bytes > size
        assert writer.size_bytes == writer.path.stat().st_size


def test_track_is_on_disk_before_append_returns(tmp_path: Path) -> None:
    clock = Clock()
    with open_writer(tmp_path / "a.keylog", clock) as writer:
        writer.append(make_track(3))
        with KeyLogReader.open(writer.path, PASSWORD) as reader:
            assert list(reader.tracks()) == [3]


def test_flushes_by_itself_when_nothing_more_comes(tmp_path: Path) -> None:
    with KeyLogWriter.create(
        tmp_path / "a.keylog", header=make_header(), password=PASSWORD, flush_interval_s=0.02
    ) as writer:
        writer.append(make_track())
        size = writer.size_bytes
        writer.append(make_face(pts=1))
        limit = time.monotonic() + 5
        while writer.size_bytes == size and time.monotonic() < limit:
            time.sleep(0.01)
        assert writer.size_bytes > size


def test_refuses_misuse(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "a.keylog", Clock())
    with pytest.raises(ValueError, match="no TrackStart"):
        writer.append(make_face())
    with pytest.raises(ValueError, match="at the end"):
        writer.append(End())
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.append(make_track())
    with pytest.raises(ValueError, match="closed"):
        writer.flush()


def test_error_in_the_context_leaves_a_readable_log_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.keylog"
    with pytest.raises(RuntimeError), open_writer(path, Clock()) as writer:  # noqa: PT012 - order
        writer.append(make_track())
        writer.append(make_face(pts=1))
        raise RuntimeError
    with KeyLogReader.open(path, PASSWORD) as reader:
        assert not reader.is_complete
        assert len(list(reader.records(salvage=True))) == 2


def test_full_disk_is_one_error_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(tmp_path / "a.keylog", Clock())
    writer.append(make_track())
    size, real = writer.path.stat().st_size, os.write

    def short(descriptor: int, data: memoryview) -> int:
        if len(data) > 50:
            return real(descriptor, data[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(KeyLogError, match="No space left"):
        writer.append(make_track(1))
    monkeypatch.undo()
    assert writer.path.stat().st_size == size  # cut back to whole chunks
    with pytest.raises(KeyLogError, match="No space left"):
        writer.append(make_face())
    with pytest.raises(KeyLogError, match="No space left"):
        writer.close()
    with KeyLogReader.open(writer.path, PASSWORD) as reader:
        assert len(list(reader.records(salvage=True))) == 1


def test_threads_lose_and_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.keylog"
    with KeyLogWriter.create(
        path, header=make_header(), password=PASSWORD, flush_interval_s=0.001
    ) as writer:

        def work(track_id: int) -> None:
            writer.append(make_track(track_id))
            for pts in range(200):
                writer.append(make_face(track_id, pts=pts))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with KeyLogReader.open(path, PASSWORD) as reader:
        faces = [record for record in reader.records() if isinstance(record, Face)]
    for track_id in range(4):
        assert [f.pts for f in faces if f.track_id == track_id] == list(range(200))


WRITE_AND_HANG = """
import sys, time
from pathlib import Path
from tests.key_log_forge import *
w = KeyLogWriter.create(
    Path(sys.argv[1]), header=make_header(), password=PASSWORD, flush_interval_s=0.05
)
w.append(make_track())
n = 0
while True:
    w.append(make_face(pts=n)); w.append(make_patch(pts=n, size=3000)); n += 1
    print(n, flush=True); time.sleep(0.002)
"""


def test_killed_process_leaves_everything_but_the_last_interval(tmp_path: Path) -> None:
    path = tmp_path / "a.keylog"
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_HANG, str(path)],
        stdout=subprocess.PIPE,
        cwd=root,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if int(line) >= 150:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    with KeyLogReader.open(path, PASSWORD) as reader:
        faces = [r for r in reader.records(salvage=True) if isinstance(r, Face)]
        assert reader.damage == ()
        assert not reader.is_complete
    assert [face.pts for face in faces] == list(range(len(faces)))
    assert len(faces) >= 50
