"""Options of the look-back: how tracks become a plan."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamer.aligner import AlignerOptions
from streamer.extension import ExtensionOptions
from streamer.smoothing import SmoothingOptions

__all__ = ["LookBackOptions"]


@dataclass(frozen=True, slots=True)
class LookBackOptions:
    """How tracks become a plan.

    Attributes:
        crop_size_px: side of the crops that the transforms are for.
        start_score: a track whose best score is lower is weak: filled, and hardly extended.
        sure_score: a track seen less than `min_sightings` times is weak below this score.
        min_sightings: see `sure_score`.
        replace_score: a track whose best score is lower is filled: what a detector is less sure of
            is an ear or a hand more often than a face that anyone could make out.
        min_face_px: smaller faces are filled; once replaced, they stay so down to `keep_face_px`.
        keep_face_px: see `min_face_px`.
        min_hidden_ratio: share of the detected box that the mask of the synthetic face must hide
            for it to be replaced; once replaced, it stays so down to `keep_hidden_ratio`.
        keep_hidden_ratio: see `min_hidden_ratio`.
        max_replace_gap_s: longest time without landmarks in which the face is still replaced.
        min_replace_s: shorter stretches of replacing are filled, so that a face does not flap.
        margin_ratio: how far a filled box reaches beyond the detected one, by its size; the same on
            all sides, since a picture may be stored on its side.
        gap_growth_per_s: growth of a box with the time to the nearest sighting inside a track.
        hidden_ratio: an extension or weak box that lies this far inside a seen one is dropped.
        aligner: when landmarks are believed.
        smoothing: for boxes and landmarks.
        extension: before the first and after the last sighting.
    """

    crop_size_px: int = 160
    start_score: float = 0.5
    sure_score: float = 0.7
    min_sightings: int = 2
    replace_score: float = 0.6
    min_face_px: float = 24.0
    keep_face_px: float = 20.0
    min_hidden_ratio: float = 0.9
    keep_hidden_ratio: float = 0.82
    max_replace_gap_s: float = 0.3
    min_replace_s: float = 0.15
    margin_ratio: float = 0.2
    gap_growth_per_s: float = 0.6
    hidden_ratio: float = 0.7
    aligner: AlignerOptions = field(default_factory=AlignerOptions)
    smoothing: SmoothingOptions = field(default_factory=SmoothingOptions)
    extension: ExtensionOptions = field(default_factory=ExtensionOptions)

    def is_weak(self, sightings: int, best_score: float) -> bool:
        """Whether a track with this many sightings and this best score may be a false alarm."""
        needed = self.start_score if sightings >= self.min_sightings else self.sure_score
        return best_score < needed

    def is_replaced(self, sightings: int, best_score: float) -> bool:
        """Whether the faces of such a track are replaced, and not only filled."""
        return best_score >= self.replace_score and not self.is_weak(sightings, best_score)
