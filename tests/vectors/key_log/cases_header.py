"""Vectors whose header is wrong in one way."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from streamer.key_log_access import Access, encode_access
from streamer.key_log_crypto import FileKeys
from streamer.key_log_header import MAGIC, encode_core
from tests.key_log_forge import Forge, flip, make_header, recheck
from tests.key_log_vectors import Vector
from tests.vectors.key_log.cases_valid import case

HEADER = make_header()
CORE = encode_core(HEADER)


def header_cases() -> Iterator[tuple[str, Vector]]:
    yield from _outer_cases()
    yield from _mac_cases()
    yield from _core_cases()
    yield from _access_cases()


def _bad(covers: str, body: bytes, expect: str = "format") -> Vector:
    return case(covers, body, expect=expect, outer=expect)


def _outer_cases() -> Iterator[tuple[str, Vector]]:
    good = Forge().start().finish().build()
    size = len(Forge().envelope())
    yield "header-empty-file", _bad("an empty file", b"", "truncated")
    yield "header-other-file", _bad("a PNG", b"\x89PNG\r\n\x1a\n" + bytes(60))
    yield "header-version-2", _bad("a later version", good.replace(b"/1\n", b"/2\n", 1))
    yield "header-version-0", _bad("an earlier version", good.replace(b"/1\n", b"/0\n", 1))
    yield "header-crlf", _bad("the first line ends with CR LF", good.replace(b"\n", b"\r\n", 1))
    for where, at in (("line", 9), ("core-size", 22), ("core", 60), ("mac", size - 40)):
        yield f"header-cut-in-{where}", _bad(f"cut inside the {where}", good[:at], "truncated")
    yield "header-cut-in-check", _bad("cut inside the check", good[: size - 1], "truncated")
    yield (
        "header-cut-in-access",
        _bad("cut inside the access part", good[: 24 + len(CORE) + 9], "truncated"),
    )
    for where, at in (("core", 30), ("access", 24 + len(CORE) + 40), ("mac", size - 33)):
        yield f"header-flip-{where}", _bad(f"a bit of the {where} flipped", flip(good, at))
    yield "header-flip-check", _bad("a bit of the check flipped", flip(good, size - 1))
    huge = MAGIC + struct.pack("<I", 65537) + bytes(70000)
    yield "header-core-too-long", _bad("core_size over the limit", huge)
    yield "header-core-zero", _bad("core_size of zero", MAGIC + struct.pack("<I", 0) + bytes(99))


def _mac_cases() -> Iterator[tuple[str, Vector]]:
    good = Forge().start().finish()
    envelope, rest = good.envelope(), b"".join(good.chunks)

    def tampered(name: str, covers: str, changed: bytes) -> tuple[str, Vector]:
        # The public hashes were made right again, so only the MAC tells.
        body = recheck(changed) + rest
        return name, case(covers, body, expect="tampered", outer="success")

    yield tampered("mac-flip", "a bit of the MAC flipped", flip(envelope, -64))
    at = 24 + len(CORE) + 4
    yield tampered("mac-generation", "generation turned back", flip(envelope, at))
    label = envelope.index(b"gate 3")
    name, vector = tampered("mac-core", "a label of the core changed", flip(envelope, label))
    # The core names the recording, so every chunk now belongs to another one.
    yield name, dataclasses.replace(vector, outer="damaged")
    other = Forge(header=make_header(recording_id=bytes(16)))
    pasted = Forge(access=other.access).start().finish()
    pasted.keys = FileKeys(bytes(32), pasted.keys.core_hash)
    body = pasted.envelope() + rest
    yield (
        "mac-recipient-of-other-log",
        case(
            "the recipients of another log with the same password, whose file key is another",
            body,
            expect="tampered",
            outer="success",
        ),
    )


def _core_cases() -> Iterator[tuple[str, Vector]]:
    def core(name: str, covers: str, old: bytes, new: bytes) -> tuple[str, Vector]:
        assert CORE.count(old) == 1, name
        forge = Forge(core=CORE.replace(old, new))
        return f"core-{name}", _bad(covers, forge.start().finish().build())

    size = struct.pack("<II", 1280, 720)
    base = struct.pack("<II", 1, 90000)
    angle = struct.pack("<d", 90.0)
    head = b"\x00" * 32 + b"\x00\x00\x00\x00\x01\xff" + angle  # previous_log .. angle
    yield core("width-zero", "width 0", size, struct.pack("<II", 0, 720))
    yield core("height-huge", "height over 65535", size, struct.pack("<II", 1280, 65536))
    yield core("time-base-zero", "time base 0/1", base, struct.pack("<II", 0, 1))
    yield core("time-base-by-zero", "time base 1/0", base, struct.pack("<II", 1, 0))
    yield core("time-base-spelling", "time base 2/180000", base, struct.pack("<II", 2, 180000))
    for name, value in (("nan", float("nan")), ("zero", 0.0), ("over", 180.5), ("inf", 1e400)):
        yield core(f"angle-{name}", f"angle {value}", angle, struct.pack("<d", value))
    changed = {
        "signer-flag": (32, 2, "has_signer of 2"),
        "scope": (33, 3, "unknown scope"),
        "camera-scope": (33, 2, "camera scope without a camera"),
        "rotation": (35, 2, "unknown rotation"),
        "rotation-version": (36, 3, "unknown version of the rotation"),
        "level": (37, 10, "level 10"),
    }
    for name, (at, value, covers) in changed.items():
        new = head[:at] + bytes([value]) + head[at + 1 :]
        yield core(name, covers, head, new)
    yield core("not-utf8", "a text that is not UTF-8", b"h264", b"h\xff64")
    models = b"\x08detector" + bytes([1] * 32) + b"\x07encoder" + bytes([2] * 32)
    unsorted = b"\x07encoder" + bytes([2] * 32) + b"\x08detector" + bytes([1] * 32)
    yield core("models-unsorted", "models not in order", models, unsorted)
    repeated = b"\x08detector" + bytes([1] * 32) + b"\x08detector" + bytes([2] * 32)
    yield core("models-repeated", "a model twice", models, repeated)
    yield core("model-unnamed", "a model without a name", models, b"\x00" + models[9:])
    labels = b"\x01\x04site\x06gate 3"
    yield core("label-unnamed", "a label without a key", labels, b"\x01\x00\x06gate 3")
    yield core("trailing", "a byte behind the last field", labels, labels + b"\x00")
    yield core("short", "the last field is missing", labels, b"\x02" + labels[1:])
    yield from _kdf_cases(core)


def _kdf_cases(core) -> Iterator[tuple[str, Vector]]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - local helper
    kdf = struct.pack("<IIB", 64, 1, 1) + bytes(range(16))
    for name, covers, cost in (
        ("memory", "Argon2id memory of 4 GiB", (1 << 22, 1, 1)),
        ("iterations", "65 iterations", (64, 65, 1)),
        ("iterations-zero", "no iterations", (64, 0, 1)),
        ("lanes", "17 lanes", (1024, 1, 17)),
        ("lanes-zero", "no lanes", (64, 1, 0)),
        ("memory-low", "less than 8 KiB a lane", (15, 1, 2)),
        ("product", "memory and iterations allowed, their product not", (1 << 20, 5, 4)),
    ):
        new = struct.pack("<IIB", *cost) + bytes(range(16))
        yield core(f"kdf-{name}", f"rotation KDF: {covers}", kdf, new)
        forge = Forge()
        assert forge.access.count(kdf) == 1
        forge.access = forge.access.replace(kdf, new)
        body = forge.start().finish().build()
        yield f"access-kdf-{name}", _bad(f"password recipient: {covers}", body)


def _access_cases() -> Iterator[tuple[str, Vector]]:
    good = Forge()

    def access(name: str, covers: str, data: bytes) -> tuple[str, Vector]:
        forge = Forge(access=data).start().finish()
        return f"access-{name}", _bad(covers, forge.build())

    head, stanza = good.access[:5], good.access[5:]
    yield access("no-recipients", "no recipients", head[:4] + b"\x00")
    yield access("count-short", "fewer stanzas than counted", head[:4] + b"\x02" + stanza)
    yield access("trailing", "bytes behind the last stanza", good.access + b"\x00")
    yield access("type", "unknown type of recipient", head + b"\x09" + stanza[1:])
    at = 1 + 9  # type, label
    longer = struct.pack("<H", len(stanza) - at - 2 + 1)
    padded = head + stanza[:at] + longer + stanza[at + 2 :] + b"\x00"
    yield access("stanza-trailing", "a byte behind a stanza's fields", padded)
    yield access("label-not-utf8", "a label that is not UTF-8", head + flip(stanza, 3, 0x80))
    yield access("nine-passwords", "nine passwords", head[:4] + b"\x09" + stanza * 9)
    yield access("too-many", "65 recipients", head[:4] + b"\x41" + _keyed() * 65)
    cost = struct.pack("<IIB", 64, 1, 1)
    dear = stanza.replace(cost, struct.pack("<IIB", 1 << 20, 3, 4))
    yield access(
        "kdf-sum", "two passwords that together cost too much", head[:4] + b"\x02" + dear * 2
    )
    for name, covers, shares in (
        ("threshold-one", "a threshold of 1", [_share(0, 1, 1)]),
        ("threshold-high", "a threshold of 33", [_share(0, 33, 1)]),
        ("share-zero", "a share at x = 0", [_share(0, 2, 0)]),
        ("share-twice", "two shares at one x", [_share(0, 2, 1), _share(0, 2, 1)]),
        ("thresholds-differ", "one group, two thresholds", [_share(0, 2, 1), _share(0, 3, 2)]),
    ):
        yield access(name, covers, head[:4] + bytes([len(shares)]) + b"".join(shares))
    assert encode_access(Access(0, (good.password_stanza(),))) == good.access


def _keyed() -> bytes:
    return b"\x02\x00" + struct.pack("<H", 112) + bytes(112)


def _share(group: int, threshold: int, x: int) -> bytes:
    return b"\x03\x00" + struct.pack("<H", 115) + bytes([group, threshold, x]) + bytes(112)
