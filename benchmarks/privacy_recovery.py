"""Bringing faces back: with the right password, with a wrong one, and after a codec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.encoder_views import h264, resized
from benchmarks.judges import ImageJudge
from benchmarks.privacy_attacks import protect_with_keys
from benchmarks.privacy_measures import Measures, recovery_measures
from benchmarks.privacy_product import Anonymizer, Policy, secret_key
from benchmarks.privacy_sample import Sample
from engines.arrays import Float32Array, Float64Array, UInt8Array

__all__ = ["Protected", "after_codecs", "protect_sample", "recoveries"]

_CODECS: Final = {"H.264": "libx264", "HEVC": "libx265"}
_CRFS: Final = (18, 23, 28, 35)
_HALF_FACE_PX: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class Protected:
    """A sample under a policy, with what its key log would know.

    Attributes:
        sample: the originals.
        policy: how they were protected.
        keys: of each picture.
        angles_deg: (N,).
        identities: (N, 512) of the originals.
        made: (N, 160, 160, 3) the new faces.
    """

    sample: Sample
    policy: Policy
    keys: list[bytes]
    angles_deg: Float64Array
    identities: Float32Array
    made: UInt8Array


def protect_sample(anonymizer: Anonymizer, sample: Sample, policy: Policy) -> Protected:
    """The probes under a policy."""
    made, keys, angles = protect_with_keys(
        anonymizer, sample.probes, policy, sample.seed, "sample", sample.seed
    )
    identities = anonymizer.identities(sample.probes)
    return Protected(sample, policy, keys, angles, identities, made)


def recoveries(
    anonymizer: Anonymizer, protected: Protected, judges: Sequence[ImageJudge]
) -> dict[str, Measures]:
    """Correct recovery in each way of the generator, and incorrect recovery (Tables 3 and 4)."""
    originals = protected.sample.probes
    return {
        way: recovery_measures(originals, faces, judges)
        for way, faces in _ways(anonymizer, protected, protected.made)
    } | {"wrong password": recovery_measures(originals, _wrong(anonymizer, protected), judges)}


def _ways(
    anonymizer: Anonymizer, protected: Protected, seen: UInt8Array
) -> Iterator[tuple[str, UInt8Array]]:
    """What each way makes of the new faces as they arrive."""
    read = anonymizer.read(seen)
    back = anonymizer.turned_back(
        read,
        protected.keys,
        protected.angles_deg,
        kind=protected.policy.kind,
        originals=protected.identities,
    )
    yield "generative", anonymizer.restored(seen, anonymizer.likeliest(back))
    yield "identity only", anonymizer.restored(seen, protected.identities)
    originals = protected.sample.probes
    yield "assisted", anonymizer.assisted(seen, protected.identities, originals)


def _wrong(anonymizer: Anonymizer, protected: Protected) -> UInt8Array:
    """Turned back with a key that is not the one."""
    count = len(protected.made)
    keys = [secret_key("wrong", protected.sample.seed, row) for row in range(count)]
    back = anonymizer.turned_back(
        anonymizer.read(protected.made),
        keys,
        protected.angles_deg,
        kind=protected.policy.kind,
        originals=protected.identities,
    )
    return anonymizer.restored(protected.made, anonymizer.likeliest(back))


def after_codecs(
    anonymizer: Anonymizer, protected: Protected, judges: Sequence[ImageJudge]
) -> dict[str, dict[str, Measures]]:
    """Each way after video compression and after a smaller size; condition to way to measures."""
    conditions = {"before encoding": protected.made}
    for name, codec in _CODECS.items():
        for crf in _CRFS:
            conditions[f"{name} CRF {crf}"] = h264(protected.made, crf=crf, codec=codec)
    conditions["half the size"] = resized(protected.made, face_px=_HALF_FACE_PX)
    originals = protected.sample.probes
    return {
        condition: {
            way: recovery_measures(originals, faces, judges)
            for way, faces in _ways(anonymizer, protected, seen)
        }
        for condition, seen in conditions.items()
    }
