"""Every parser of the key log: any bytes are refused by the documented error, or spell the same.

That what parses re-serialises to the same bytes is what makes one log have one spelling.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import KeyLogError, KeyLogFormatError
from streamer.key_log import Recipient, Record
from streamer.key_log_access import Access, decode_access, encode_access
from streamer.key_log_chunks import ChunkKind, decode_prefix, encode_prefix
from streamer.key_log_envelope import parse_envelope
from streamer.key_log_format import decode_records, encode_record
from streamer.key_log_header import decode_core, encode_core
from streamer.key_log_recipients import recipient_stanza
from streamer.sealed_patch import decode_planes
from tests.key_log_forge import (
    Forge,
    identity,
    make_face,
    make_header,
    make_patch,
    make_track,
    sample_records,
)

FORGE = Forge().start()
CORE = encode_core(make_header())
GUEST = Recipient("court", identity(1).public)
ACCESS = encode_access(Access(3, (FORGE.password_stanza(), recipient_stanza(FORGE.keys, GUEST))))
PREFIX = FORGE.chunks[0][:73]


def mutants(original: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with a few pieces replaced, and any other bytes."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        data = bytearray(original)
        for _ in range(draw(st.integers(1, 3))):
            at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 8))
            data[at : at + size] = draw(st.binary(max_size=8))
        return bytes(data)

    return st.one_of(build(), st.binary(max_size=120))


def spells_the_same(
    data: bytes, decode: Callable[[bytes], object], encode: Callable[[object], bytes]
) -> None:
    try:
        value = decode(data)
    except KeyLogFormatError:
        return
    assert encode(value) == data


@settings(max_examples=120)
@given(data=mutants(CORE))
def test_core(data: bytes) -> None:
    spells_the_same(data, decode_core, encode_core)  # type: ignore[arg-type]  # of its own kind


@settings(max_examples=120)
@given(data=mutants(ACCESS))
def test_access(data: bytes) -> None:
    spells_the_same(data, decode_access, encode_access)  # type: ignore[arg-type]  # as above


@given(data=mutants(PREFIX))
def test_prefix(data: bytes) -> None:
    spells_the_same(data, decode_prefix, encode_prefix)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    "record",
    [*sample_records(), make_track(3, z=None), make_face(3), make_patch(3)],
    ids=lambda record: type(record).__name__,
)
@settings(max_examples=30)
@given(data=st.data())
def test_records(record: Record, data: st.DataObject) -> None:
    raw = data.draw(mutants(encode_record(record)))
    for kind in (k for k in ChunkKind if k is not ChunkKind.SIGNATURE):
        number = struct.unpack("<I", raw[5:9])[0] if kind.has_track and len(raw) >= 9 else 0
        try:
            records = decode_records(raw, kind, number)
        except KeyLogFormatError:
            continue
        assert b"".join(map(encode_record, records)) == raw


@settings(max_examples=120)
@given(data=mutants(FORGE.envelope()))
def test_envelope(data: bytes) -> None:
    try:
        envelope = parse_envelope(data)
    except KeyLogError:
        return
    assert data.startswith(envelope.mac_input + envelope.mac)
    assert encode_core(envelope.header) == envelope.core


@given(
    payload=st.one_of(
        st.binary(max_size=80),
        st.binary(max_size=60).map(lambda tail: b"\1\xff\xd8\xff\xc0" + tail),
        st.binary(max_size=60).map(lambda tail: b"\2\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + tail),
    ),
    width=st.sampled_from([2, 4, 16]),
    height=st.sampled_from([2, 4, 16]),
)
def test_sealed_payload(payload: bytes, width: int, height: int) -> None:
    try:
        planes = decode_planes(payload, width=width, height=height)
    except KeyLogFormatError:
        return
    assert planes.y.shape == (height, width)
