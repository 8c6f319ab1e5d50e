"""The figures of `python -m benchmarks.privacy` as Markdown tables, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks import privacy_paper as paper
from benchmarks.report import markdown_table

__all__ = ["all_tables", "cell", "number"]

Figures = Mapping[str, Any]
_UNKNOWN: Final = "-"
_UNCHANGED_DB: Final = 98.9


def number(found: Mapping[str, Any], name: str, digits: int = 3) -> str:
    """A mean alone."""
    summary = found.get(name)
    if not summary or summary["mean"] is None:
        return _UNKNOWN
    if name.endswith("dB") and summary["mean"] >= _UNCHANGED_DB:
        return "∞"
    return f"{summary['mean']:.{digits}f}"


def cell(found: Mapping[str, Any], name: str) -> str:
    """A mean, how far seeds differ, and the 95 % interval over identities."""
    summary = found.get(name)
    if not summary or summary["mean"] is None:
        return _UNKNOWN
    spread = f" ± {summary['seeds_sd']:.3f}" if summary["seeds_sd"] else ""
    return f"{summary['mean']:.3f}{spread} [{summary['low']:.3f}, {summary['high']:.3f}]"


def _identity(results: Figures) -> str:
    judges = list(results["judges"])
    head = ["method"]
    for judge in judges:
        head += [f"{judge}: Id-dis"]
        if "author" in results["judges"][judge]["thresholds"]:
            head += [f"{judge}: SR at 0.6"]
        head += [f"{judge}: SR at FAR 1e-3", f"{judge}: SR at FAR 1e-4"]
    head += ["accepted by any judge, FAR 1e-3"]
    rows = []
    for name, found in results["methods"].items():
        row = [name]
        for judge in judges:
            row.append(number(found, f"{judge} Id-dis"))
            if "author" in results["judges"][judge]["thresholds"]:
                row.append(cell(found, f"{judge} SR tau 0.6"))
            row += [cell(found, f"{judge} SR {far}") for far in ("FAR 1e-3", "FAR 1e-4")]
        rows.append([*row, cell(found, "any judge FAR 1e-3")])
    for name, text in paper.IDENTITY.items():
        distance, rate = text.split(" / ")
        rows.append(_placed(head, name, {"dlib: Id-dis": distance, "dlib: SR at 0.6": rate}))
    return markdown_table(head, rows)


def _placed(head: list[str], name: str, values: Mapping[str, str]) -> list[str]:
    """A row of the paper, its figures under the headings that they belong to."""
    return [name, *(values.get(title, _UNKNOWN) for title in head[1:])]


def _gallery(results: Figures) -> str:
    judges = list(results["judges"])
    head = ["method"]
    for judge in judges:
        head += [f"{judge}: {what}" for what in ("rank-1", "rank-5", "SR, other picture")]
    rows = [
        [
            name,
            *(
                cell(found, f"{judge} {what}")
                for judge in judges
                for what in ("rank-1", "rank-5", "SR other picture FAR 1e-3")
            ),
        ]
        for name, found in results["methods"].items()
    ]
    people = results["settings"]["people"]
    rows.append(_placed(head, "chance", _chance(judges, people)))
    return markdown_table(head, rows)


def _chance(judges: list[str], people: int) -> dict[str, str]:
    rates = {"rank-1": 1 / people, "rank-5": min(1.0, 5 / people)}
    return {f"{j}: {what}": f"{rate:.3f}" for j in judges for what, rate in rates.items()}


def _utility(results: Figures) -> str:
    head = [
        *("method", "DR", "face", "landmarks", "eyes", "nose", "mouth", "landmarks, 66 points"),
        *("eyes, 66", "nose, 66", "mouth, 66"),
    ]
    names = ["DR", "face px"]
    for model in ("68 points, dlib", "66 points"):
        names += [f"{part} px ({model})" for part in ("landmarks", "eyes", "nose", "mouth")]
    rows = [[m, *(number(found, n) for n in names)] for m, found in results["methods"].items()]
    rows += [[name, *row, *([_UNKNOWN] * 4)] for name, row in paper.UTILITY.items()]
    return markdown_table(head, rows)


def _looks(results: Figures) -> str:
    head = [
        *("method", "pitch °", "yaw °", "roll °", "eye opening", "mouth opening"),
        "dark of the eyes, eye widths",
        *("1 - MS-SSIM", "PSNR of the face, dB", "PSNR outside the face, dB"),
    ]
    names = [
        *("pitch deg", "yaw deg", "roll deg", "eye opening", "mouth opening"),
        *("dark of the eyes, eye widths", "1 - MS-SSIM"),
        *("face PSNR dB", "outside PSNR dB"),
    ]
    rows = [[m, *(number(found, n) for n in names)] for m, found in results["methods"].items()]
    return markdown_table(head, rows)


def _recovery(results: Figures) -> str:
    judges = list(results["judges"])
    is_dlib = "dlib" in judges
    head = ["restored from", *(["dlib: Id-dis", "dlib: SR at 0.6"] if is_dlib else [])]
    head += [f"{judge}: SR at FAR 1e-3" for judge in judges]
    head += ["PSNR, dB", "SSIM", "MAE", "1 - MS-SSIM", "PSNR of the face, dB"]
    rows = []
    for name, found in results["recovery"].items():
        row = [name]
        if is_dlib:
            row += [number(found, "dlib Id-dis"), cell(found, "dlib SR tau 0.6")]
        row += [cell(found, f"{judge} SR FAR 1e-3") for judge in judges]
        row += [number(found, "PSNR dB", 1), number(found, "SSIM"), number(found, "MAE")]
        rows.append([*row, number(found, "1 - MS-SSIM"), number(found, "face PSNR dB", 1)])
    for name, text in paper.RECOVERY.items():
        distance, rate = text.split(" / ")
        rows.append(_placed(head, name, {"dlib: Id-dis": distance, "dlib: SR at 0.6": rate}))
    for name, (psnr, ssim, mae) in paper.QUALITY.items():
        rows.append(_placed(head, name, {"PSNR, dB": psnr, "SSIM": ssim, "MAE": mae}))
    return markdown_table(head, rows)


def _codecs(results: Figures) -> str:
    judges = list(results["judges"])
    ways = ("generative", "identity only", "assisted")
    head = ["new faces after"]
    for way in ways:
        head += [f"{way}: {judge} SR" for judge in judges]
        head += [f"{way}: PSNR dB", f"{way}: face dB"]
    rows = []
    for condition, found in results["codecs"].items():
        row = [condition]
        for way in ways:
            row += [cell(found[way], f"{judge} SR FAR 1e-3") for judge in judges]
            row += [number(found[way], "PSNR dB", 1), number(found[way], "face PSNR dB", 1)]
        rows.append(row)
    return "SR at FAR 1e-3; lower is better.\n\n" + markdown_table(head, rows)


def _levels(results: Figures) -> str:
    judges = list(results["judges"])
    head = ["rotation, angle", *(f"{judge}: {x}" for judge in judges for x in ("Id-dis", "SR"))]
    head += ["landmarks px"]
    head += [f"{way}: {judge} SR" for judge in judges for way in ("generative", "wrong password")]
    rows = []
    for name, found in results["levels"].items():
        row = [name]
        for judge in judges:
            row += [number(found, f"{judge} Id-dis"), number(found, f"{judge} SR FAR 1e-3")]
        row.append(number(found, "landmarks px (66 points)"))
        for judge in judges:
            for way in ("generative", "wrong password"):
                row.append(number(found, f"{way}: {judge} SR FAR 1e-3"))
        rows.append(row)
    return "SR at FAR 1e-3.\n\n" + markdown_table(head, rows)


def _attacks(results: Figures) -> str:
    chance = 1 / results["settings"]["people"]
    head = ["policy", "no map", "ridge", "network", "best / chance"]
    rows = []
    for policy, found in results["attacks"].items():
        row, best = [policy], 0.0
        for kind in head[1:4]:
            names = [name for name in found if name.endswith(kind)]
            name = max(names, key=lambda n: found[n]["mean"])
            row.append(f"{cell(found, name)} {name.removesuffix(kind).strip()}")
            best = max(best, found[name]["mean"])
        rows.append([*row, f"{best / chance:.1f}"])
    note = f"Rank-1 of the reader that does best, and its name; chance is {chance:.3f}.\n\n"
    return note + markdown_table(head, rows)


def _plain(part: str) -> Callable[[Figures], str]:
    def table(results: Figures) -> str:
        found = results[part]
        columns = list(next(iter(found.values())))
        rows = [[name, *(cell(v, c) for c in columns)] for name, v in found.items()]
        return markdown_table(["policy", *columns], rows)

    return table


def _passwords(results: Figures) -> str:
    head = [
        "policy",
        "judge",
        "threshold",
        "one picture, two passwords",
        "two people, one password",
    ]
    rows = []
    for policy, found in results["passwords"].items():
        for judge, known in results["judges"].items():
            for at in known["thresholds"]:
                shares = [
                    cell(found, f"{judge} two {what} {at}") for what in ("passwords", "people")
                ]
                rows.append([policy.removesuffix(", track"), judge, at, *shares])
    return "Share that the judge takes for different people.\n\n" + markdown_table(head, rows)


def _guessing(results: Figures) -> str:
    head = ["policy", "faces", "guesses", "right one first", "together", "stands out by"]
    rows = [
        [
            policy.replace(", track", ", all faces under one key"),
            str(found["faces"]),
            str(found["guesses"]),
            f"{found['right_first']:.3f} (chance {1 / found['guesses']:.3f})",
            "found" if found["right_first_together"] else "not found",
            f"{found['z_together']:.1f} sd",
        ]
        for policy, found in results["guessing"].items()
    ]
    return markdown_table(head, rows)


def _judges(results: Figures) -> str:
    head = ["judge", "threshold", "distance", "LFW pairs accepted: genuine", "strangers"]
    rows = [
        [
            name,
            which,
            f"{distance:.3f}",
            f"{judge['accepted_genuine'][which]:.3f}",
            f"{judge['accepted_strangers'][which]:.5f}",
        ]
        for name, judge in results["judges"].items()
        for which, distance in judge["thresholds"].items()
    ]
    return markdown_table(head, rows)


_TABLES: Final[dict[str, tuple[str, Callable[[Figures], str]]]] = {
    "Judges": ("judges", _judges),
    "Identity (Table 1)": ("methods", _identity),
    "Gallery": ("methods", _gallery),
    "Utility (Table 2)": ("methods", _utility),
    "Looks": ("methods", _looks),
    "Recovery (Tables 3 and 4)": ("recovery", _recovery),
    "Recovery after codecs": ("codecs", _codecs),
    "Privacy levels (Figs 5 and 7)": ("levels", _levels),
    "Informed attacker": ("attacks", _attacks),
    "Template of a track": ("templates", _plain("templates")),
    "Parrot test": ("parrot", _plain("parrot")),
    "Two passwords, two people": ("passwords", _passwords),
    "Password guessing": ("guessing", _guessing),
}


def all_tables(results: Figures) -> dict[str, str]:
    """Title to Markdown, for the parts that were measured."""
    return {title: make(results) for title, (part, make) in _TABLES.items() if results.get(part)}
