"""Measuring one clip against its output, face by face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.face_compare import FaceChange, altered_ratio, compare_face
from benchmarks.false_alarms import false_alarm
from benchmarks.persons import PersonJudge
from benchmarks.source_faces import FrameFaces, size_class
from benchmarks.video_io import Fidelity, compare_streams, paired_frames
from engines.arrays import UInt8Array

__all__ = ["ClipExposure", "JudgedFace", "measure_exposure"]

SIZE_CLASSES = ("24-39", "40-79", "80+")


@dataclass(frozen=True, slots=True)
class JudgedFace:
    """One face of one frame and what became of it.

    Attributes:
        frame: number of the frame.
        box_xyxy_px: where it is.
        size_class: by its longer side.
        is_confirmed: a second detector finds it too.
        change: how its pixels differ.
        similarity: judge -> how alike the persons are.
        accepted: judge -> whether they pass as one person.
        false_alarm: what is seen there when it is known to be no face, otherwise None.
    """

    frame: int
    box_xyxy_px: tuple[float, float, float, float]
    size_class: str
    is_confirmed: bool
    change: FaceChange
    similarity: dict[str, float]
    accepted: dict[str, bool]
    false_alarm: str | None = None

    @property
    def is_untouched(self) -> bool:
        """Whether the original face is still there."""
        return self.change.is_untouched

    @property
    def is_weak(self) -> bool:
        """Whether its coarse structure is still there."""
        return self.change.is_weak

    def line(self) -> str:
        """Where and how, for a report."""
        box = ",".join(f"{value:.0f}" for value in self.box_xyxy_px)
        confirmed = "confirmed" if self.is_confirmed else "one detector only"
        if self.false_alarm:
            confirmed = self.false_alarm
        return (
            f"frame {self.frame} box {box} ({self.size_class} px, {confirmed}): "
            f"correlation {self.change.correlation:.2f}, difference {self.change.difference:.1f}"
        )


@dataclass(frozen=True, slots=True)
class ClipExposure:
    """All figures of a clip.

    Attributes:
        clip: name of the file.
        fidelity: frames, times and audio.
        faces: every judged face.
        judges: names of the recognisers that ran.
        altered_percent: per frame, share of the picture changed away from any face.
    """

    clip: str
    fidelity: Fidelity
    faces: list[JudgedFace]
    judges: list[str]
    altered_percent: list[float] = field(repr=False)

    def exposed(self) -> list[JudgedFace]:
        """Faces that were left as they were."""
        return [face for face in self.faces if face.is_untouched and not face.false_alarm]

    def false_alarms_left(self) -> list[JudgedFace]:
        """Places left as they were that a judge took for a face and are none."""
        return [face for face in self.faces if face.is_untouched and face.false_alarm]

    def count(self, name: str, *, confirmed: bool = False, size: str | None = None) -> int:
        """Faces with a property, optionally of a size class and confirmed ones only."""
        return sum(
            bool(getattr(face, name))
            for face in self.faces
            if (face.is_confirmed or not confirmed) and size in (None, face.size_class)
        )

    def share(self, name: str) -> float:
        """Percentage of the faces that have a property."""
        return 100 * self.count(name) / max(1, len(self.faces))

    def same_person(self, judge: str, *, size: str | None = None) -> float:
        """Share of the faces, in [0, 1], that a recogniser takes for the original person."""
        answers = [
            face.accepted[judge]
            for face in self.faces
            if judge in face.accepted and size in (None, face.size_class)
        ]
        return sum(answers) / max(1, len(answers))

    def per_10000_frames(self) -> float:
        """Exposed faces per 10,000 frames."""
        return 1e4 * len(self.exposed()) / max(1, self.fidelity.frames_in)

    def worst(self, count: int) -> list[JudgedFace]:
        """The faces most like their originals."""
        return sorted(
            self.faces, key=lambda f: (-f.is_untouched, -f.change.correlation), reverse=False
        )[:count]

    @property
    def altered_mean_percent(self) -> float:
        """Mean share of a frame altered away from faces."""
        return float(np.mean(self.altered_percent)) if self.altered_percent else 0.0

    @property
    def altered_max_percent(self) -> float:
        """The same, in the worst frame."""
        return max(self.altered_percent, default=0.0)

    def as_dict(self) -> dict[str, object]:
        """For JSON: the figures, the size classes and the worst faces."""
        classes = {
            size: {
                "faces": sum(face.size_class == size for face in self.faces),
                "exposed": sum(face.size_class == size for face in self.exposed()),
                "weak": self.count("is_weak", size=size),
                "re_identified": {j: self.same_person(j, size=size) for j in self.judges},
            }
            for size in SIZE_CLASSES
        }
        return {
            "fidelity": asdict(self.fidelity),
            "faces": len(self.faces),
            "false_alarms_left": [face.line() for face in self.false_alarms_left()],
            "exposed": len(self.exposed()),
            "exposed_confirmed": sum(face.is_confirmed for face in self.exposed()),
            "exposed_per_10000_frames": self.per_10000_frames(),
            "weak": self.count("is_weak"),
            "re_identified": {name: self.same_person(name) for name in self.judges},
            "altered_elsewhere_percent_mean": self.altered_mean_percent,
            "altered_elsewhere_percent_max": self.altered_max_percent,
            "size_classes": classes,
            "worst_faces": [face.line() for face in self.worst(10)],
        }


def _judge_frame(
    clip: str,
    index: int,
    pair: tuple[UInt8Array, UInt8Array],
    found: FrameFaces,
    judges: Sequence[tuple[PersonJudge, int]],
) -> Iterator[JudgedFace]:
    rows = zip(found.boxes_xyxy_px, found.landmarks_px, found.is_confirmed, strict=True)
    for box, landmarks, is_confirmed in rows:
        change = compare_face(*pair, box)
        if change is None:
            continue
        similarity = {
            judge.name: judge.similarity(*pair, box, landmarks)
            for judge, every in judges
            if index % every == 0
        }
        thresholds = {judge.name: judge for judge, _ in judges}
        yield JudgedFace(
            frame=index,
            box_xyxy_px=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            size_class=size_class(box),
            is_confirmed=bool(is_confirmed),
            change=change,
            similarity=similarity,
            accepted={name: thresholds[name].accepts(s) for name, s in similarity.items()},
            false_alarm=false_alarm(clip, index, box),
        )


def measure_exposure(
    source: Path,
    output: Path,
    faces: Sequence[FrameFaces],
    judges: Sequence[tuple[PersonJudge, int]],
) -> ClipExposure:
    """Compare an output with its source.

    Args:
        source: the clip.
        output: its anonymised version.
        faces: the faces of each source frame.
        judges: recognisers, and how many frames apart each is asked.
    """
    judged: list[JudgedFace] = []
    altered: list[float] = []
    fidelity = compare_streams(source, output)
    for index, original, result in paired_frames(source, output):
        if original.shape != result.shape or index >= len(faces):
            break
        judged.extend(_judge_frame(source.stem, index, (original, result), faces[index], judges))
        altered.append(100 * altered_ratio(original, result, faces[index].doubtful_xyxy_px))
    return ClipExposure(source.name, fidelity, judged, [j.name for j, _ in judges], altered)
