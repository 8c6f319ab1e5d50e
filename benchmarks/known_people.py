"""How often `keep_visible` shows a stranger, and `only` somebody who is to be hidden, on LFW.

A person is enrolled from one picture, as the product does it, and looked for in single pictures. A
camera asks for five frames in a row, which single pictures cannot tell: this is the worse case.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.clips import DEFAULT_SHARED
from benchmarks.models_encoder import PairSet, load_lfw
from benchmarks.report import markdown_table, write_json
from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, load_manifest
from streamer.config_rules import RulesConfig
from streamer.identity import mean_embedding

__all__ = ["KnownPeople", "main", "measure"]

_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """What the rules do at their thresholds.

    Attributes:
        strangers: comparisons of two people, each of them once as the reference.
        strangers_shown: how many of them `keep_visible` takes for the enrolled person.
        most_alike: greatest cosine of two people.
        friends: pairs of one person.
        friends_shown_ratio: share of them that `keep_visible` shows.
        hidden_missed_ratio: share of them that `only` takes for nobody, and shows.
        others_shown_ratio: share of strangers whom `only` shows, as it should.
    """

    strangers: int
    strangers_shown: int
    most_alike: float
    friends: int
    friends_shown_ratio: float
    hidden_missed_ratio: float
    others_shown_ratio: float


def measure(
    enrolled: Float32Array, views: Float32Array, lfw: PairSet, rules: RulesConfig
) -> KnownPeople:
    """Compare everybody with everybody.

    Args:
        enrolled: (N, D) unit embeddings of the pictures as references.
        views: (N, D) the same pictures as a camera's frames.
        lfw: who is on them, and which pairs show one person.
        rules: the thresholds.
    """
    first = np.sort(np.unique(lfw.people, return_index=True)[1])  # one picture of each
    cosines = enrolled[first] @ views[first].T
    strangers = cosines[~np.eye(len(first), dtype=bool)]
    friends = (enrolled[lfw.left] * views[lfw.right]).sum(1)[lfw.same]
    return KnownPeople(
        strangers=len(strangers),
        strangers_shown=int((strangers >= rules.keep_visible_cosine).sum()),
        most_alike=float(strangers.max()),
        friends=len(friends),
        friends_shown_ratio=float((friends >= rules.keep_visible_cosine).mean()),
        hidden_missed_ratio=float((friends <= rules.only_cosine).mean()),
        others_shown_ratio=float((strangers <= rules.only_cosine).mean()),
    )


def _embeddings(crops: UInt8Array) -> tuple[Float32Array, Float32Array]:
    """Each picture as a reference and as a frame of a camera."""
    manifest = load_manifest(WEIGHTS_FOLDER / "encoder.json")
    engine = load_engine(manifest, provider="cpu", threads=1)
    embedder = FaceEmbedder(engine, mean=manifest.mean, std=manifest.std)
    parts = [crops[at : at + _BATCH] for at in range(0, len(crops), _BATCH)]
    views = np.concatenate([embedder.embed(part) for part in parts])
    mirrored = [embedder.embed(np.ascontiguousarray(part[:, :, ::-1])) for part in parts]
    pairs = np.stack([views, np.concatenate(mirrored)], axis=1)
    return np.stack([mean_embedding(pair) for pair in pairs]), views


def _report(found: KnownPeople, rules: RulesConfig) -> None:
    rows = [
        [
            f"stranger shown by `keep_visible` ({rules.keep_visible_cosine})",
            f"{found.strangers_shown} of {found.strangers:,} comparisons; "
            f"most alike {found.most_alike:.2f}",
        ],
        [
            "enrolled person shown by it",
            f"{found.friends_shown_ratio:.1%} of {found.friends:,} pairs",
        ],
        [
            f"person to be hidden shown by `only` ({rules.only_cosine})",
            f"{found.hidden_missed_ratio:.1%} of {found.friends:,} pairs",
        ],
        ["stranger shown by it", f"{found.others_shown_ratio:.1%}"],
    ]
    print(markdown_table(["one picture, one look", "measured"], rows))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 2 when LFW is not there."""
    parser = argparse.ArgumentParser(prog="benchmarks.known_people", description=__doc__)
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="where LFW is")
    parser.add_argument("--quick", action="store_true", help="a tenth of the pairs")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    args = parser.parse_args(argv)
    try:
        lfw = load_lfw(args.shared, quick=args.quick)
    except FileNotFoundError as exc:
        print(f"error: {exc.filename} is missing; --shared names its folder", file=sys.stderr)
        return 2
    rules = RulesConfig()
    found = measure(*_embeddings(lfw.crops()), lfw, rules)
    _report(found, rules)
    if args.json:
        write_json(args.json, asdict(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
