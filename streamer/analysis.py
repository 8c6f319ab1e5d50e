"""Analysis, the first pass over a file: who is where in every frame, before any is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.types import Detections
from streamer.aligner import encoder_views
from streamer.best_crops import BestCrops
from streamer.channel import Channel
from streamer.disguise import Disguise, pack_views, unpack_views
from streamer.face_finder import FaceFinder
from streamer.frames import Frame
from streamer.identity import identify
from streamer.interrupt import StopRequest
from streamer.key_choice import KeyChoice
from streamer.look_back import LookBackOptions, finalise
from streamer.plan import PlanTable
from streamer.progress import ProgressSink, Tick
from streamer.reassociation import ReassociationOptions, reassociate
from streamer.runner import StageRunner
from streamer.scene_cut import SceneCut, SceneCutOptions
from streamer.sparse_finder import Sample, SparseFinder, SparseOptions
from streamer.sparse_looks import Looks, PendingLooks
from streamer.track_table import TrackTable
from streamer.tracker import Tracker, TrackerOptions

__all__ = ["Analysis", "AnalysisOptions", "analyse"]

# Every so many frames the views of ended tracks become embeddings and are freed.
_SETTLE_INTERVAL: Final = 50
# A try costs about what drawing a face does, so this bounds what recovery may cost.
_FACES_A_TRY: Final = 4


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """Settings of the first pass.

    Attributes:
        tracker: association and coasting.
        look_back: cover before, between and after sightings.
        scene_cut: when two frames are of different shots.
        reassociation: when two tracks are one person.
        workers: detector threads.
        frame_count: expected number of frames, for progress; None when unknown.
        sparse: which frames are looked at.
    """

    tracker: TrackerOptions
    look_back: LookBackOptions
    scene_cut: SceneCutOptions
    reassociation: ReassociationOptions
    workers: int
    frame_count: int | None
    sparse: SparseOptions = field(default_factory=SparseOptions)


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What is done in every frame, and who the people are.

    Attributes:
        plans: one plan per frame.
        embeddings: identity id -> (512,) float32 unit embedding of the original.
        choices: identity id -> which of its keys hides it, and what is drawn.
        track_count: number of tracks.
        was_stopped: True when the end of the source was not reached.
    """

    plans: PlanTable
    embeddings: Mapping[int, Float32Array]
    track_count: int
    was_stopped: bool
    choices: Mapping[int, KeyChoice] = field(default_factory=dict)


class _FirstPass:
    """State of the pass: tracker, table, the best views of each track and their embeddings."""

    def __init__(
        self, options: AnalysisOptions, embedder: FaceEmbedder, *, keeps_views: bool
    ) -> None:
        self._tracker = Tracker(options.tracker)
        self._cuts = SceneCut(options.scene_cut)
        self._crops = BestCrops()
        self._embedder, self._keeps_views = embedder, keeps_views
        # Later than this a lost track cannot be continued any more.
        self._settled_s = options.tracker.max_coast_s + 1.0
        self.table = TrackTable()
        self.embeddings: dict[int, Float32Array] = {}
        self.views: dict[int, list[bytes]] = {}
        self.track_count = 0

    def take(self, sample: Sample, found: Detections) -> int:
        """Add one frame; returns the number of faces in it."""
        frame = sample.frame
        size_hw = frame.size_hw
        cut = self._cuts.update(sample.picture)
        faces = self._tracker.update(frame.time_s, found, frame_size_hw=size_hw, cut=cut)
        self.table.append(frame.time_s, faces, found, frame_size_hw=size_hw, cut=cut)
        for face in faces:
            self.track_count = max(self.track_count, face.track_id)
            self._crops.offer(frame, face)
        if len(self.table) % _SETTLE_INTERVAL == 0:
            self._embed(self._crops.take_ended(frame.time_s - self._settled_s))
        return len(faces)

    def finish(self) -> None:
        """Embed the tracks that were still there at the end."""
        self._embed(self._crops.items())

    def _embed(self, tracks: Iterable[tuple[int, UInt8Array]]) -> None:
        for track_id, canvases in tracks:
            self.embeddings[track_id] = identify(self._embedder, encoder_views(canvases))
            if self._keeps_views:
                self.views[track_id] = pack_views(canvases)

    def choices(
        self,
        disguise: Disguise,
        faces: Mapping[int, int],
        pool: ThreadPoolExecutor,
        stop: StopRequest,
        progress: ProgressSink,
    ) -> dict[int, KeyChoice]:
        """How each identity is drawn.

        Args:
            disguise: chooses.
            faces: identity id -> its faces in the file.
            pool: runs it.
            stop: the user does not want to wait: the first keys that hide people have to do.
            progress: is told about each identity.
        """
        known = [identity for identity in faces if identity in self.views]

        def choose(identity: int) -> KeyChoice:
            views = unpack_views(self.views[identity])
            tries = 0 if stop.is_set() else faces[identity] // _FACES_A_TRY
            return disguise.choose(identity, self.embeddings[identity], views, tries=tries)

        found: dict[int, KeyChoice] = {}
        for identity, choice in zip(known, pool.map(choose, known), strict=True):
            found[identity] = choice
            progress.update(Tick("choose faces", len(found), len(known)))
        return found


def analyse(
    frames: Iterator[Frame],
    finder: FaceFinder,
    embedder: FaceEmbedder,
    options: AnalysisOptions,
    *,
    stop: StopRequest,
    progress: ProgressSink,
    disguise: Disguise | None = None,
) -> Analysis:
    """Find, track and identify every face of a file.

    Args:
        frames: all frames in order.
        finder: finds faces; called from several threads.
        embedder: E_id.
        options: settings.
        stop: ends the pass early; what was seen so far is planned.
        progress: told about each frame.
        disguise: chooses the keys of identities; None: the first one of each.

    Raises:
        AnonymizerError: the first error of any stage.
    """
    state = _FirstPass(options, embedder, keeps_views=disguise is not None)
    channel: Channel[PendingLooks] = Channel(options.workers + 2)
    with ThreadPoolExecutor(options.workers, thread_name_prefix="detect") as pool:
        looks = Looks(SparseFinder(finder, options.sparse), pool)

        def decode() -> None:
            for frame in frames:
                if stop.is_set():
                    break
                for pending in looks.add(frame):
                    channel.send(pending)
            for pending in looks.flush():
                channel.send(pending)
            channel.close()

        def track() -> None:
            done = 0
            for samples, found in channel:
                for sample, faces in zip(samples, found.result(), strict=True):
                    done += 1
                    count = state.take(sample, faces)
                    tick = Tick("analyse", done, options.frame_count, count, state.track_count)
                    progress.update(tick)

        runner = StageRunner(channel)
        runner.add("decode", decode)
        runner.add("track", track)
        runner.run()
        state.finish()
        identities = reassociate(state.table, state.embeddings, options.reassociation)
        plans = finalise(state.table, options.look_back, identities=identities)
        choices: dict[int, KeyChoice] = {}
        if disguise is not None:
            choices = state.choices(disguise, plans.replaced_identities(), pool, stop, progress)
    return Analysis(plans, state.embeddings, state.track_count, stop.is_set(), choices)
