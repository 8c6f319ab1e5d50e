"""Sealed recovery from files that were cut and moved, pictures and report included."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.arrays import UInt8Array
from engines.errors import ConfigError, SinkError
from streamer.audit_log import append_audit
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.key_log import End, Face, KeyLogReader, Record
from streamer.key_log_parts import open_parts, part_path
from streamer.media_info import Notices
from streamer.progress import QuietProgress
from streamer.recovery_case import collect_case
from streamer.recovery_html import case_html
from streamer.recovery_log import RecoveryLog, RecoverySource, TimeSpan
from streamer.recovery_pass import PassReport, RecoveryPass
from streamer.recovery_placement import Placement, place_segments
from streamer.recovery_request import RecoverReport, RecoverRequest
from streamer.recovery_samples import Sampler
from streamer.recovery_sheet import write_sheet
from streamer.restorer import Restorer
from streamer.sealed_patch import seal_region
from streamer.sink import SinkOptions
from streamer.source import open_source
from streamer.source_packets import digest_video
from tests.key_log_forge import PASSWORD, make_header, make_track, write_log
from tests.media import Recipe, copy_packets, make_video

RECT = (32, 16, 48, 40)
FRAMES = 30
SIZE_HW = (96, 128)


@dataclass(frozen=True)
class Scene:
    """An anonymised video, the frames it was made from, and its key log."""

    folder: Path
    video: Path
    log: Path
    originals: list[UInt8Array]


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(source.frames())


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    video = make_video(folder / "anon.mp4", Recipe(pts=tuple(range(FRAMES)), size_hw=SIZE_HW))
    anonymised = frames_of(video)
    rng = np.random.default_rng(5)
    x, y, width, height = RECT
    originals: list[UInt8Array] = []
    records: list[Record] = [make_track(1), make_track(2)]
    matrix = np.array([[0.5, 0.0, x], [0.0, 0.5, y]], np.float64)
    box = np.array([x, y, x + width, y + height], np.float32)
    for frame in anonymised:
        pixels = frame.pixels.copy()
        block = rng.integers(40, 220, (5, 6), np.uint8)
        pixels[y : y + height, x : x + width] = np.kron(block, np.ones((8, 8), np.uint8))
        originals.append(pixels)
        track = 1 if frame.index < 20 else 2
        records.append(Face(track, frame.pts, box, matrix, is_filled=True))
        records.append(seal_region(pixels, RECT, track_id=track, pts=frame.pts))
    digests, unit = digest_video(video)
    header = make_header(width=128, height=96, time_base=unit)
    log = write_log(folder / "a.vskl", [*records, *digests], header=header)
    return Scene(folder, video, log, originals)


@dataclass
class Outcome:
    report: PassReport
    sampler: Sampler
    placement: Placement
    notices: Notices


def recover(
    scene: Scene,
    video: Path,
    out: Path | None,
    *,
    tracks: tuple[int, ...] | None = None,
    span: TimeSpan | None = None,
) -> Outcome:
    with KeyLogReader.open(scene.log, PASSWORD) as reader, StopRequest() as stop:
        log = RecoveryLog([reader], tracks)
        found, unit = digest_video(video)
        placement = place_segments(
            log.digests(), found, log_time_base=log.header.time_base, video_time_base=unit
        )
        sampler, notices = Sampler(per_track=3), Notices()
        sampler.plan(log.spans_s(), rotation_deg=0)
        report = RecoveryPass(
            source=video, out=out, options=SinkOptions(crf=1.0),
            restorer=Restorer(None, {}),  # type: ignore[arg-type]  # sealed recovery draws nothing
            mode="sealed", lookup=log.frames(placement, span or TimeSpan()), sampler=sampler,
            notices=notices, workers=2, stop=stop, progress=QuietProgress(),
        ).run()  # fmt: skip
        return Outcome(report, sampler, placement, notices)


def region_error(frame: Frame, original: UInt8Array) -> float:
    x, y, width, height = RECT
    there = slice(y, y + height), slice(x, x + width)
    return float(np.abs(frame.pixels[there].astype(int) - original[there]).mean())


@pytest.mark.parametrize(
    ("suffix", "first_s", "last_s", "shift_s", "first", "proven"),
    [
        (".mp4", 0.0, 9.0, 0.0, 0, 30),
        (".mkv", 0.0, 9.0, 3.3, 0, 30),
        (".ts", 0.2, 9.0, 1.0, 6, 24),
        (".mp4", 0.2, 0.7, 0.0, 6, 12),
    ],
)
def test_originals_come_back_where_they_belong(
    scene: Scene, tmp_path: Path, suffix: str, first_s: float, last_s: float, shift_s: float,
    first: int, proven: int,
) -> None:  # fmt: skip
    video = copy_packets(
        scene.video, tmp_path / f"b{suffix}", first_s=first_s, last_s=last_s, shift_s=shift_s
    )
    done = recover(scene, video, tmp_path / "back.mkv")
    recovered = frames_of(tmp_path / "back.mkv")
    assert len(recovered) == done.report.frames == done.report.touched
    assert done.placement.counts["proven"] == proven
    for number, frame in enumerate(recovered):
        assert region_error(frame, scene.originals[first + number]) < 6
        if first + number + 1 < FRAMES:
            assert region_error(frame, scene.originals[first + number + 1]) > 15


def test_by_track_and_by_time(scene: Scene, tmp_path: Path) -> None:
    span = TimeSpan(Fraction(4, 10), Fraction(1))
    done = recover(scene, scene.video, tmp_path / "back.mkv", tracks=(1,), span=span)
    restored = [
        frame.index
        for frame in frames_of(tmp_path / "back.mkv")
        if region_error(frame, scene.originals[frame.index]) < 6
    ]
    assert restored == list(range(10, 20))
    assert done.report.touched == 10
    assert sum(done.placement.counts.values()) == 16


def test_parts_after_a_rotation_are_one_recording(scene: Scene, tmp_path: Path) -> None:
    """The same log cut in two by a rotation of keys gives the same faces."""
    with KeyLogReader.open(scene.log, PASSWORD) as reader:
        unit, header = reader.header.time_base, reader.header
        records: list[Record] = [r for r in reader.records() if not isinstance(r, End)]
    half = 15 * round(Fraction(1, 25) / unit)
    early = [r for r in records if getattr(r, "pts", getattr(r, "first_pts", 0)) < half]
    late = [r for r in records if r not in early]
    first = write_log(tmp_path / "p.vskl", early, header=header, end=End(status="continued"))
    path = part_path(first, 2)
    header = replace(header, previous_log=first.read_bytes()[-32:])
    write_log(path, [make_track(1), make_track(2), *late], header=header, seed="two")
    with ExitStack() as stack:

        def open_one(path: Path) -> RecoverySource:
            return stack.enter_context(KeyLogReader.open(path, PASSWORD))

        parts = open_parts(first, open_one)
        log = RecoveryLog(parts.logs, None)
        placement = Placement(place_segments((), (), log_time_base=unit, video_time_base=unit)
                              .verified, ())  # fmt: skip
        lookup = log.frames(placement, TimeSpan())
        found = [lookup.of(frame) for frame in frames_of(scene.video)]
    assert parts.paths == (first, path)
    assert [(len(f.faces), len(f.patches)) for f in found] == [(1, 1)] * FRAMES
    assert not parts.problems


def test_pictures_without_a_video_restore_few_frames(scene: Scene, tmp_path: Path) -> None:
    done = recover(scene, scene.video, None)
    assert {key: times.frames for key, times in done.sampler.tracks.items()} == {1: 20, 2: 10}
    assert [sample.track_id for sample in done.sampler.samples] == [1, 1, 1, 2, 2, 2]
    for sample in done.sampler.samples:
        assert np.abs(sample.recovered.astype(int) - sample.anonymised).mean() > 10
    sheet = tmp_path / "sheet.png"
    write_sheet(sheet, done.sampler.samples, title=["a ü"], overwrite=False)
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[0] > 2 * 2 * 160
    assert sheet.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SinkError, match="exists"):
        write_sheet(sheet, done.sampler.samples, title=[], overwrite=False)
    with pytest.raises(ConfigError, match="no face"):
        write_sheet(tmp_path / "none.png", [], title=[], overwrite=False)


def test_report_holds_all_it_shows_and_escapes_it(scene: Scene, tmp_path: Path) -> None:
    done = recover(scene, scene.video, None)
    reason = "<script>alert(1)</script>"
    entry = append_audit(
        tmp_path / "audit", who="R. Owner", action="recover", reason=reason, details={}
    )
    report = RecoverReport(
        mode="sealed", frames=30, frames_with_faces=30, tracks=2, frames_proven=30,
        frames_by_time=0, frames_unplaced=0, placement=done.placement.words(),
        video=done.placement.verified.words(), logs=(str(scene.log),), was_forced=False,
        is_log_complete=True, was_interrupted=False, seconds=1.0, warnings=("a & b",),
    )  # fmt: skip
    case = collect_case(
        RecoverRequest(scene.video, scene.log, None), report, opened_by="the password",
        audit_log=tmp_path / "audit", entry=entry, signer="vsver1:x", made_s=0.0,
    )  # fmt: skip
    page = case_html(case, done.sampler.samples, done.sampler.tracks, name="a<b")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page
    assert "a&lt;b" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<img") == 12
    assert {fact.role for fact in case.files} == {"anonymised video", "key log"}
    assert all(fact.sha256 in page for fact in case.files)
    assert entry.line_hash in page
    assert "veilstream 0.1.0" in page
    assert any("within 42 dB" in line for line in case.proven)
    assert any("not signed" in line for line in case.not_proven)
