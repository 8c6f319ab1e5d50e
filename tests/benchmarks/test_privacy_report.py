from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import REPOSITORY
from benchmarks.privacy_bars import Bar, bars_table, image_bars
from benchmarks.privacy_docs import filled, main
from benchmarks.privacy_html import html_page, markdown_to_html, plots
from benchmarks.privacy_tables import all_tables, cell, number
from benchmarks.system_info import describe_system

PAGE = REPOSITORY / "docs" / "evaluation.md"


def summary(mean: float | None) -> dict[str, Any]:
    return {"mean": mean, "low": mean, "high": mean, "seeds_sd": 0.004, "faces": 9}


class Anything(dict[str, Any]):
    """Every measure that a table may ask for."""

    def __missing__(self, name: str) -> dict[str, Any]:
        return summary(0.5)

    def get(self, name: str, default: object = None) -> Any:  # noqa: ANN401
        return self[name]

    def __contains__(self, name: object) -> bool:
        return True


def made_up() -> dict[str, Any]:
    thresholds = {"FAR 1e-3": 1.2, "FAR 1e-4": 1.1}
    rates = {"FAR 1e-3": 0.98, "FAR 1e-4": 0.95}
    attack = {
        f"{reader} {kind}": summary(rate)
        for reader, rate in (("edgeface-xxs", 0.02), ("own encoder", 0.01))
        for kind in ("no map", "ridge", "network")
    }
    guess = {
        "guesses": 50, "right_first": 0.02, "right_first_together": False, "z_together": 0.1,
        "faces": 30,
    }  # fmt: skip
    return {
        "settings": {
            "people": 90,
            "seeds": 3,
            "per_person": None,
            "recovery_per_person": 3,
            "others": 400,
        },
        "weights": {"encoder": "0" * 64, "generator": "1" * 64},
        "judges": {
            "edgeface-xxs": {
                "thresholds": thresholds,
                "accepted_genuine": rates,
                "accepted_strangers": rates,
            },
            "dlib": {
                "thresholds": {"author": 0.6, **thresholds},
                "accepted_genuine": {"author": 0.99, **rates},
                "accepted_strangers": {"author": 0.005, **rates},
            },
        },
        "methods": {"original (control)": Anything(), "ours, random levels": Anything()},
        "recovery": {"ours, random levels: generative": Anything()},
        "codecs": {
            "H.264 CRF 23": dict.fromkeys(("generative", "identity only", "assisted"), Anything())
        },
        "levels": {"orthogonal 70": Anything(), "orthogonal 90": Anything()},
        "attacks": {"orthogonal 90°, track": attack},
        "templates": {"orthogonal 90°, track": {"edgeface-xxs": summary(0.01)}},
        "parrot": {"one key": {"edgeface-xxs rank-1": summary(0.5)}},
        "passwords": {"orthogonal random levels, track": Anything()},
        "guessing": {"orthogonal 90°, track": guess},
    }


def test_every_part_has_its_table() -> None:
    tables = all_tables(made_up())
    assert len(tables) == 13
    widths = {
        line.count("|") for line in tables["Identity (Table 1)"].splitlines() if line[0] == "|"
    }
    assert len(widths) == 1
    assert "paper: its own | - | - | - | 0.792 | 0.975" in tables["Identity (Table 1)"]
    assert "0.228" in tables["Recovery (Tables 3 and 4)"]
    assert "0.020 ± 0.004 [0.020, 0.020] edgeface-xxs" in tables["Informed attacker"]
    assert "1.8" in tables["Informed attacker"]


def test_parts_that_were_not_run_have_none() -> None:
    results = made_up()
    del results["attacks"]
    assert "Informed attacker" not in all_tables(results)


def test_cells_say_what_is_unknown_and_what_is_endless() -> None:
    found = {"a": summary(None), "outside PSNR dB": summary(99.0)}
    assert cell(found, "a") == cell(found, "b") == number(found, "b") == "-"
    assert number(found, "outside PSNR dB") == "∞"


def test_bars_are_judged() -> None:
    table = bars_table(iter([Bar("low", 0.5, 0.4, True), Bar("high", 0.5, 0.4, False)]))
    assert "low | 0.500 | ≤ 0.4 | **missed**" in table
    assert "high | 0.500 | ≥ 0.4 | met" in table
    assert "not run" in bars_table(iter([Bar("x", None, 1, True)]))


def test_passwords_have_bars() -> None:
    bars = [bar for bar in image_bars(made_up()) if "password" in bar.what and bar.limit == 0.95]
    assert len(bars) == 4
    assert not any(bar.is_met for bar in bars)


def test_bars_of_a_run_without_parts_are_not_run() -> None:
    results = made_up()
    for part in ("methods", "recovery", "codecs", "attacks", "passwords"):
        del results[part]
    assert all(bar.is_met is None for bar in image_bars(results))


def test_the_page_has_a_place_for_every_table() -> None:
    tables = dict.fromkeys(all_tables(made_up()), "| new |")
    page = filled(PAGE.read_text(encoding="utf-8"), tables)
    assert page.count("| new |") == len(tables)
    assert filled(page, tables) == page


def test_a_table_without_a_place_is_an_error() -> None:
    with pytest.raises(BenchmarkError, match="no place for: other"):
        filled("<!-- table: one -->\nx\n<!-- end -->", {"other": "y"})


def test_figures_get_into_the_page(tmp_path: Path) -> None:
    page, figures = tmp_path / "evaluation.md", tmp_path / "privacy.json"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    whole = made_up()
    kept = ("settings", "weights", "judges", "attacks", "templates", "parrot", "guessing")
    document = {"system": describe_system().as_dict(), "results": {k: whole[k] for k in kept}}
    figures.write_text(json.dumps(document), encoding="utf-8")
    assert main(["--privacy", str(figures), "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "generator 11111111" in text
    assert "0.020 ± 0.004 [0.020, 0.020]" in text
    assert (tmp_path / "images" / "evaluation-informed-attacker.svg").read_text().startswith("<svg")


def test_figures_of_another_program_are_refused(tmp_path: Path) -> None:
    page, figures = tmp_path / "evaluation.md", tmp_path / "other.json"
    page.write_text("text", encoding="utf-8")
    figures.write_text("{}", encoding="utf-8")
    assert main(["--privacy", str(figures), "--page", str(page)]) == 2
    assert page.read_text(encoding="utf-8") == "text"


def test_html_stands_alone_and_escapes() -> None:
    body = markdown_to_html("a < b\n\n| x | y |\n| --- | --- |\n| 1 | <2 |")
    assert "<th>x</th>" in body
    assert "<td>&lt;2</td>" in body
    page = html_page("t", {"Tables": body, "Plots": "".join(plots(made_up()).values())})
    assert "<svg" in page
    for outside in ('src="http', "href=", "@import", "<script"):
        assert outside not in page
