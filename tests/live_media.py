"""Small coded videos and outputs for tests of live outputs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from engines.errors import SinkError
from streamer.blender import AnonymizedFrame
from streamer.frames import ColorSpec, CopiedPacket, Frame
from streamer.media_info import MediaInfo, Notices
from streamer.sink_coded import CodedPicture, PictureEncoder
from streamer.sink_format import SinkOptions
from streamer.sink_items import Cut
from streamer.source import open_source
from tests.media import Recipe, anonymized, make_video

__all__ = ["FakeTarget", "coded_pictures", "live_info", "moving_frame", "wait_until"]

BASE = Fraction(1, 1000)
STEP = 40


def live_info(
    folder: Path, *, audio: bool = False, size_hw: tuple[int, int] = (96, 128)
) -> MediaInfo:
    """The facts of a small video, as a source tells them."""
    recipe = Recipe(
        pts=tuple(range(0, 240, STEP)), time_base=BASE, size_hw=size_hw,
        audio_start_s=0.0 if audio else None,
    )  # fmt: skip
    name = f"facts{audio}{size_hw[0]}x{size_hw[1]}.mkv"
    with open_source(make_video(folder / name, recipe)) as source:
        return source.info


def moving_frame(index: int, size_hw: tuple[int, int], *, noise: bool = False) -> AnonymizedFrame:
    """A picture that is another one each time; noise is hard to code and therefore large."""
    height, width = size_hw
    pixels = np.full((height * 3 // 2, width), 40 + index * 3 % 180, np.uint8)
    if noise:
        pixels = np.random.default_rng(index).integers(0, 255, pixels.shape, np.uint8)
    return anonymized(Frame(pixels, ColorSpec(), index * STEP, BASE, index))


def coded_pictures(
    folder: Path, number: int, *, keys: tuple[int, ...] = (0,)
) -> tuple[Cut, list[CodedPicture]]:
    """A cut and the pictures after it; those in `keys` are key frames."""
    info = live_info(folder)
    options = SinkOptions(preset="ultrafast", keyframe_interval_s=1000)
    encoder = PictureEncoder(info, options=options, notices=Notices())
    pictures = [
        picture
        for index in range(number)
        for picture in encoder.encode(
            moving_frame(index, info.size_hw), is_key=index in keys, arrived_s=None
        )
    ]
    return Cut("", encoder.video, 0, 0, is_new_video=True), pictures


class FakeTarget:
    """Remembers what it got; fails or hangs when told to."""

    def __init__(self, renews: Literal["on cut", "on new video"]) -> None:
        self._renews: Literal["on cut", "on new video"] = renews
        self.log: list[str] = []
        self.written: list[CodedPicture | CopiedPacket] = []
        self.fails = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.hangs = threading.Event()

    @property
    def renews(self) -> Literal["on cut", "on new video"]:
        return self._renews

    def is_ready(self) -> bool:
        return not self.fails.is_set()

    def open(self, cut: Cut) -> None:
        if self.fails.is_set():
            raise SinkError("nobody there")
        self.log.append(f"open {cut.label}")

    def write(self, item: CodedPicture | CopiedPacket) -> None:
        if not self.gate.is_set():
            self.hangs.set()
        self.gate.wait(20)
        if self.fails.is_set():
            raise SinkError("gone")
        self.written.append(item)

    def close(self) -> None:
        self.log.append("close")

    def abandon(self) -> None:
        self.log.append("abandon")


def wait_until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Wait, but not for ever."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.005)
