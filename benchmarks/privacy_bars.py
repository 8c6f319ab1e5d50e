"""The bars that the product sets itself, and what was measured against each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.report import markdown_table

__all__ = ["Bar", "bars_table", "image_bars", "video_bars"]

_DRAWN: Final = "ours, random levels"
_DRAWN_POLICY: Final = "orthogonal random levels, track"
_DEFAULT: Final = "ours, default (90°)"
_SECOND_JUDGE: Final = "edgeface-xxs"
_CRF23: Final = "H.264 CRF 23"
# A figure that is to be stable to 0.01 over three seeds.
_STABLE: Final = 0.01

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """One demand.

    Attributes:
        what: the measure, in words.
        value: measured; None where it was not.
        limit: the bar.
        at_most: whether the value must stay below it, otherwise it must reach it.
    """

    what: str
    value: float | None
    limit: float
    at_most: bool

    @property
    def is_met(self) -> bool | None:
        """None where nothing was measured."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def _mean(found: Figures, *path: str) -> float | None:
    """The mean at a path of names, None where a part was not run."""
    for name in path:
        if name not in found:
            return None
        found = found[name]
    value = found["mean"]
    return None if value is None else float(value)


def image_bars(results: Figures) -> Iterator[Bar]:
    """Bars on the held-out identities."""
    judge = _SECOND_JUDGE
    drawn = ("methods", _DRAWN)
    yield Bar("SR, dlib at 0.6", _mean(results, *drawn, "dlib SR tau 0.6"), 0.975, False)
    second = _mean(results, *drawn, f"{judge} SR FAR 1e-3")
    yield Bar(f"SR, {judge} at FAR 1e-3", second, 0.95, False)
    for name in (judge, "dlib"):
        rank = _mean(results, "methods", _DEFAULT, f"{name} rank-1")
        yield Bar(f"rank-1, {name}, default policy", rank, 0.05, True)
    yield Bar("DR", _mean(results, *drawn, "DR"), 0.997, False)
    moved = _mean(results, *drawn, "landmarks px (68 points, dlib)")
    yield Bar("landmarks, px at 256, 68 points", moved, 1.97, True)
    yield from _password_bars(results)
    yield from _recovery_bars(results)
    yield from _attack_bars(results)
    yield from _steady_bars(results)


def _steady_bars(results: Figures) -> Iterator[Bar]:
    """The rates above: how far seeds, each with its own pictures, keys and levels, differ."""
    for part, row, name in (
        ("methods", _DRAWN, "dlib SR tau 0.6"),
        ("methods", _DRAWN, f"{_SECOND_JUDGE} SR FAR 1e-3"),
        ("methods", _DEFAULT, f"{_SECOND_JUDGE} rank-1"),
        ("methods", _DEFAULT, "dlib rank-1"),
        ("recovery", f"{_DRAWN}: generative", "dlib SR tau 0.6"),
        ("recovery", f"{_DRAWN}: assisted", "dlib SR tau 0.6"),
        ("recovery", f"{_DRAWN}: wrong password", "dlib SR tau 0.6"),
    ):
        found = results.get(part, {}).get(row, {}).get(name)
        spread = found["seeds_sd"] if found and results["settings"]["seeds"] > 1 else None
        what = f"standard deviation between seeds: {row}, {name}"
        yield Bar(what, spread, _STABLE, True)


def _password_bars(results: Figures) -> Iterator[Bar]:
    row = ("passwords", _DRAWN_POLICY)
    for what, name in (
        ("one picture, two passwords: two people", "two passwords"),
        ("two people, one password: still two", "two people"),
    ):
        for judge, at in (("dlib", "author"), (_SECOND_JUDGE, "FAR 1e-3")):
            share = _mean(results, *row, f"{judge} {name} {at}")
            yield Bar(f"{what} for {judge}", share, 0.95, False)


