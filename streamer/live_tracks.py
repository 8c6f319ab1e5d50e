"""LiveTracks: detections of a camera become plans and identities, a few frames later."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

from engines.arrays import Float32Array
from engines.embedder import FaceEmbedder
from engines.types import Detections
from streamer.aligner import encoder_views
from streamer.analysis import AnalysisOptions
from streamer.best_crops import BestCrops
from streamer.disguise import Disguise
from streamer.extension import ExtensionOptions
from streamer.frames import Frame, TrackedFace
from streamer.identity import identify
from streamer.look_back import LookBack
from streamer.plan import FramePlan
from streamer.reassociation import RecentlyLost, TrackSummary
from streamer.scene_cut import SceneCut, thumbnail
from streamer.tracker import Tracker

__all__ = ["LiveTracks", "PlannedFrame"]

# A track that has ended is forgotten after this time, or when its cover has ended as well.
_FORGET_S = 3.0
# What a good choice of a key is worth on a camera that is not late: four are compared.
_TRIES = 16


@dataclass(frozen=True, slots=True, eq=False)
class PlannedFrame:
    """A frame that left the look-back buffer, and what is done in it."""

    frame: Frame
    plan: FramePlan


@dataclass(slots=True)
class _Life:
    """First and last sighting of a track."""

    summary: TrackSummary
    identity_id: int


class LiveTracks:
    """Follows faces while they happen. Not thread-safe.

    The identity of a track is fixed when its first usable view is there, and then kept: a face
    that changes while it is on the air would be noticed. Until then the face is covered.

    Args:
        options: settings of tracker and cover.
        embedder: E_id.
        depth_frames: look-back; how many frames later a frame leaves.
        depth_s: it leaves earlier when a frame that is later by this much has come; where frames
            are dropped, that is the same cover with less delay.
        disguise: chooses the keys of identities; None: the first one of each.

    Attributes:
        embeddings: identity -> (D,) unit embedding, of those who are there or left just now.
        attempts: identity -> which of its keys hides it, of the same.
        identities: track -> identity, of those that may still be in frames to come.
        ended: tracks that are in no frame to come; whoever reads them empties the list.
        track_count: how many there were so far.
    """

    def __init__(
        self,
        options: AnalysisOptions,
        embedder: FaceEmbedder,
        *,
        depth_frames: int,
        depth_s: float = math.inf,
        disguise: Disguise | None = None,
    ) -> None:
        if depth_frames < 0:
            raise ValueError("depth_frames must not be negative")
        self._options = options
        self._embedder, self._disguise = embedder, disguise
        self._depth = depth_frames
        self._depth_s = depth_s
        self.embeddings: dict[int, Float32Array] = {}
        self.attempts: dict[int, int] = {}
        self.identities: dict[int, int] = {}
        self.ended: list[int] = []
        self.track_count = 0
        self._start_over()

    def _start_over(self) -> None:
        """Forget everything that is followed; numbers of tracks go on."""
        options = self._options
        extension: ExtensionOptions = options.look_back.extension
        after_s = max(extension.after_s, options.tracker.max_coast_s)
        look_back = replace(options.look_back, extension=replace(extension, after_s=after_s))
        self._tracker = Tracker(options.tracker)
        self._look_back = LookBack(look_back, history_s=max(2.0, after_s + 0.5))
        self._cuts = SceneCut(options.scene_cut)
        self._crops = BestCrops()
        self._lost = RecentlyLost(options.reassociation)
        self._lives: dict[int, _Life] = {}
        self._present_s: dict[int, float] = {}
        self._forget_s = max(_FORGET_S, after_s + 1.0)
        self._frames: deque[Frame] = deque()
        self._offset = self.track_count
        self._tries = 0

    def push(self, frame: Frame, found: Detections, *, is_late: bool = False) -> list[PlannedFrame]:
        """Take in the next frame; gives the frames that leave the buffer.

        Args:
            frame: the frame.
            found: what is in it.
            is_late: others wait already, so new people get the first key that hides them.
        """
        self._tries = 0 if is_late else _TRIES
        size_hw = frame.size_hw
        cut = self._cuts.update(thumbnail(frame.pixels[: size_hw[0]]))
        faces = self._tracker.update(frame.time_s, found, frame_size_hw=size_hw, cut=cut)
        faces = tuple(replace(face, track_id=face.track_id + self._offset) for face in faces)
        self._frames.append(frame)
        self._look_back.add(frame.time_s, faces, found, frame_size_hw=size_hw, cut=cut)
        for face in faces:
            self._follow(frame, face)
        self._forget(frame.time_s)
        leaving = []
        while len(self._look_back) > self._depth or (
            self._frames and frame.time_s - self._frames[0].time_s >= self._depth_s
        ):
            plan = self._look_back.release(self.identities)
            leaving.append(PlannedFrame(self._frames.popleft(), plan))
        return leaving

    def _follow(self, frame: Frame, face: TrackedFace) -> None:
        """Keep the views of a face, and find out who it is once it gets a new face."""
        key = face.track_id
        self.track_count = max(self.track_count, key)
        self._present_s[key] = frame.time_s
        self._crops.offer(frame, face)
        if face.is_coasting:
            return
        if key not in self._lives and self._look_back.is_replaced(key):
            self._identify(key, frame.time_s, face.box_xyxy_px)
        life = self._lives.get(key)
        if life is not None:
            life.summary = replace(
                life.summary, last_s=frame.time_s, last_box_xyxy_px=face.box_xyxy_px
            )

    def _identify(self, track_id: int, time_s: float, box: Float32Array) -> None:
        """Fix the identity of a track from its first view, or from the track that it continues."""
        canvases = self._crops.of(track_id)
        if canvases is None:
            return
        embedding = identify(self._embedder, encoder_views(canvases))
        summary = TrackSummary(track_id, time_s, time_s, box, box, 0, embedding)
        identity = self._lost.identity_of(summary)
        self._lives[track_id] = _Life(summary, identity)
        self.identities[track_id] = identity
        if identity not in self.embeddings:
            self.embeddings[identity] = embedding
            if self._disguise is not None:
                choice = self._disguise.choose(identity, embedding, canvases, tries=self._tries)
                self._tries = 0  # one person a frame
                self.attempts[identity] = choice.attempt

    def _forget(self, time_s: float) -> None:
        """Keep the memory of an endless job flat, whoever stays in the picture."""
        present_s = self._present_s
        for key in [key for key in self._lives if present_s[key] < time_s]:
            # The tracker has let go of it: a new track may be the same person.
            life = self._lives.pop(key)
            self._lost.add(life.summary, life.identity_id)
        before_s = time_s - self._forget_s
        for key in [key for key, last_s in present_s.items() if last_s < before_s]:
            del present_s[key]
            self.identities.pop(key, None)
            self.ended.append(key)
        self._crops.take_ended(before_s)
        in_use = self._lost.identities(time_s) | set(self.identities.values())
        for key in self.embeddings.keys() - in_use:
            del self.embeddings[key]
            self.attempts.pop(key, None)

    def flush(self) -> list[PlannedFrame]:
        """The frames that are still held, at the end or before a gap; starts over."""
        plans = self._look_back.flush(self.identities)
        held = [PlannedFrame(frame, plan) for frame, plan in zip(self._frames, plans, strict=True)]
        self.ended += self._present_s
        self.identities.clear()
        self._start_over()
        return held
