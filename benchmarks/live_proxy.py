"""A relay between a camera and us that does what networks do: lose, delay, damage, cut."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

__all__ = ["Faults", "RtspProxy"]

_HOST: Final = "127.0.0.1"
_CLIENT_PORT: Final = re.compile(rb"client_port=(\d+)-(\d+)")
_RTP_MARKER: Final = 0x80
_RTP_HEADER: Final = 12


@dataclass(slots=True)
class Faults:
    """What the relay does to RTP packets; may be changed while it runs.

    Attributes:
        loss_ratio: share of packets that vanish.
        reorder_ratio: share of packets that come after the next ones.
        corrupt_ratio: share of packets in which bytes of the payload are changed.
        header_ratio: share of packets whose NAL unit says to be of another kind.
        time_shift: added to RTP time stamps, in their units.
        is_stalled: nothing is relayed, connections stay open.
        is_refusing: new connections are closed at once.
    """

    loss_ratio: float = 0.0
    reorder_ratio: float = 0.0
    corrupt_ratio: float = 0.0
    header_ratio: float = 0.0
    time_shift: int = 0
    is_stalled: bool = False
    is_refusing: bool = False


@dataclass(slots=True)
class _Held:
    packets: list[tuple[int, bytes]] = field(default_factory=list)


class RtspProxy:
    """Relays RTSP with its media, over TCP or UDP. A context manager; one media stream.

    Args:
        server_port: port of the real server on this machine.
        seed: of the random numbers that choose packets.

    Attributes:
        faults: what to do.
        sent_s: (connection, picture) -> monotonic time at which its last packet was relayed;
            pictures are counted from the start of each connection's media.
        connections: how many clients came so far.
    """

    def __init__(self, server_port: int, *, seed: int = 7) -> None:
        self.faults = Faults()
        self.sent_s: dict[tuple[int, int], float] = {}
        self.connections = 0
        self._server_port = server_port
        self._random = random.Random(seed)
        self._listener = socket.create_server((_HOST, 0))
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Close all connections, as a router does that starts again."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.faults.is_refusing:
                client.close()
                continue
            try:
                server = socket.create_connection((_HOST, self._server_port), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self.connections += 1
            _Connection(self, client, server, self.connections).start()

    def relay(self, number: int, packet: bytes, held: _Held, send: Callable[[bytes], None]) -> None:
        """Do to an RTP packet what is to be done, and pass on what comes of it."""
        faults, chance = self.faults, self._random.random
        if chance() < faults.loss_ratio:
            return
        if faults.corrupt_ratio and chance() < faults.corrupt_ratio:
            packet = self._corrupted(packet)
        if faults.header_ratio and chance() < faults.header_ratio:
            packet = self._of_another_kind(packet)
        if faults.time_shift:
            (stamp,) = struct.unpack_from(">I", packet, 4)
            shifted = struct.pack(">I", (stamp + faults.time_shift) % (1 << 32))
            packet = packet[:4] + shifted + packet[8:]
        if faults.reorder_ratio and chance() < faults.reorder_ratio:
            held.packets.append((self._random.randint(1, 3), packet))
            return
        send(packet)
        late = [(left - 1, other) for left, other in held.packets]
        held.packets = [one for one in late if one[0] > 0]
        for left, other in late:
            if left <= 0:
                send(other)

    def _corrupted(self, packet: bytes) -> bytes:
        damaged = bytearray(packet)
        # After the RTP header and the NAL unit's own: its length and kind stay, its content not.
        for _ in range(8):
            if len(damaged) > 20:
                damaged[self._random.randrange(16, len(damaged))] = self._random.randrange(256)
        return bytes(damaged)

    def _of_another_kind(self, packet: bytes) -> bytes:
        head = packet[_RTP_HEADER] ^ self._random.randrange(1, 256)
        return packet[:_RTP_HEADER] + bytes([head]) + packet[_RTP_HEADER + 1 :]

    def wait_while_stalled(self) -> None:
        """Wait until packets may pass again."""
        while self.faults.is_stalled and not self._ended.is_set():
            time.sleep(0.02)


class _Connection:
    """One client and the threads that serve it."""

    def __init__(
        self, proxy: RtspProxy, client: socket.socket, server: socket.socket, number: int
    ) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._number = number
        self._pictures = 0
        self._held = _Held()
        self._lock = threading.Lock()
        self._udp: list[socket.socket] = []
        self._ports: tuple[bytes, bytes] | None = None
        proxy._open.update((client, server))

    def start(self) -> None:
        """Serve it in the background."""
        for work in (self._to_server, self._to_client):
            threading.Thread(target=self._guard, args=(work,), daemon=True).start()

    def _guard(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            work()
        for one in (self._client, self._server, *self._udp):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._proxy._open.discard(one)

    def _to_server(self) -> None:
        while data := self._client.recv(65536):
            self._proxy.wait_while_stalled()
            if (found := _CLIENT_PORT.search(data)) and data.startswith(b"SETUP"):
                data = _CLIENT_PORT.sub(self._own_ports(found), data)
            self._server.sendall(data)

    def _own_ports(self, found: re.Match[bytes]) -> bytes:
        """Take the media of a UDP client ourselves."""
        ports = []
        for port in (int(found[1]), int(found[2])):
            taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            taken.bind((_HOST, 0))
            self._udp.append(taken)
            ports.append(taken.getsockname()[1])
            is_rtp = port == int(found[1])
            threading.Thread(
                target=self._datagrams, args=(taken, port, is_rtp), daemon=True
            ).start()
        own = b"client_port=%d-%d" % (ports[0], ports[1])
        self._ports = found[0], own
        return own

    def _datagrams(self, taken: socket.socket, port: int, is_rtp: bool) -> None:
        def send(packet: bytes) -> None:
            taken.sendto(packet, (_HOST, port))

        with contextlib.suppress(OSError):
            while True:
                packet = taken.recv(65536)
                if not packet:
                    return
                self._proxy.wait_while_stalled()
                if is_rtp:
                    self._rtp(packet, send)
                else:
                    send(packet)

    def _rtp(self, packet: bytes, send: Callable[[bytes], None]) -> None:
        self._proxy.relay(self._number, packet, self._held, send)
        if packet[1] & _RTP_MARKER:
            self._proxy.sent_s[self._number, self._pictures] = time.monotonic()
            self._pictures += 1

    def _to_client(self) -> None:
        waiting = b""
        while data := self._server.recv(65536):
            self._proxy.wait_while_stalled()
            waiting += data
            while waiting and (size := _whole(waiting)):
                part, waiting = waiting[:size], waiting[size:]
                self._pass_on(part)

    def _pass_on(self, part: bytes) -> None:
        if part[0] != 0x24 or part[1] % 2:
            if self._ports is not None:
                part = part.replace(self._ports[1], self._ports[0])
            self._client.sendall(part)
            return

        def send(packet: bytes) -> None:
            self._client.sendall(part[:2] + struct.pack(">H", len(packet)) + packet)

        self._rtp(part[4:], send)


def _whole(data: bytes) -> int:
    """Length of the message or packet that data begins with, 0 while it is incomplete."""
    if data[0] == 0x24:
        size = 4 + struct.unpack_from(">H", data, 2)[0] if len(data) >= 4 else 1 << 30
    else:
        head = data.find(b"\r\n\r\n")
        if head < 0:
            return 0
        found = re.search(rb"(?i)content-length:\s*(\d+)", data[:head])
        size = head + 4 + (int(found[1]) if found else 0)
    return size if size <= len(data) else 0
