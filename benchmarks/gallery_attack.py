"""Gallery attack: who is it, if the attacker has the models and a portrait of everybody?

`python -m benchmarks.gallery_attack [--json FILE]`, needs ../shared/faces/eval. Two questions:

1. No key at all: the new face's identity is compared with a gallery of originals, knowing the
   angle (it is public in the key log's header). How often is the right person first?
2. Guessing the password: an identity is turned back with each guess and compared with the gallery.
   How well does the gallery confirm a right guess, and how often would a wrong one pass for right?
"""

from __future__ import annotations

import argparse
import csv
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import markdown_table, write_json
from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.identity_blocks import identity_blocks
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, load_manifest
from streamer.identity import IdentitySpace, load_identity_space
from streamer.keys import derive_key
from streamer.rotation_kinds import RotationKind
from streamer.rotator import make_rotator

EVAL = Path(__file__).resolve().parents[2] / "shared" / "faces" / "eval"
ANGLES_DEG = (70.0, 80.0, 85.0, 90.0, 95.0, 120.0)
PROBES = 200
KEYS = 20
# What a good generator leaves between the wanted and the read identity: cosine 0.958.
READ_NOISE = 0.3
GUESSES = 100
_HEAD = ["angle", "right person first", "mean rank", "by lengths: first", "mean rank"]


def load_pairs(limit: int) -> tuple[Float32Array, Float32Array]:
    """Embeddings of two photographs each of different people: gallery and probe, (N, 512)."""
    by_person: dict[str, list[str]] = defaultdict(list)
    with (EVAL / "lfw_pairs.csv").open() as file:
        for row in csv.DictReader(file):
            if row["same"] == "1":
                by_person[row["a"].rsplit("_", 1)[0]] += [row["a"], row["b"]]
    chosen = [names[:2] for names in list(by_person.values())[:limit]]
    crops: dict[str, UInt8Array] = {}
    wanted = {name for names in chosen for name in names}
    with tarfile.open(EVAL / "lfw_128.tar") as tar:
        for member in tar:
            name = Path(member.name).name
            content = tar.extractfile(member) if name in wanted else None
            if content is not None:
                image = cv2.imdecode(np.frombuffer(content.read(), np.uint8), cv2.IMREAD_COLOR)
                crops[name] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[8:120, 8:120]
    manifest = load_manifest(WEIGHTS_FOLDER / "encoder.json")
    embedder = FaceEmbedder(load_engine(manifest, threads=1), mean=manifest.mean, std=manifest.std)
    sides = []
    for side in (0, 1):
        stack = np.stack([crops[names[side]] for names in chosen])
        parts = [embedder.embed(stack[i : i + 32]) for i in range(0, len(stack), 32)]
        sides.append(np.concatenate(parts))
    return sides[0], sides[1]


def space_of_generator() -> IdentitySpace:
    """The subspace in which the product rotates."""
    path = WEIGHTS_FOLDER / "generator.json"
    return load_identity_space(load_manifest(path).extra)


def read_back(values: Float32Array, rng: np.random.Generator) -> Float32Array:
    """A unit vector with the error that a network reads it back with."""
    noise = rng.standard_normal(values.shape)
    noise *= READ_NOISE / np.linalg.norm(noise)
    read = values + noise
    return (read / np.linalg.norm(read)).astype(np.float32)


def key_of(number: int) -> bytes:
    """A scope key as a password would give it."""
    return derive_key(number.to_bytes(8, "little"), salt=b"", info=b"gallery attack")


