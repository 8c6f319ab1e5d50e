"""The web console in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.camera_board import CameraBoard
from streamer.camera_snapshot import SinkHealth
from streamer.camera_status import CameraStatus
from streamer.config_watch import WatchConfig
from streamer.watch_access import Access
from streamer.watch_server import WatchServer
from tests.browser import Page, find_chromium, open_page
from tests.streamer.test_watch_server import put_out

pytestmark = [pytest.mark.network, pytest.mark.slow]

_TOKEN = "correct-horse-battery-staple"
_HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    find_chromium()
    with open_page(tmp_path_factory.mktemp("browser")) as page:
        yield page


def _board() -> tuple[CameraBoard, list[CameraStatus]]:
    now_s = [1000.0]
    cameras = [CameraStatus(name, now=lambda: now_s[0]) for name in ("gate", "yard", _HOSTILE)]
    for index in range(250):
        now_s[0] += 0.04
        for camera in cameras[:2]:
            put_out(camera, 60 + index % 100)
    cameras[0].sink("rtsp://192.0.2.9/out", SinkHealth("up", 100, 2, 1))
    cameras[1].state("reconnecting", "no answer")
    cameras[1].error("rtsp://viewer:hunter2@192.0.2.1/x: no answer")
    board = CameraBoard()
    for camera in cameras:
        board.add(camera)
    return board, cameras


def _keep(page: Page, name: str) -> None:
    """Pictures of the console for people, where they ask for them."""
    if folder := os.environ.get("VEILSTREAM_SCREENSHOTS"):
        page.screenshot(Path(folder) / name)


def test_the_console_shows_all_cameras_and_opens_one(page: Page) -> None:
    board, cameras = _board()
    with WatchServer(("127.0.0.1", 0), board, Access(None), WatchConfig()) as server:
        page.problems.clear()
        page.requests.clear()
        page.go(f"http://127.0.0.1:{server.port}/")
        page.wait("document.querySelectorAll('.camera').length === 3")
        assert page.eval("document.getElementById('summary').textContent") == "1 of 3 cameras live"
        text = page.eval("document.body.innerText")
        assert "Reconnecting" in text
        assert _HOSTILE in text
        assert page.eval("document.title") == "veilstream"
        page.wait("document.querySelector('.still').naturalWidth === 160")
        # By keyboard: the first stop is the skip link, the second the first camera.
        page.eval("document.querySelector('.camera').focus()")
        page.press("Enter")
        page.wait("!document.getElementById('detail').hidden")
        page.wait("document.getElementById('live').naturalWidth === 160")
        page.wait("document.activeElement.id === 'detail'")
        page.wait("document.querySelector('#chart-fps path').getAttribute('d').length > 20")
        label = page.eval("document.querySelector('#chart-fps svg').getAttribute('aria-label')")
        assert label.startswith("Frames a second: now 25")
        figures = page.eval("document.getElementById('figures').innerText")
        assert "Frames out\n250" in figures
        assert "rtsp://192.0.2.9/out" in page.eval("document.getElementById('sinks').innerText")
        _keep(page, "console.png")
        page.press("Escape")
        page.wait("document.getElementById('detail').hidden")
        assert page.eval("document.activeElement.className") == "camera"
        page.eval("document.querySelectorAll('.camera')[1].click()")
        page.wait("document.getElementById('errors').innerText.includes('no answer')")
        assert "hunter2" not in page.eval("document.documentElement.outerHTML")
        # What happens is seen without loading the page again.
        put_out(cameras[1])
        page.wait("document.getElementById('summary').textContent === '2 of 3 cameras live'")
        # Nothing is fetched from anywhere else, and nothing broke.
        own = f"http://127.0.0.1:{server.port}/"
        assert [url for url in page.requests if not url.startswith((own, "data:"))] == []
        assert page.problems == []
        board.remove("gate")
        page.wait("document.querySelectorAll('.camera').length === 2")


def test_the_console_says_when_the_program_is_gone(page: Page) -> None:
    board, _ = _board()
    with WatchServer(("127.0.0.1", 0), board, Access(None), WatchConfig()) as server:
        page.go(f"http://127.0.0.1:{server.port}/")
        page.wait("document.querySelectorAll('.camera').length === 3")
    page.wait("!document.getElementById('trouble').hidden")


def test_the_console_wants_the_token(page: Page) -> None:
    board, _ = _board()
    with WatchServer(("127.0.0.1", 0), board, Access(_TOKEN), WatchConfig()) as server:
        page.go(f"http://127.0.0.1:{server.port}/")
        page.wait("location.pathname === '/login'")
        _keep(page, "login.png")
        page.eval("document.getElementById('token').value = 'wrong'")
        page.eval("document.querySelector('button').click()")
        page.wait("location.search === '?wrong' && document.getElementById('token') !== null")
        page.eval(f"document.getElementById('token').value = '{_TOKEN}'")
        page.eval("document.querySelector('button').click()")
        page.wait("document.querySelectorAll('.camera').length === 3")
        page.wait("document.querySelector('.still').naturalWidth === 160")
        page.wait("!document.getElementById('logout').hidden")
        page.eval("document.querySelector('#logout button').click()")
        page.wait("location.pathname === '/login'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_colour_schemes(page: Page, scheme: str) -> None:
    board, _ = _board()
    with WatchServer(("127.0.0.1", 0), board, Access(None), WatchConfig()) as server:
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        page.call("Emulation.setEmulatedMedia", features=media)
        page.go(f"http://127.0.0.1:{server.port}/")
        page.wait("document.querySelectorAll('.camera').length === 3")
        page.wait("document.querySelector('.still').naturalWidth === 160")
        _keep(page, f"console_{scheme}.png")
        ratios = page.eval(_CONTRAST)
        assert len(ratios) > 10
        assert min(ratios) >= 4.5
        missing = "[...document.querySelectorAll('button, a, input')].filter(e => !e.innerText)"
        assert page.eval(f"{missing}.length") == 0


# Contrast of each text with the nearest ground behind it, as WCAG 2 counts it.
_CONTRAST = """
(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((value) => {
      value /= 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const a = light(parse(getComputedStyle(element).color)), b = light(ground(element));
    found.push((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return found;
})()
"""
