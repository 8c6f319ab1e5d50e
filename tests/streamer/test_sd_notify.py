from __future__ import annotations

import os
import socket
from pathlib import Path

from streamer.sd_notify import SystemdNotifier


def test_messages_reach_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(path)})
        notifier.ready()
        notifier.status("2 of 3\ncameras live")
        notifier.alive()
        notifier.reloading(5)
        notifier.stopping()
        heard = [server.recv(1000).decode() for _ in range(5)]
    assert heard == [
        "READY=1", "STATUS=2 of 3 cameras live", "WATCHDOG=1", "RELOADING=1\nMONOTONIC_USEC=5",
        "STOPPING=1",
    ]  # fmt: skip


def test_an_abstract_socket() -> None:
    name = f"veilstream-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name)
        SystemdNotifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert server.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    SystemdNotifier({}).ready()
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def test_the_watchdog_is_for_the_process_that_it_names() -> None:
    assert SystemdNotifier({}).interval_s is None
    assert SystemdNotifier({"WATCHDOG_USEC": "30000000"}).interval_s == 15
    mine = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    assert SystemdNotifier(mine).interval_s == 15
    assert SystemdNotifier({**mine, "WATCHDOG_PID": "1"}).interval_s is None
    assert SystemdNotifier({"WATCHDOG_USEC": "soon"}).interval_s is None