def _recovery_bars(results: Figures) -> Iterator[Bar]:
    for way in ("generative", "assisted"):
        row = ("recovery", f"{_DRAWN}: {way}")
        for name, limit, at_most in (
            ("dlib SR tau 0.6", 0.035, True),
            ("PSNR dB", 27.5, False),
            ("SSIM", 0.902, False),
            ("MAE", 0.031, True),
        ):
            yield Bar(f"{way} recovery, {name}", _mean(results, *row, name), limit, at_most)
        coded = ("codecs", _CRF23, way)
        rate = _mean(results, *coded, f"{_SECOND_JUDGE} SR FAR 1e-3")
        yield Bar(f"{way} after {_CRF23}, {_SECOND_JUDGE} SR FAR 1e-3", rate, 0.10, True)
        yield Bar(f"{way} after {_CRF23}, PSNR dB", _mean(results, *coded, "PSNR dB"), 25, False)
    wrong = _mean(results, "recovery", f"{_DRAWN}: wrong password", "dlib SR tau 0.6")
    yield Bar("wrong password, dlib SR at 0.6", wrong, 0.904, False)


def _attack_bars(results: Figures) -> Iterator[Bar]:
    attacked = results.get("attacks")
    if not attacked:
        return
    best = max(summary["mean"] for summary in next(iter(attacked.values())).values())
    chance = 1 / results["settings"]["people"]
    yield Bar("best informed attacker, default policy, rank-1 / chance", best / chance, 3, True)


def video_bars(results: Figures) -> Iterator[Bar]:
    """Bars on footage, the worst clip counting."""
    ours = {clip: figures["methods"]["ours"] for clip, figures in results.items()}
    exposed = sum(found["exposure"]["exposed"] for found in ours.values())
    yield Bar("exposed faces", float(exposed), 0, True)
    steady, flicker = [], []
    for found in ours.values():
        verdict = found["tracks"].get(_SECOND_JUDGE, {})
        pair = [verdict.get(f"consistency_{when}") for when in ("before", "after")]
        if None not in pair:
            steady.append(pair[1] - pair[0])
        if found["tracks"].get("flicker_ratio") is not None:
            flicker.append(found["tracks"]["flicker_ratio"])
    yield Bar(
        "one identity in a track: new - original, worst clip",
        min(steady, default=None),
        -0.05,
        False,
    )
    yield Bar("flicker / original, worst clip", max(flicker, default=None), 1.25, True)
    away = [figures["before_encoding"]["worst_psnr_db"] for figures in results.values()]
    yield Bar("PSNR away from faces before encoding, dB (99: no change)", min(away), 99, False)
    yield from _size_bars(results)


def _size_bars(results: Figures) -> Iterator[Bar]:
    for clip, figures in results.items():
        small = figures.get("smaller")
        if small is None:
            continue
        # Where a size has no track that could be judged, there is nothing to compare.
        pairs = [pair for pair in small["accepted_same_keys"] if None not in pair]
        apart = (
            abs(sum(at_small - at_whole for at_whole, at_small in pairs)) / len(pairs)
            if pairs
            else None
        )
        what = (
            f"{clip}: accepted by any judge, difference at {small['lines']} lines under the same "
            f"keys, mean of {len(pairs)}"
        )
        yield Bar(what, apart, 0.05, True)
        count = float(small["exposure"]["exposed"])
        yield Bar(f"{clip}: exposed faces at {small['lines']} lines", count, 0, True)


def bars_table(bars: Iterator[Bar]) -> str:
    """A Markdown table of bars and verdicts."""
    words = {True: "met", False: "**missed**", None: "not run"}
    rows = [
        [
            bar.what,
            "-" if bar.value is None else f"{bar.value:.3f}",
            f"{'≤' if bar.at_most else '≥'} {bar.limit:g}",
            words[bar.is_met],
        ]
        for bar in bars
    ]
    return markdown_table(["measure", "measured", "bar", "verdict"], rows)
