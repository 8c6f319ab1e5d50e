"""Protection and recovery by the generator, judged by recognisers that no loss has seen.

Faces are aligned crops of people that no training saw; the encoder, the keyed rotation, the
generator and the mask are the product's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.assisted import assisted
from benchmarks.encoder_views import h264
from benchmarks.generator_groups import worst_groups
from benchmarks.generator_judges import (
    DlibTools,
    Judge,
    detected,
    judges,
    landmarks66,
    psnr_ssim_mae,
)
from benchmarks.generator_material import LEVELS, HeldOut, Product, key_of, load_held_out
from benchmarks.product_faces import make_faces, turn_each
from engines.arrays import Float32Array, UInt8Array
from engines.manifest import WEIGHTS_FOLDER
from training.teachers import load_teachers

__all__ = ["evaluate"]

_CRF: Final = 23
_PX_256: Final = 256 / 160
_TIMED_CALLS: Final = 40


def evaluate(
    shared: Path, *, quick: bool, manifest: Path = WEIGHTS_FOLDER / "generator.json"
) -> dict[str, object]:
    """Measure the generator.

    Args:
        shared: folder that holds `faces` and `models`.
        quick: one picture a person, no levels and groups.
        manifest: the generator to measure.

    Returns:
        Figures by name. Success rates are of protection ("the judge says: not the same person"),
        also where the paper reports recovery: there, lower is better.
    """
    teachers = load_teachers(shared / "models")
    held = load_held_out(shared, per_person=1 if quick else 2)
    product = Product(generator=manifest)
    found, tools = judges(teachers)
    run = _Run(held, product)
    results: dict[str, object] = {
        "weights_sha256": product.manifest.sha256,
        "images_seen": product.manifest.extra.get("images_seen"),
        "faces": len(held.probes),
        "people": len(held.gallery),
        "ms_per_face": _milliseconds(product, run.originals),
        "judges": {judge.name: run.judged(judge) for judge in found},
        "detectability": detected(run.protected, teachers),
        "landmark_displacement_px_at_256": _displacements(run, teachers, tools),
        "recovered": {name: psnr_ssim_mae(x, run.originals) for name, x in run.recovered.items()},
        "read_back_cosine": run.read_back(),
    }
    if not quick:
        results["levels"] = _levels(run, found[0])
        results["worst_groups"] = worst_groups(shared, product, found[0])
    return results


class _Run:
    """All pictures that the figures are about."""

    def __init__(self, held: HeldOut, product: Product) -> None:
        self.held, self.product = held, product
        self.originals = held.crops[held.probes]
        self.identities = product.embed(self.originals)
        self.levels = np.random.default_rng(0).integers(0, LEVELS, len(held.probes))
        self.first_key = self._made_by([key_of(1)] * len(self.originals))
        self.protected, self.other_key = (
            make_faces(product, self.originals, self.levels, password=k).crops for k in (1, 2)
        )
        compressed = h264(self.protected, crf=_CRF)
        # What files get whose key log holds neither originals nor identities.
        recall = product.recall_space
        readable, other = (
            make_faces(product, self.originals, self.levels, password=k, recall=recall)
            for k in (1, 2)
        )
        self.readable, self.keys, self.readable_other_key = (
            readable.crops,
            readable.keys,
            other.crops,
        )
        self.wanted = self.turned(self.identities, self.keys, people_like=False)
        readable_compressed = h264(self.readable, crf=_CRF)
        self.read = product.read(self.readable)
        self.read_compressed = product.read(readable_compressed)
        self.recovered = {
            "assisted": self._assisted(self.protected),
            "assisted_without_thumbnails": product.make(self.protected, self.identities),
            "generative": self._turned_back(self.readable, self.read),
            "assisted_h264_crf23": self._assisted(compressed),
            "generative_h264_crf23": self._turned_back(readable_compressed, self.read_compressed),
        }
        wrong_keys = [key_of(3)] * len(self.originals)
        wrong = self.turned(self.read, wrong_keys, back=True)
        self.wrong_key = product.make(self.readable, product.likeliest(wrong))

    def turned(
        self,
        identities: Float32Array,
        keys: Sequence[bytes],
        *,
        back: bool = False,
        people_like: bool = True,
    ) -> Float32Array:
        """Each identity under its own key and the level of its face; see `Product.turn`."""
        return turn_each(
            self.product, identities, keys, self.levels, back=back, people_like=people_like
        )

    def _made_by(self, keys: Sequence[bytes]) -> UInt8Array:
        return self.product.make(self.originals, self.turned(self.identities, keys))

    def _assisted(self, seen: UInt8Array) -> UInt8Array:
        return assisted(self.product.generator, seen, self.identities, self.originals)

    def _turned_back(self, faces: UInt8Array, read: Float32Array) -> UInt8Array:
        back = self.turned(read, self.keys, back=True)
        return self.product.make(faces, self.product.likeliest(back))

    def read_back(self) -> dict[str, float]:
        """Mean cosines: wanted and read identity, by the reader and E_id; E_id and originals."""
        read = self.product.embed(self.readable)
        old = (self.product.embed(self.protected) * self.identities).sum(1)
        return {
            "wanted": float((self.read * self.wanted).sum(1).mean()),
            "wanted, CRF 23": float((self.read_compressed * self.wanted).sum(1).mean()),
            "wanted, by E_id": float((read * self.wanted).sum(1).mean()),
            "old": float(old.mean()),
            "recovered": float(
                (self.product.embed(self.recovered["assisted"]) * self.identities).sum(1).mean()
            ),
        }

    def judged(self, judge: Judge) -> dict[str, float]:
        """What one recogniser says about every kind of picture."""
        original, made = judge.embed(self.originals), judge.embed(self.protected)
        readable = judge.embed(self.readable)
        gallery = judge.embed(self.held.crops[self.held.gallery])
        people = self.held.people[self.held.probes]

        def differs(faces: UInt8Array) -> float:
            return 1.0 - float(judge.same(judge.embed(faces), original).mean())

        figures = {
            "protection_sr": 1.0 - float(judge.same(made, original).mean()),
            "protection_sr_first_key": differs(self.first_key),
            "protection_sr_other_picture": 1.0 - float(judge.same(made, gallery[people]).mean()),
            "rank1_reidentified": float((judge.nearest(made, gallery) == people).mean()),
            "rank1_originals": float((judge.nearest(original, gallery) == people).mean()),
            "wrong_password_sr": differs(self.wrong_key),
            "two_passwords_differ": 1.0
            - float(judge.same(judge.embed(self.other_key), made).mean()),
            "two_people_differ": _two_people(judge, made, people),
            "protection_sr_readable": differs(self.readable),
            "two_passwords_differ_readable": 1.0
            - float(judge.same(judge.embed(self.readable_other_key), readable).mean()),
        }
        for name, faces in self.recovered.items():
            figures[f"recovery_sr_{name}"] = differs(faces)
        return figures


def _two_people(judge: Judge, made: Float32Array, people: np.ndarray) -> float:
    """Share of pairs of different people, under one password, that are still different."""
    shifted = np.roll(np.arange(len(made)), 7)
    pairs = people != people[shifted]
    return 1.0 - float(judge.same(made[pairs], made[shifted][pairs]).mean())


def _displacements(run: _Run, teachers: object, tools: DlibTools | None) -> dict[str, float]:
    """Mean distance between the landmarks before and after, by each landmark model at hand."""
    readers: dict[str, Callable[[UInt8Array], Float32Array]] = {
        "66 points (OpenSeeFace, which is in the loss)": lambda x: landmarks66(
            x,
            teachers,  # type: ignore[arg-type] # a module
        )
    }
    if tools is not None:
        readers["68 points (dlib)"] = tools.landmarks
    out = {}
    for name, read in readers.items():
        before = read(run.originals)
        out[name] = _mean_distance(before, read(run.protected))
        # What the landmark model itself moves when nothing but a codec touched the face.
        out[f"{name}, original after CRF 23"] = _mean_distance(
            before, read(h264(run.originals, crf=_CRF))
        )
    return out


def _mean_distance(a: Float32Array, b: Float32Array) -> float:
    return float(np.linalg.norm(a - b, axis=2).mean() * _PX_256)


def _levels(run: _Run, judge: Judge) -> dict[str, object]:
    """Protection and recovery at each privacy level and by both rotations."""
    original = judge.embed(run.originals)
    out: dict[str, object] = {}
    for kind in ("orthogonal", "reference"):
        for level in range(LEVELS):
            turn, make = run.product.turn, run.product.make
            wanted = turn(run.identities, key_of(4), level, kind=kind)
            made = make(run.originals, wanted)
            read = run.product.read(made)
            back = turn(read, key_of(4), level, back=True, kind=kind)
            back = run.product.likeliest(back)
            faces = judge.embed(make(made, back))
            out[f"{kind} {level}"] = {
                "protection_sr": 1.0 - float(judge.same(judge.embed(made), original).mean()),
                "recovery_sr_generative": 1.0 - float(judge.same(faces, original).mean()),
                "identity_after_recovery": float((back * run.identities).sum(1).mean()),
            }
    return out


def _milliseconds(product: Product, crops: UInt8Array) -> float:
    """Best wall time of one face."""
    identity = product.embed(crops[:1])
    times = []
    for _ in range(_TIMED_CALLS):
        start = time.perf_counter()
        product.generator.generate(crops[:1], identity)
        times.append(time.perf_counter() - start)
    return min(times) * 1000
