"""Recovery against the key log: with a wrong password, faces are found anew and come out wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.arrays import Float32Array
from streamer.analysis import analyse
from streamer.config import AppConfig
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.job_options import analysis_options, face_finder
from streamer.key_log import Face, inspect_outer
from streamer.keys import KdfParams, derive_master_key, scope_id_for
from streamer.models import Models
from streamer.plan import PlannedFace, PlanTable
from streamer.progress import ProgressSink
from streamer.recovery_log import PlacedRecords
from streamer.recovery_placement import Placed
from streamer.rotation_kinds import rotation_kind
from streamer.rotator import make_rotator
from streamer.source import open_source

__all__ = ["ForcedPlan", "plan_by_force"]


class ForcedPlan:
    """Where faces were found anew, in the shape in which a key log would say it.

    Attributes:
        identities: track id -> (512,) embedding that the wrong key leads to.
    """

    def __init__(self, plans: PlanTable, identities: Mapping[int, Float32Array]) -> None:
        self._plans = plans
        self.identities = identities

    def of(self, frame: Frame) -> PlacedRecords:
        """The faces of a frame; a log that stays shut proves no place."""
        plan = self._plans[frame.index] if frame.index < len(self._plans) else ()
        faces = tuple(face for planned in plan if (face := _face(planned, frame.pts)))
        return PlacedRecords(faces, (), Placed(frame.pts * frame.time_base, "by time"))


def _face(planned: PlannedFace, pts: int) -> Face | None:
    if planned.frame_from_crop is None:
        return None
    x1, y1, x2, y2 = (float(value) for value in planned.box_xyxy_px)
    box = np.array([x1, y1, max(x1, x2), max(y1, y2)], np.float32)
    return Face(planned.track_id, pts, box, planned.frame_from_crop, is_generated=True)


def plan_by_force(
    source: Path,
    keylog: Path,
    password: bytes,
    models: Models,
    config: AppConfig,
    *,
    workers: int,
    stop: StopRequest,
    progress: ProgressSink,
) -> ForcedPlan:
    """Find the faces of an anonymised video, and turn their identities back by a wrong key.

    Raises:
        KeyLogError: not even the header of the log can be read.
    """
    header = inspect_outer(keylog).header
    with open_source(source) as video:
        info = video.info
        finder = face_finder(config, models, info)
        options = analysis_options(config, models, workers=workers, frame_count=info.frame_count)
        found = analyse(
            video.frames(), finder, models.embedder, options, stop=stop, progress=progress
        )
    master = derive_master_key(password, header.kdf or KdfParams.generate())
    identities = {}
    for track_id, embedding in found.embeddings.items():
        name = scope_id_for(header.scope, track_id=track_id, camera_id=header.camera_id)
        rotator = make_rotator(
            rotation_kind(header.rotation),
            scope_key=master.scope_key(header.recording_id, header.scope, name),
            angle_deg=header.angle_deg,
            dim=models.space.dim,
            version=header.rotation_version,
        )
        coordinates = models.space.coordinates(embedding)
        identities[track_id] = models.space.embedding(rotator.unrotate(coordinates))
    master.wipe()
    return ForcedPlan(found.plans, identities)
