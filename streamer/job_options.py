"""From the configuration to the options of each stage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from engines.arrays import Float32Array
from streamer.analysis import AnalysisOptions
from streamer.backoff import BackoffOptions
from streamer.blender import Blender
from streamer.config import AppConfig
from streamer.disguise import Disguise, KeyProposals, Recall
from streamer.extension import ExtensionOptions
from streamer.face_finder import FaceFinder, input_side_px
from streamer.face_looks import FaceLooks
from streamer.face_reuse import FaceReuse
from streamer.kept_pictures import KeptPictures, kept_pictures
from streamer.likeness import LikenessGuard
from streamer.live_source import LiveOptions
from streamer.look_back import LookBackOptions
from streamer.media_info import MediaInfo, Notices
from streamer.models import Models
from streamer.reassociation import ReassociationOptions
from streamer.renderer import Renderer, RenderObserver
from streamer.scene_cut import SceneCutOptions
from streamer.sink import SinkOptions
from streamer.source import SourceOptions
from streamer.source_open import is_playlist
from streamer.sparse_finder import SparseOptions
from streamer.tracker import TrackerOptions
from streamer.zones import PrivacyZones

__all__ = [
    "analysis_options",
    "asks_recall",
    "chooses_keys",
    "face_finder",
    "file_encoder_threads",
    "live_options",
    "make_blender",
    "make_disguise",
    "make_renderer",
    "sink_options",
]

_DRAWING_PER_ENCODER: Final = 8
_MOST_ENCODER_THREADS: Final = 4


def sink_options(config: AppConfig, *, overwrite: bool, encoder_threads: int = 0) -> SinkOptions:
    """How the output is encoded; 0 threads: the encoder's own choice."""
    video, base = config.video, SinkOptions()
    return SinkOptions(
        codec=video.codec,
        preset=base.preset if video.preset is None else video.preset,
        crf=video.crf,
        keyframe_interval_s=video.keyframe_interval_s,
        keep_metadata=video.keep_metadata,
        overwrite=overwrite,
        encoder_threads=encoder_threads,
    )


