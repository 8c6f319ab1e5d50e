"""How a detector is used: thresholds, input size and normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from engines.manifest import ModelManifest

__all__ = ["DetectorSettings"]


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """How a detector is used.

    Attributes:
        score_threshold: least score of a face; start a track at this.
        keep_threshold: lower score at which a track that exists may go on; pass it to `detect`.
        nms_iou: boxes that overlap a stronger one by more than this are duplicates.
        long_side_px: length to which a frame's longer side is scaled (free input sizes only).
        two_looks: look at smaller sizes too, for near faces (free input sizes only).
        mean: subtracted from pixel values.
        std: divides the difference.
    """

    score_threshold: float = 0.5
    keep_threshold: float = 0.3
    nms_iou: float = 0.4
    long_side_px: int = 640
    two_looks: bool = False
    mean: float = 127.5
    std: float = 128.0

    @staticmethod
    def from_manifest(manifest: ModelManifest) -> DetectorSettings:
        """Take thresholds and normalisation from a manifest; defaults where it is silent."""
        base, extra = DetectorSettings(), manifest.extra
        return DetectorSettings(
            score_threshold=float(extra.get("score_threshold", base.score_threshold)),
            keep_threshold=float(extra.get("keep_threshold", base.keep_threshold)),
            nms_iou=float(extra.get("nms_iou", base.nms_iou)),
            long_side_px=int(extra.get("long_side_px", base.long_side_px)),
            two_looks=bool(extra.get("two_looks", base.two_looks)),
            mean=manifest.mean,
            std=manifest.std,
        )
