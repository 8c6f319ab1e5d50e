"""Reading synthetic identities back out of the video: the first step of generative recovery."""

from __future__ import annotations

import numpy as np

from engines.arrays import Float32Array
from engines.embedder import FaceEmbedder
from streamer.aligner import ENCODER_PX, encoder_crop
from streamer.color import crop_rgb
from streamer.identity import identify, mean_embedding
from streamer.interrupt import StopRequest
from streamer.progress import ProgressSink, Tick
from streamer.recovery_log import FrameLookup
from streamer.source import open_source

__all__ = ["read_identities"]

# Read-back errors of single frames average out; beyond this many views little is gained.
_VIEWS = 24


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


def read_identities(
    source: str,
    lookup: FrameLookup,
    reader: FaceEmbedder,
    *,
    crop_size_px: int,
    stop: StopRequest,
    progress: ProgressSink,
) -> dict[int, Float32Array]:
    """The mean embedding of each track's synthetic faces.

    Args:
        source: the anonymised video.
        lookup: says where the faces are.
        reader: what reads, the generator's own reader or E_id.
        crop_size_px: side of the generator's crop.
        stop: ends the pass early.
        progress: is told about each frame.

    Returns:
        Track id -> (512,) float32 unit embedding, for tracks with a synthetic face.
    """
    views: dict[int, _Views] = {}
    with open_source(source) as video:
        for frame in video.frames():
            if stop.is_set():
                break
            faces = [face for face in lookup.of(frame).faces if face.is_generated]
            wanted = [f for f in faces if views.setdefault(f.track_id, _Views()).wants()]
            for face in wanted:
                matrix = encoder_crop(face.frame_from_crop, crop_size_px)
                crop = crop_rgb(frame.pixels, frame.color, matrix, ENCODER_PX)
                views[face.track_id].add(identify(reader, crop[None]))
            progress.update(Tick("read back", frame.index + 1, video.info.frame_count))
    return {
        track_id: mean_embedding(np.stack(found.kept))
        for track_id, found in views.items()
        if found.kept
    }
