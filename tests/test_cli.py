"""The commands as a user runs them, on a made-up sample with the weights that ship."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engines.arrays import Float32Array
from run_stream import main
from streamer.aligner import similarity_from_landmarks
from streamer.audit_log import verify_audit
from streamer.cli.parser import build_parser
from streamer.color import crop_rgb
from streamer.config import load_config
from streamer.frames import ColorSpec
from streamer.identity import identify
from streamer.models import Models, load_models
from tests.cli_run import (
    FRAMES,
    PASSWORD,
    Run,
    face_difference,
    last_json,
    pictures_of,
    recover_run,
    run_command,
    times_of,
)
from tests.media import copy_packets


def test_anonymize_keeps_frames_and_times_and_changes_faces(run: Run) -> None:
    assert run.summary["frames"] == FRAMES
    assert int(str(run.summary["replaced"])) >= 2 * FRAMES
    assert times_of(run.out) == pytest.approx(times_of(run.sample), abs=1e-6)
    before, after = pictures_of(run.sample), pictures_of(run.out)
    assert face_difference(before, after) > 8
    outside = np.abs(before[0][:60].astype(int) - after[0][:60]).mean()
    assert outside < 3
    assert run.keylog.stat().st_mode & 0o777 == 0o600
    assert not list(run.folder.glob("*.partial.*"))


def test_sealed_recovery_is_the_original(run: Run) -> None:
    out = recover_run(run, "sealed.mp4", "--mode", "sealed")
    assert times_of(out) == pytest.approx(times_of(run.sample), abs=1e-6)
    before, after = pictures_of(run.sample), pictures_of(out)
    errors = [
        (x[150:280, 430:530].astype(float) - y[150:280, 430:530]) ** 2
        for x, y in zip(before, after, strict=True)
    ]
    assert 10 * np.log10(255**2 / np.mean(errors)) > 40


def _landmarks(path: Path, models: Models) -> list[Float32Array]:
    """Where the three faces of frame 10 are, from left to right: (5, 2) each."""
    found = models.detector.detect_i420([pictures_of(path)[10]])[0]
    return [found.landmarks_px[row] for row in np.argsort(found.boxes_xyxy_px[:, 0])]


def _identities(
    path: Path, models: Models, landmarks_px: Sequence[Float32Array]
) -> list[Float32Array]:
    """What our encoder says of the faces at these places of frame 10."""
    pixels, found = pictures_of(path)[10], []
    for points in landmarks_px:
        matrix = similarity_from_landmarks(points, 160)
        crop = crop_rgb(pixels, ColorSpec(matrix=6), matrix, 160)[24:136, 24:136]
        found.append(identify(models.embedder, crop[None]))
    return found


def _likeness(a: Sequence[Float32Array], b: Sequence[Float32Array]) -> float:
    return float(np.mean([x @ y for x, y in zip(a, b, strict=True)]))


def test_faces_are_others_and_the_stored_identity_brings_them_nearer(run: Run) -> None:
    models = load_models(load_config(None), threads=1)
    places = _landmarks(run.sample, models)
    assert len(places) == 3
    original = _identities(run.sample, models, places)
    lost = _likeness(original, _identities(run.out, models, places))
    assert lost < 0.35
    assisted = recover_run(run, "assisted.mp4", "--mode", "assisted")
    assert _likeness(original, _identities(assisted, models, places)) > lost
    models.close()


def test_generative_recovery_draws_the_faces_again(run: Run) -> None:
    before = pictures_of(run.out)
    after = pictures_of(recover_run(run, "generative.mp4", "--mode", "generative"))
    assert len(after) == FRAMES
    assert face_difference(before, after) > 4


def _there_and_back(run: Run, folder: Path, *options: str) -> tuple[Path, Path]:
    """The sample anonymised with some options, and recovered in the best mode of its log."""
    out, back = folder / "out.mp4", folder / "back.mp4"
    password = ["--password-file", str(run.password_file), "--quiet"]
    assert main(["anonymize", str(run.sample), "--out", str(out), *options, *password]) == 0
    keylog = out.with_name("out.mp4.vskl")
    assert main(
        ["recover", str(out), "--keylog", str(keylog), "--out", str(back), "--reason", "a test",
         *password]
    ) == 0  # fmt: skip
    return out, back


def test_without_originals_thumbnails_bring_the_faces_back(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, back = _there_and_back(run, tmp_path, "--no-seal")
    before, hidden, after = (pictures_of(path) for path in (run.sample, out, back))
    assert face_difference(before, after) < face_difference(before, hidden) / 2
    assert face_difference(before, after) < 8
    capsys.readouterr()
    keylog = str(out.with_name("out.mp4.vskl"))
    assert main(["inspect", keylog, "--password-file", str(run.password_file), "--json"]) == 0
    tracks = last_json(capsys.readouterr().out)["track_list"]
    assert isinstance(tracks, list)
    assert sum(track["sealed_bytes"] for track in tracks) == 0
    assert sum(track["thumbnails"] for track in tracks) >= 2 * FRAMES


def test_a_log_of_transforms_only_leads_back_by_the_password(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "transforms.yaml"
    config.write_text("keylog: {seal: false, assisted: false}\n", encoding="utf-8")
    out, back = _there_and_back(run, tmp_path, "--config", str(config))
    models = load_models(load_config(None), threads=1)
    places = _landmarks(run.sample, models)
    original = _identities(run.sample, models, places)
    lost, found = (_likeness(original, _identities(p, models, places)) for p in (out, back))
    models.close()
    assert lost < 0.33
    assert found > lost + 0.1


def test_only_the_tracks_asked_for_come_back(run: Run) -> None:
    out = recover_run(run, "one.mp4", "--mode", "sealed", "--track", "1")
    before, hidden, after = pictures_of(run.sample), pictures_of(run.out), pictures_of(out)
    nearer = sum(
        np.abs(a.astype(int) - h)[:480, x : x + 320].mean() > 1.5
        for x in (0, 320, 640)
        for a, h in [(after[0], hidden[0])]
    )
    assert nearer == 1
    assert len(before) == len(after)


def test_a_wrong_password_is_one_line_and_exit_7(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = run.folder / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("something else altogether\n", encoding="utf-8")
    out = run.folder / "wrong.mp4"
    args = ["recover", str(run.out), "--keylog", str(run.keylog), "--out", str(out), "--quiet",
            "--reason", "a test", "--password-file", str(wrong)]  # fmt: skip
    assert main(args) == 7
    assert capsys.readouterr().err == "error: the password does not open this key log\n"
    assert not out.exists()
    assert main([*args, "--force"]) == 0
    before, forced = pictures_of(run.sample), pictures_of(out)
    assert face_difference(before, forced) > 5


def test_inspect_shows_the_outside_and_with_the_password_all(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(run.keylog), "--json"]) == 0
    outside = last_json(capsys.readouterr().out)
    assert outside["complete"] is True
    assert outside["damage"] == []
    assert "track_list" not in outside
    assert main(["inspect", str(run.keylog), "--password-file", str(run.password_file)]) == 0
    text = capsys.readouterr().out
    assert "track 1" in text
    assert "in put ä.mp4" in text


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["anonymize", "{missing}", "--out", "{new}"], 3, "missing.mp4"),
        (["anonymize", "{sample}", "--out", "{sample}", "--overwrite"], 3, "overwrite the input"),
        (["anonymize", "{sample}", "--out", "{out}"], 3, "exists"),
        (["anonymize", "{sample}", "--out", "{folder}/no/x.mp4"], 3, "does not exist"),
        (["anonymize", "{sample}", "--out", "{folder}/x.avi"], 3, ".avi"),
        (["anonymize", "{sample}", "--out", "{new}", "--config", "{sample}"], 2, "configuration"),
        (["anonymize", "{sample}", "--out", "{new}", "--angle-deg", "400"], 2, "--angle-deg"),
        (["anonymize", "{sample}", "--out", "{new}", "--provider", "tensorrt"], 4, "TensorRT"),
        (["recover", "{out}", "--keylog", "{sample}", "--out", "{new}"], 6, "key log"),
        (["recover", "{out}", "--keylog", "{keylog}", "--out", "{new}", "--track", "99"], 6, "99"),
        (["recover", "{out}", "--keylog", "{keylog}"], 2, "--sheet"),
        (["recover", "{out}", "--keylog", "{keylog}", "--out", "{out}"], 2, "--overwrite"),
        (["recover", "{out}", "--keylog", "{keylog}", "--out", "{new}", "--to", "x"], 2, "time"),
        (["recover", "{out}", "--keylog", "{keylog}", "--out", "{new}", "--from", "9", "--to", "1"],
         2, "--from"),
        (["recover", "{out}", "--keylog", "{keylog}", "--force", "--sheet", "{new}"], 2, "--force"),
        (["recover", "{out}", "--keylog", "{keylog}", "--out", "{new}", "--reason", " "], 6,
         "--reason"),
        (["inspect", "{sample}"], 6, "key log"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(
    run: Run, capsys: pytest.CaptureFixture[str], args: list[str], code: int, message: str
) -> None:
    names = {
        "missing": run.folder / "missing.mp4", "sample": run.sample, "out": run.out,
        "new": run.folder / "new.mp4", "folder": run.folder, "keylog": run.keylog,
    }  # fmt: skip
    filled = [arg.format(**names) for arg in args]
    if filled[0] != "inspect":
        filled += ["--password-file", str(run.password_file), "--quiet"]
    if filled[0] == "recover" and "--reason" not in filled:
        filled += ["--reason", "a test"]
    assert main(filled) == code
    errors = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not (run.folder / "new.mp4").exists()
    assert not list(run.folder.glob("new*"))


def test_without_terminal_and_file_the_password_is_asked_for_in_words(run: Run) -> None:
    done = run_command("anonymize", str(run.sample), "--out", str(run.folder / "n.mp4"))
    assert done.returncode == 2
    assert "--password-file" in done.stderr
    assert "Traceback" not in done.stderr


def test_irreversible_writes_no_log(run: Run) -> None:
    out = run.folder / "gone.mp4"
    code = main(["anonymize", str(run.sample), "--out", str(out), "--irreversible", "--quiet"])
    assert code == 0
    assert out.exists()
    assert not (run.folder / "gone.mp4.vskl").exists()


def test_recovery_makes_sheet_report_and_a_signed_note(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet, report, audit = (run.folder / name for name in ("s.png", "case.html", "audit.jsonl"))
    code = main(["recover", str(run.out), "--keylog", str(run.keylog), "--quiet", "--json",
                 "--reason", "case <12>", "--by", "R. Owner", "--audit-log", str(audit),
                 "--sheet", str(sheet), "--report", str(report), "--from", "0.2", "--to", "0:00.6",
                 "--password-file", str(run.password_file)])  # fmt: skip
    facts = last_json(capsys.readouterr().out)
    assert code == 0
    assert facts["frames_proven"] == facts["frames_with_faces"] == 11
    assert "nothing was changed, cut, moved or added in the video stream" in str(facts["video"])
    for path in (sheet, report, audit):
        assert path.stat().st_mode & 0o777 == 0o600
    page = report.read_text("utf-8")
    assert "case &lt;12&gt;" in page
    assert hashlib.sha256(run.out.read_bytes()).hexdigest() in page
    assert PASSWORD not in page
    assert not re.search(r"""(src|href)="(?!data:)""", page)
    first, second = verify_audit(audit)
    assert (first.action, second.action) == ("recover", "recovered")
    assert (first.who, first.reason, first.is_signed) == ("R. Owner", "case <12>", True)
    assert second.details["report sha256"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert first.line_hash in page
    for track in (1, 2, 3):
        assert f"Track {track}" in page


def test_remuxed_video_comes_back_and_is_proven(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = copy_packets(run.out, run.folder / "moved.ts", shift_s=2.5)
    out = run.folder / "moved_back.mp4"
    code = main(["recover", str(moved), "--keylog", str(run.keylog), "--quiet", "--json",
                 "--out", str(out), "--reason", "a test", "--mode", "sealed",
                 "--password-file", str(run.password_file)])  # fmt: skip
    assert code == 0
    facts = last_json(capsys.readouterr().out)
    assert facts["frames_proven"] == facts["frames_with_faces"] == FRAMES
    assert "later than they were recorded" in str(facts["video"])
    assert face_difference(pictures_of(run.sample), pictures_of(out)) < 4


def test_doctor_finds_this_machine_fit(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "FAIL" not in text


@pytest.mark.parametrize("command", ["anonymize", "recover", "inspect", "doctor", "demo"])
def test_help_lists_the_exit_codes_of_the_reference(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    listed = capsys.readouterr().out.split("exit codes:")[1]
    page = Path(__file__).parents[1] / "docs" / "reference" / "exit_codes.md"
    rows = re.findall(r"^\| (\d+) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"^  (\d+) ", listed, re.MULTILINE) == rows


@pytest.mark.parametrize("command", ["anonymize", "recover", "inspect", "doctor", "demo"])
def test_help_explains_every_argument(command: str) -> None:
    choices = next(a for a in build_parser()._actions if isinstance(a.choices, dict)).choices
    assert isinstance(choices, dict)
    assert [a.dest for a in choices[command]._actions if not a.help] == []
