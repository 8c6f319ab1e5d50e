"""What a recovery is asked for, and what it says in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from streamer.recovery_log import TimeSpan

__all__ = ["WHOLE", "RecoverReport", "RecoverRequest", "RecoveryMode"]

RecoveryMode: TypeAlias = Literal["sealed", "assisted", "generative"]
WHOLE: Final = TimeSpan()


@dataclass(frozen=True, slots=True)
class RecoverRequest:
    """What is brought back, and where it goes.

    Attributes:
        source: the anonymised video.
        keylog: its key log, the first part of it that is wanted.
        out: path of the recovered video, None to take pictures only.
        mode: None takes the best that the log allows.
        tracks: ids of the tracks, None for all.
        span: which times of the video.
        force: go on with a wrong password.
        overwrite: replace an existing output.
        grant: open the log through this grant; None: by its recipients.
        min_generations: by the hex of a log's H, the change of recipients before which its header
            is refused.
    """

    source: Path
    keylog: Path
    out: Path | None
    mode: RecoveryMode | None = None
    tracks: tuple[int, ...] | None = None
    span: TimeSpan = WHOLE
    force: bool = False
    overwrite: bool = False
    grant: Path | None = None
    min_generations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecoverReport:
    """What a recovery did.

    Attributes:
        mode: how the faces came back.
        frames: frames written, or looked at when nothing is.
        frames_with_faces: of these, in how many something was brought back.
        tracks: tracks that were asked for and found.
        frames_proven: frames that digests prove to be the recording's.
        frames_by_time: frames placed by their time alone.
        frames_unplaced: frames that could not be placed; nothing was brought back in them.
        placement: the same in words, with times.
        video: what the digests prove about the file as a whole, in words.
        logs: parts of the key log that were used.
        was_forced: the password was wrong.
        is_log_complete: every part was opened, has its end marker and no damage.
        was_interrupted: the user ended the run early.
        seconds: wall time.
        warnings: everything that could not be kept or brought back.
    """

    mode: RecoveryMode
    frames: int
    frames_with_faces: int
    tracks: int
    frames_proven: int
    frames_by_time: int
    frames_unplaced: int
    placement: tuple[str, ...]
    video: tuple[str, ...]
    logs: tuple[str, ...]
    was_forced: bool
    is_log_complete: bool
    was_interrupted: bool
    seconds: float
    warnings: tuple[str, ...]