def without_a_key(
    kind: RotationKind, angle_deg: float, gallery: Float32Array, probes: Float32Array
) -> dict[str, tuple[float, float]]:
    """Share of people who come out first, and the mean rank as a share of the gallery.

    Args:
        kind: rotation.
        angle_deg: its angle, which the attacker knows.
        gallery: (N, K) unit coordinates, one portrait each.
        probes: (N, K), other portraits of the same people.

    Returns:
        For two ways to rank the gallery: by "cosine", and by "lengths", that is, how long the
        blocks of coordinates are, which a rotation inside blocks leaves as they were.
    """
    rng = np.random.default_rng(0)
    sign = 1.0 if np.cos(np.radians(angle_deg)) >= 0 else -1.0
    dim = probes.shape[1]
    known = _lengths(gallery)
    spread = known.std(0) + 1e-12
    rotators = [
        make_rotator(kind, scope_key=key_of(number), angle_deg=angle_deg, dim=dim)
        for number in range(KEYS)
    ]
    ranks: dict[str, list[int]] = {"cosine": [], "lengths": []}
    for person, probe in enumerate(probes[:PROBES]):
        seen = read_back(rotators[person % KEYS].rotate(probe), rng)
        ways = {
            "cosine": sign * (gallery @ seen),
            "lengths": -(((known - _lengths(seen[None])) / spread) ** 2).sum(1),
        }
        for way, scores in ways.items():
            ranks[way].append(int((scores > scores[person]).sum()))
    return {
        way: (float(np.mean(np.array(r) == 0)), float(np.mean(r) / (len(gallery) - 1)))
        for way, r in ranks.items()
    }


def _lengths(rows: Float32Array) -> Float64Array:
    """(N, B) how long each block of unit coordinates (N, K) is."""
    blocks = identity_blocks(rows.shape[1])
    return np.stack([np.linalg.norm(rows[:, a:b], axis=1) for a, b in blocks], 1)


def guessing(gallery: Float32Array, probes: Float32Array) -> tuple[float, float, float]:
    """At 90 degrees: median best score for the right key; median and greatest for wrong ones."""
    rng = np.random.default_rng(1)
    dim = probes.shape[1]
    right: list[float] = []
    wrong: list[float] = []
    owner = make_rotator("orthogonal", scope_key=key_of(0), angle_deg=90.0, dim=dim)
    seen = [read_back(owner.rotate(probe), rng) for probe in probes[:10]]
    for guess in range(GUESSES):
        rotator = make_rotator("orthogonal", scope_key=key_of(guess), angle_deg=90.0, dim=dim)
        best = [float((gallery @ rotator.unrotate(values)).max()) for values in seen]
        (right if guess == 0 else wrong).extend(best)
    return float(np.median(right)), float(np.median(wrong)), float(np.max(wrong))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    space = space_of_generator()
    gallery, probes = (
        np.stack([space.coordinates(values) for values in side]) for side in load_pairs(args.people)
    )
    cosines = (gallery * probes).sum(axis=1)
    rows, results = [], {}
    for angle_deg in ANGLES_DEG:
        found, cells = without_a_key("orthogonal", angle_deg, gallery, probes), []
        for way, suffix in (("cosine", ""), ("lengths", " by lengths")):
            first, rank = found[way]
            results[f"orthogonal {angle_deg}{suffix}"] = {
                "rank_1_ratio": first,
                "mean_rank_ratio": rank,
            }
            cells += [f"{100 * first:.1f} %", f"{100 * rank:.1f} %"]
        rows.append([f"{angle_deg:.0f}", *cells])
    sys.stdout.write(f"{PROBES} of {len(probes)} people, {probes.shape[1]} dimensions, ")
    sys.stdout.write(
        f"same-person cosine {np.median(cosines):.2f}, chance {100 / len(probes):.2f} %\n"
    )
    sys.stdout.write(markdown_table(_HEAD, rows) + "\n")
    right, wrong, highest = guessing(gallery, probes)
    results["guessing"] = {"right_median": right, "wrong_median": wrong, "wrong_max": highest}
    sys.stdout.write(
        f"password guessing, best gallery cosine: right key {right:.2f}; {GUESSES - 1} wrong keys, "
        f"median {wrong:.2f}, greatest {highest:.2f}\n"
    )
    if args.json:
        write_json(args.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
