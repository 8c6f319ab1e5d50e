"""How much the image protocol measures, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.judges import ImageJudge
from benchmarks.judges_cache import Memo
from benchmarks.privacy_looks import FaceReader
from benchmarks.privacy_methods import Baseline
from benchmarks.privacy_product import Anonymizer
from benchmarks.privacy_sample import Others, Sample
from engines.arrays import UInt8Array

__all__ = ["Bench", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        seeds: how many; each draws other pictures, passwords and levels.
        people: identities, None for all that are held out.
        per_person: probes of each in a seed that our default and random levels are judged on, None
            for all; everything else takes one of each, if nothing else is said.
        recovery_per_person: how many of them are brought back, None for all: whether a face comes
            back hangs on its picture, so seeds agree only where they see nearly the same pictures.
        others: pictures of other people that the informed attacker learns from.
        grid_others: the same for policies beyond the default.
        grid: policies beyond the default that the informed attacker is tried on.
        codec_people: identities behind each codec setting.
        template_pictures: of each person, averaged by the template attack.
        guesses: passwords that are guessed.
        only_baselines: leave out what depends on our weights.
    """

    seeds: int = 3
    people: int | None = None
    per_person: int | None = None
    recovery_per_person: int | None = None
    others: int = 300
    grid_others: int = 120
    grid: bool = True
    codec_people: int = 30
    template_pictures: int = 3
    guesses: int = 50
    only_baselines: bool = False

    @classmethod
    def quick(cls) -> Settings:
        """A look at everything on few identities; not for quoting."""
        return cls(1, 12, 2, 1, 40, 20, False, 4, 3, 6)


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Everything that the parts need.

    Attributes:
        settings: how much.
        samples: one for each seed.
        pictures: all pictures of the held-out people, and (N,) whose they are.
        owners: see `pictures`.
        others: who the informed attacker learns from.
        anonymizer: the product.
        judges: calibrated.
        reader: landmarks and detector.
        baselines: the other methods.
        memo: the cache, for baselines.
    """

    settings: Settings
    samples: Sequence[Sample]
    pictures: UInt8Array
    owners: np.ndarray
    others: Others
    anonymizer: Anonymizer
    judges: Sequence[ImageJudge]
    reader: FaceReader
    baselines: Sequence[Baseline]
    memo: Memo

    def readers(self) -> dict[str, ImageJudge]:
        """What an attacker reads faces with: the judges and the product's own encoder."""
        own = ImageJudge("own encoder", self.anonymizer.identities)
        return {judge.name: judge for judge in (*self.judges, own)}
