"""Recovery from copies of another size or shape than the recording."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engines.arrays import UInt8Array
from run_stream import main
from streamer.demo_sample import SAMPLE_SIZE_HW
from tests.cli_run import Run, face_difference, pictures_of


def scaled_copy(source_path: Path, target_path: Path, width: int, height: int) -> Path:
    with av.open(str(source_path)) as source, av.open(str(target_path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        for frame in source.decode(video=0):
            small = frame.reformat(width, height)
            small.pts, small.time_base = frame.pts, frame.time_base
            target.mux(stream.encode(small))
        target.mux(stream.encode(None))
    return target_path


@pytest.mark.parametrize("mode", ["sealed", "assisted"])
def test_a_copy_of_half_the_size_is_recovered(run: Run, tmp_path: Path, mode: str) -> None:
    """It leads to what the recording itself leads to, whatever face this log's salt drew."""
    height, width = SAMPLE_SIZE_HW
    small = scaled_copy(run.out, tmp_path / "small.mp4", width // 2, height // 2)
    backs = [tmp_path / "back.mp4", tmp_path / "back_small.mp4"]
    for copy, back in zip([run.out, small], backs, strict=True):
        assert main([
            "recover", str(copy), "--keylog", str(run.keylog), "--out", str(back),
            "--mode", mode, "--reason", "a test", "--password-file", str(run.password_file),
            "--quiet",
        ]) == 0  # fmt: skip

    def luma(path: Path) -> list[UInt8Array]:
        pictures = [one[: one.shape[0] * 2 // 3] for one in pictures_of(path)]
        return [
            np.asarray(cv2.resize(cv2.resize(one, (width // 2, height // 2)), (width, height)))
            for one in pictures
        ]

    recorded, of_recording, of_copy = (luma(path) for path in (run.out, *backs))
    changed = face_difference(recorded, of_recording)
    assert face_difference(of_copy, of_recording) < 0.4 * changed
    assert face_difference(luma(run.sample), of_copy) < face_difference(luma(run.sample), recorded)


def test_a_copy_of_another_shape_is_told_and_not_torn(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = scaled_copy(run.out, tmp_path / "small.mp4", 160, 90)
    code = main([
        "recover", str(small), "--keylog", str(run.keylog), "--out", str(tmp_path / "back.mp4"),
        "--mode", "sealed", "--reason", "a test", "--password-file", str(run.password_file),
        "--quiet",
    ])  # fmt: skip
    said = capsys.readouterr().err.strip()
    assert code == 3
    assert len(said.splitlines()) == 1
    assert "the picture is 160x90: it was cut to another shape after it was" in said
