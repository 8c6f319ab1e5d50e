"""Reading synthetic identities back out of the video: the first step of generative recovery."""

from __future__ import annotations

import numpy as np

from engines.arrays import Float32Array, UInt8Array
from streamer.color import crop_rgb
from streamer.frames import Frame
from streamer.identity import identify, mean_embedding
from streamer.interrupt import StopRequest
from streamer.key_log import Face
from streamer.models import Models
from streamer.progress import ProgressSink, Tick
from streamer.recovery_log import RecoveryLog
from streamer.source import open_source

__all__ = ["read_identities"]

# Read-back errors of single frames average out; beyond this many views little is gained.
_VIEWS = 24
_CANVAS_PX = 160
_OFFSET_PX = 24


class _Views:
    """Embeddings of a track, thinned out evenly as more of them come."""

    def __init__(self) -> None:
        self._step = 1
        self._seen = 0
        self.kept: list[Float32Array] = []

    def wants(self) -> bool:
        self._seen += 1
        return (self._seen - 1) % self._step == 0

    def add(self, embedding: Float32Array) -> None:
        self.kept.append(embedding)
        if len(self.kept) >= 2 * _VIEWS:
            self.kept = self.kept[::2]
            self._step *= 2


def _crop_112(frame: Frame, face: Face, size_px: int) -> UInt8Array:
    """The encoder's crop: the middle of the alignment canvas, whatever the generator's size."""
    scale = size_px / _CANVAS_PX
    matrix = face.frame_from_crop @ np.diag([scale, scale, 1.0])
    canvas = crop_rgb(frame.pixels, frame.color, matrix, _CANVAS_PX)
    return canvas[_OFFSET_PX:-_OFFSET_PX, _OFFSET_PX:-_OFFSET_PX]


def read_identities(
    source: str,
    log: RecoveryLog,
    models: Models,
    *,
    stop: StopRequest,
    progress: ProgressSink,
) -> dict[int, Float32Array]:
    """The mean embedding of each track's synthetic faces.

    Args:
        source: the anonymised video.
        log: says where the faces are.
        models: the encoder is used.
        stop: ends the pass early.
        progress: is told about each frame.

    Returns:
        Track id -> (512,) float32 unit embedding, for tracks with a synthetic face.
    """
    views: dict[int, _Views] = {}
    lookup = log.frames()
    with open_source(source) as video:
        for frame in video.frames():
            if stop.is_set():
                break
            faces = [face for face in lookup.of(frame).faces if face.is_generated]
            wanted = [f for f in faces if views.setdefault(f.track_id, _Views()).wants()]
            for face in wanted:
                crop = _crop_112(frame, face, models.generator.crop_size_px)
                views[face.track_id].add(identify(models.embedder, crop[None]))
            progress.update(Tick("read back", frame.index + 1, video.info.frame_count))
    return {
        track_id: mean_embedding(np.stack(found.kept))
        for track_id, found in views.items()
        if found.kept
    }
