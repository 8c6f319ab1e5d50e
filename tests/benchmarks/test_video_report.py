from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.command_line import REPOSITORY
from benchmarks.privacy_bars import video_bars
from benchmarks.privacy_docs import main
from benchmarks.system_info import describe_system
from benchmarks.video_report import video_tables, write_video_report


def method(exposed: int = 0, accepted: float = 0.0) -> dict[str, Any]:
    kinds = {"faces": 9, "exposed": exposed, "confirmed": 0, "weak": 1}
    verdict = {
        "id_dis": 1.3, "sr_far_1e3": 1.0, "template_accepted": 0.0, "template_rank1": 0.0,
        "consistency_before": 0.9, "consistency_after": 0.87,
    }  # fmt: skip
    return {
        "exposure": {
            "faces": 9, "exposed": exposed, "exposed_confirmed": 0, "weak": 1,
            "exposed_per_10000_frames": 1e3 * exposed,
            "breakdown": {"size": {"80+": kinds}, "pose": {"frontal": kinds}, "hidden": {}},
        },
        "tracks": {
            "edgeface-xxs": verdict, "accepted_by_any": accepted, "flicker_ratio": 1.1,
            "utility": {"DR": 1.0, "yaw deg": None},
        },
    }  # fmt: skip


def made_up() -> dict[str, Any]:
    back = {"psnr_db_mean": 43.0, "psnr_db_p5": 42.0, "tracks": method()["tracks"]}
    return {
        "clip.mp4": {
            "methods": {"ours": method(), "black box": method()},
            "before_encoding": {"frames": 40, "frames_equal": 1.0, "worst_psnr_db": 99.0},
            "recovery": {"sealed": back, "generative after HEVC": {"refused": "exit code 6"}},
            "smaller": {
                "lines": 720, "accepted_same_keys": [[0.0, 0.1], [0.1, 0.14], [None, 0.9]],
                **method(exposed=1, accepted=0.2),
            },
        }
    }  # fmt: skip


def test_tables_show_methods_sizes_and_refusals() -> None:
    tables = video_tables(made_up())
    assert set(tables) == {
        "Exposure",
        "Exposure of ours by size, pose and what hides the face",
        "Persons",
        "Steadiness and looks",
        "Before encoding",
        "Recovery",
    }
    assert "ours at 720 lines | 9 | 1 (0) | 1000 | 1" in tables["Exposure"]
    broken_down = tables["Exposure of ours by size, pose and what hides the face"]
    assert "| pose | frontal | 9 | 0 (0) | 1 |" in broken_down
    assert "| 1.10 | -0.030 | 1.000 | - | - | - |" in tables["Steadiness and looks"]
    assert "100.0 % | ∞" in tables["Before encoding"]
    assert "43.0 / 42.0" in tables["Recovery"]
    assert "exit code 6" in tables["Recovery"]
    for table in tables.values():
        assert len({line.count(" | ") for line in table.splitlines() if "---" not in line}) == 1


def test_bars_take_the_worst_and_compare_sizes() -> None:
    found = {bar.what: bar.is_met for bar in video_bars(made_up())}
    assert found["exposed faces"] is True
    assert found["flicker / original, worst clip"] is True
    sizes = next(
        bar for bar in video_bars(made_up()) if "720 lines under the same keys" in bar.what
    )
    assert sizes.value == pytest.approx(0.07)
    assert sizes.is_met is False
    assert found["clip.mp4: exposed faces at 720 lines"] is False


def test_the_page_takes_footage_and_the_report_stands_alone(tmp_path: Path) -> None:
    page, figures, html = (tmp_path / name for name in ("page.md", "video.json", "video.html"))
    page.write_text((REPOSITORY / "docs" / "evaluation.md").read_text(encoding="utf-8"))
    document = {"system": describe_system().as_dict(), "results": made_up()}
    figures.write_text(json.dumps(document), encoding="utf-8")
    assert main(["--video", str(figures), "--page", str(page)]) == 0
    assert "exit code 6" in page.read_text(encoding="utf-8")
    write_video_report(html, made_up())
    text = html.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "<img" not in text
