"""Vectors that must open, and those refused only for want of the right key."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.key_log import End, Recipient, Record, ScopeKey
from streamer.key_log_access import Access, encode_access
from streamer.key_log_recipients import recipient_stanza, threshold_stanzas
from streamer.keys import KdfParams, KeyScope
from tests.key_log_forge import (
    PASSWORD,
    Forge,
    counted_bytes,
    identity,
    make_face,
    make_header,
    make_thumbnail,
    make_track,
    sample_records,
    secret,
    write_log,
)
from tests.key_log_vectors import NOW_US, Vector

DEVICE = Ed25519PrivateKey.from_private_bytes(secret(99))


def case(
    covers: str,
    body: bytes,
    *,
    expect: str = "success",
    outer: str = "success",
    password: bytes | None = PASSWORD,
    secrets: tuple[bytes, ...] = (),
) -> Vector:
    return Vector(covers, expect, outer, password, secrets, (), body)


def written(records: list[Record], **options: Any) -> bytes:  # noqa: ANN401 - as write_log
    with tempfile.TemporaryDirectory() as folder:
        return write_log(Path(folder) / "a.keylog", records, **options).read_bytes()


def valid_cases() -> Iterator[tuple[str, Vector]]:
    yield "ok-empty", case("header and end marker only", written([], end=End()))
    yield "ok-sample", case("every record of a track-scope log", written(sample_records()))
    yield "ok-recording-scope", case("recording scope, reference rotation, f32 z", _recording())
    yield "ok-camera-scope", case("camera scope with its fixed salt", _camera())
    bare = make_header(kdf=None, tool="", codec="", pixel_format="", models=(), labels=(), level=9)
    yield "ok-bare-header", case("optional header fields left out", written([], header=bare))
    retained = make_header(expires_unix_us=1_800_000_000_000_000, previous_log=bytes([5] * 32))
    yield "ok-retention", case("retention time and a log before", written([], header=retained))
    blocks = written(
        [make_track(rotation_version=2)], header=make_header(rotation_version=2), end=End()
    )
    yield "ok-rotation-2", case("second version of the orthogonal rotation", blocks)
    many: list[Record] = [make_track(i, pts=i) for i in range(20)]
    many += [make_face(i % 20, pts=100 + i) for i in range(60)]
    yield "ok-many-tracks", case("20 tracks, each with its own chunk", written(many))
    yield "ok-signed", case("signed by a device key", written(sample_records(), signer=DEVICE))
    interrupted = End(status="interrupted", frames=1)
    yield "ok-interrupted", case("ended by Ctrl-C", written([make_track()], end=interrupted))
    yield from _continued()
    over = written([], header=make_header(expires_unix_us=NOW_US + 1))
    yield "ok-retention-last", case("read in the last microsecond of its retention time", over)
    ended = case("read when its retention time ends", over, expect="expired")
    yield "expired", dataclasses.replace(ended, now_us=NOW_US + 1)
    late = case("read long after, with a wrong password", over, expect="expired", password=b"x")
    yield "expired-long-ago", dataclasses.replace(late, now_us=2 * NOW_US)
    small: list[Record] = [make_track(3), make_face(3, pts=40), make_thumbnail(3, pts=40)]
    assisted = written(small, header=make_header(is_sealed=False), end=End())
    yield "ok-thumbnails", case("thumbnails in place of originals", assisted)
    negative: list[Record] = [make_track(0, pts=-5000), make_face(0, pts=-4000)]
    yield "ok-negative-pts", case("time stamps below zero", written(negative, end=End()))


def _continued() -> Iterator[tuple[str, Vector]]:
    """One recording in two logs, with other keys, as a rotation leaves it."""
    records: list[Record] = [make_track(4), make_face(4, pts=3000)]
    end = End(status="continued", frames=1, first_pts=3000, last_pts=3000)
    first = written(records, end=end, signer=DEVICE)
    yield "ok-continued-1", case("the recording goes on in another log", first)
    header = make_header(previous_log=first[-32:])
    records = [make_track(4, pts=6000, revision=1), make_face(4, pts=6000)]
    end = End(frames=1, first_pts=6000, last_pts=6000)
    second = written(records, header=header, end=end, signer=DEVICE, seed="second")
    yield "ok-continued-2", case("the log that goes on", second)


def _recording() -> bytes:
    header = make_header(scope=KeyScope.RECORDING, rotation="reference", level=0, angle_deg=70.0)
    track = make_track(
        3,
        scope=KeyScope.RECORDING,
        scope_id="",
        key=None,
        rotation="reference",
        angle_deg=70.0,
        norm=0.9921875,
        z=np.linspace(0, 1, 5, dtype=np.float32),
    )
    return written([ScopeKey(KeyScope.RECORDING, "", bytes([3] * 32)), track], header=header)


def _camera() -> bytes:
    kdf = replace(KdfParams.for_camera("gate 3"), memory_kib=64, iterations=1, lanes=1)
    header = make_header(scope=KeyScope.CAMERA, camera_id="gate 3", kdf=kdf)
    key = ScopeKey(KeyScope.CAMERA, "gate 3", bytes([4] * 32))
    track = make_track(scope=KeyScope.CAMERA, scope_id="gate 3", key=None)
    return written([key, track, make_face()], header=header)


def recipient_cases() -> Iterator[tuple[str, Vector]]:
    records: list[Record] = [make_track(), make_face()]
    guests = (Recipient("court", identity(1).public), Recipient("owner", identity(2).public))
    keyed = written(records, password=None, recipients=guests)
    for number in (1, 2):
        yield (
            f"ok-x25519-{number}",
            case(
                f"two public keys, the secret key of number {number}",
                keyed,
                password=None,
                secrets=(secret(number),),
            ),
        )
    yield (
        "wrong-key",
        case(
            "none of the public keys is that of the secret key given",
            keyed,
            expect="wrong-password",
            password=None,
            secrets=(secret(3),),
        ),
    )
    yield (
        "wrong-password-none",
        case("a password where only public keys open", keyed, expect="wrong-password"),
    )
    both = written(records, recipients=guests)
    yield "ok-mixed-password", case("a password and public keys; the password", both)
    yield (
        "ok-mixed-key",
        case("a password and public keys; a secret key", both, password=None, secrets=(secret(2),)),
    )
    yield from _wrong_password_cases()
    yield from _threshold_cases()
    two = Forge()
    stanzas = (two.password_stanza(b"first", "a"), two.password_stanza(b"second", "b"))
    two.access = encode_access(Access(3, stanzas))
    body = two.start().finish().build()
    yield "ok-two-passwords", case("the second of two passwords", body, password=b"second")


def _wrong_password_cases() -> Iterator[tuple[str, Vector]]:
    sample = written(sample_records())
    yield (
        "wrong-password",
        case("the password is another one", sample, expect="wrong-password", password=b"123456"),
    )
    yield (
        "wrong-password-case",
        case(
            "the password differs in one letter's case",
            sample,
            expect="wrong-password",
            password=PASSWORD.capitalize(),
        ),
    )
    yield (
        "wrong-password-newline",
        case(
            "the password has a space more",
            sample,
            expect="wrong-password",
            password=PASSWORD + b" ",
        ),
    )


def _threshold_cases() -> Iterator[tuple[str, Vector]]:
    forge = Forge()
    guests = [Recipient(f"judge {i}", identity(i).public) for i in (1, 2, 3)]
    shares = threshold_stanzas(
        forge.keys, guests, threshold=2, random_bytes=counted_bytes("shares")
    )
    forge.access = encode_access(Access(0, shares))
    body = forge.start().finish().build()
    for pair in ((1, 2), (1, 3), (3, 2)):
        yield (
            f"ok-threshold-{pair[0]}-{pair[1]}",
            case(
                f"2 of 3, by the holders {pair[0]} and {pair[1]}",
                body,
                password=None,
                secrets=tuple(map(secret, pair)),
            ),
        )
    yield (
        "wrong-threshold-one",
        case(
            "2 of 3, by one holder alone",
            body,
            expect="wrong-password",
            password=None,
            secrets=(secret(2),),
        ),
    )
    lone = recipient_stanza(forge.keys, Recipient("owner", identity(4).public))
    forge.access = encode_access(Access(0, (*shares, lone)))
    yield (
        "ok-threshold-or-key",
        case("2 of 3, or one other key alone", forge.build(), password=None, secrets=(secret(4),)),
    )