def file_encoder_threads(config: AppConfig, workers: int) -> int:
    """Threads of the encoder beside so many that draw; 0: its own choice.

    With the quickest preset encoding is a tenth of the whole work, so one thread keeps up with
    eight that draw, and pictures cut into slices for two cost a fifth more.
    """
    if config.video.codec != "h264" or sink_options(config, overwrite=False).preset != "ultrafast":
        return 0
    return min(-(-workers // _DRAWING_PER_ENCODER), os.cpu_count() or 1, _MOST_ENCODER_THREADS)


def face_finder(config: AppConfig, models: Models, info: MediaInfo) -> FaceFinder:
    """What finds the faces of a video."""
    return FaceFinder(
        models.detector,
        rotation_deg=info.rotation_deg,
        long_side_px=input_side_px(info.size_hw, config.detector.long_side_px),
    )


def make_blender(config: AppConfig) -> Blender:
    """What covers faces, and the places that are always filled."""
    return Blender(fallback=config.cover.fallback, zones=PrivacyZones(config.rules.zones))


def make_renderer(
    config: AppConfig,
    models: Models,
    *,
    targets: Mapping[int, Float32Array],
    originals: Mapping[int, Float32Array],
    has_log: bool,
    notices: Notices,
    observer: RenderObserver | None = None,
    reuse: FaceReuse | None = None,
) -> Renderer:
    """What draws the frames.

    Args:
        config: how faces are covered.
        models: generator and encoder.
        targets: identity id -> (512,) embedding of the new face.
        originals: identity id -> (512,) embedding of the person, for the likeness guard.
        has_log: somebody takes what the key log keeps of original faces.
        notices: told when the generator fails.
        observer: told each time it fails or a guard refuses a face.
        reuse: lets late frames show faces of the frame before.
    """
    limit = config.cover.most_alike
    guard = LikenessGuard(models.embedder, originals, most_alike=limit) if limit < 1 else None
    return Renderer(
        models.generator,
        make_blender(config),
        targets if config.cover.replace else {},
        guard=guard,
        keeps=kept_pictures(config.keylog) if has_log else KeptPictures.NOTHING,
        notices=notices,
        observer=observer,
        reuse=reuse,
    )


def chooses_keys(config: AppConfig) -> bool:
    """Whether an identity may get another key than its first one."""
    cover = config.cover
    has_own_keys = config.identity.scope == "track" and cover.replace
    return has_own_keys and cover.most_alike < 1 and cover.key_attempts > 1


def asks_recall(config: AppConfig) -> bool:
    """Whether it counts how well a new face can be read: where there is no surer way back.

    Faces that are drawn to be read are more like each other by different keys, so a log that holds
    originals or identities is not worth it (docs/decisions/0075).
    """
    cover, log = config.cover, config.keylog
    is_on = cover.recall_attempts > 1 or cover.recall_steps > 0
    needs_it = not (log.seal or log.assisted or log.irreversible)
    return is_on and needs_it and chooses_keys(config) and config.identity.rotation == "orthogonal"


def make_disguise(
    config: AppConfig, models: Models, keys: KeyProposals, recall: Recall | None = None
) -> Disguise | None:
    """What chooses the key of each identity; None where each has but one.

    Args:
        config: how faces are covered.
        models: generator and encoder.
        keys: what they would turn an identity into.
        recall: tells what is recovered by each key; None: that does not count.
    """
    if not chooses_keys(config):
        return None
    cover = config.cover
    return Disguise(
        models.generator, models.embedder, keys,
        most_alike=cover.most_alike, attempts=cover.key_attempts,
        recall=recall, compared=cover.recall_attempts, steps=cover.recall_steps,
        looks=FaceLooks(models.detector), looked_at=cover.looks_attempts,
    )  # fmt: skip


def live_options(config: AppConfig, url: str, *, is_file: bool) -> LiveOptions:
    """How a camera, or a file that plays one, is read."""
    live = config.live
    source = SourceOptions(
        mode="file" if is_file else "live",
        open_timeout_s=live.open_timeout_s,
        read_timeout_s=live.read_timeout_s,
        rtsp_transport=live.rtsp_transport,
        tls_verify=live.tls_verify,
        ca_file=live.ca_file,
    )
    backoff = replace(BackoffOptions(), longest_s=live.longest_wait_s)
    return LiveOptions(
        source,
        backoff,
        refused_wait_s=live.refused_wait_s,
        give_up_s=live.give_up_s,
        is_file=is_file,
        is_paced=is_playlist(url),
    )


def _surer(start_score: float) -> float:
    """The score from which a track gets a new face, for detectors with any scale of scores."""
    base = LookBackOptions()
    share = (base.replace_score - base.start_score) / (1.0 - base.start_score)
    return start_score + share * (1.0 - start_score)


def analysis_options(
    config: AppConfig, models: Models, *, workers: int, frame_count: int | None
) -> AnalysisOptions:
    """How faces are tracked and covered."""
    settings, cover = models.detector.settings, config.cover
    cover_score = min(TrackerOptions().cover_score, settings.score_threshold)
    tracker = TrackerOptions(
        start_score=settings.score_threshold,
        cover_score=cover_score,
        # What starts a cover must also continue one, or every frame starts it anew.
        keep_score=min(settings.keep_threshold, cover_score),
    )
    extension = replace(
        ExtensionOptions(), before_s=cover.extend_before_s, after_s=cover.extend_after_s
    )
    base = LookBackOptions()
    look_back = replace(
        base,
        crop_size_px=models.generator.crop_size_px,
        start_score=settings.score_threshold,
        replace_score=_surer(settings.score_threshold),
        min_face_px=cover.min_face_px,
        keep_face_px=cover.min_face_px * base.keep_face_px / base.min_face_px,
        extension=extension,
    )
    return AnalysisOptions(
        tracker=tracker,
        look_back=look_back,
        scene_cut=SceneCutOptions(),
        reassociation=ReassociationOptions(),
        sparse=replace(
            SparseOptions(), stride=config.detector.stride, sure_score=tracker.cover_score
        ),
        workers=workers,
        frame_count=frame_count,
    )
