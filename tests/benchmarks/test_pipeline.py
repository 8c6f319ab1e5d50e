"""The stage meter counts each second once; the benchmark says what it could not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pipeline import PipelineFigure, bar_lines, measure
from benchmarks.stage_meter import StageMeter
from engines.bench_plot import bar_svg
from streamer.channel import Channel


class _Clock:
    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


def test_inner_stages_do_not_count_twice() -> None:
    clock = _Clock()
    meter = StageMeter(clock)

    def inner() -> None:
        clock.time_s += 2.0

    timed_inner = meter.timed("network detector", inner)

    def outer() -> str:
        clock.time_s += 1.0
        timed_inner()
        clock.time_s += 0.5
        return "kept"

    assert meter.timed("find", outer)() == "kept"
    assert dict(meter.seconds) == {"network detector": 2.0, "find": 1.5}
    meter.total_s = 5.0
    assert meter.shares() == pytest.approx({"find": 0.3, "network detector": 0.4, "other": 0.3})
    assert meter.overhead_ratio() == pytest.approx(0.6)


def test_a_stage_that_raises_is_counted() -> None:
    clock = _Clock()
    meter = StageMeter(clock)

    def failing() -> None:
        clock.time_s += 1.0
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        meter.timed("decode", failing)()
    assert meter.seconds["decode"] == 1.0
    assert meter.codec_s() == 1.0


def test_queue_depths() -> None:
    meter = StageMeter()
    channel: Channel[int] = Channel(4)
    for item in range(3):
        meter.sent(channel, 4)
        channel.send(item)
    (queue,) = meter.queues()
    assert (queue.name, queue.capacity, queue.mean, queue.most) == ("analyse", 4, 1.0, 2)


def test_bars_are_about_full_hd() -> None:
    shares = {"decode": 0.2, "find": 0.1, "network detector": 0.3, "encode and mux": 0.2}
    empty = PipelineFigure("1080", 0, "cpu", 10, 20.0, 50.0, 0.3, None, {**shares, "other": 0.2})
    small = PipelineFigure("720", 1, "cpu", 10, 20.0, 50.0, 0.3, 1.0, shares)
    missing = PipelineFigure("1080", 1, "cuda", not_run="no such provider")
    lines = bar_lines([empty, small, missing])
    assert [line.split(": ")[0] for line in lines] == ["1080p, 0 faces, cpu"] * 2
    assert "overhead 30 %" in lines[0]
    assert "+25%" in lines[1]


def test_a_provider_that_is_not_there_is_not_run(tmp_path: Path) -> None:
    figure = measure("720", 0, "tensorrt", 3, tmp_path)
    assert figure.not_run
    assert figure.fps is None


@pytest.mark.slow
def test_stages_of_a_real_run(tmp_path: Path) -> None:
    figure = measure("720", 1, "cpu", 12, tmp_path)
    assert figure.frames == 12
    assert figure.shares is not None
    for stage in ("network detector", "network generator", "blend", "decode", "encode and mux"):
        assert figure.shares[stage] > 0
    assert sum(figure.shares.values()) == pytest.approx(1.0, abs=0.05)
    assert [queue.name for queue in figure.queues] == ["analyse", "render"]


@pytest.mark.slow
def test_threads_of_openvino_count_as_networks(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is an extra: pip install .[openvino]")
    figure = measure("720", 1, "openvino", 12, tmp_path)
    assert figure.shares is not None
    assert figure.overhead_ratio is not None
    assert figure.shares["network threads of OpenVINO"] > 0.1
    assert figure.overhead_ratio < 0.8


def test_the_plot_is_one_bar_a_figure() -> None:
    svg = bar_svg("a < b", {"one": 1.0, "two": 4.0}, unit="ms")
    assert svg.count("<rect") == 3
    assert "a &lt; b" in svg
    assert 'width="360.0"' in svg
    assert bar_svg("none", {}, unit="ms").count("<rect") == 1
