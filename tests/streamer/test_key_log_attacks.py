"""Attacks on a recorded log, each refused by its own name; docs/threat-model.md lists them."""

from __future__ import annotations

import ast
import struct
import traceback
from pathlib import Path

import pytest

from engines.errors import (
    AnonymizerError,
    KeyLogFormatError,
    KeyLogTamperedError,
    WrongPasswordError,
)
from streamer.key_log import KeyLogReader, Recipient, Record, inspect_outer
from streamer.key_log_chunks import PREFIX_BYTES
from streamer.key_log_crypto import FileKeys
from streamer.key_log_envelope import parse_envelope
from streamer.key_log_grant import GrantReader
from streamer.key_log_grant_format import TrackSpan
from streamer.key_log_grant_writer import grant_body, write_grant
from streamer.key_log_recipients import recipient_stanza
from streamer.key_log_rewrap import add_stanzas, remove_recipients
from tests.key_log_forge import (
    PASSWORD,
    identity,
    make_face,
    make_header,
    make_patch,
    make_track,
    rechain,
    recheck,
    sample_records,
    secret,
    write_log,
)

ROOT = Path(__file__).resolve().parents[2]
OWNER, GUEST, STRANGER = identity(1), identity(2), identity(3)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    guests = (Recipient("owner", OWNER.public), Recipient("guest", GUEST.public))
    return write_log(tmp_path / "a.vskl", sample_records(), recipients=guests)


def split(path: Path) -> tuple[bytes, list[bytes]]:
    """A log's header and its chunks."""
    data = path.read_bytes()
    with KeyLogReader.open(path, PASSWORD) as reader:
        refs = reader.chunks
    return data[: refs[0].offset], [data[ref.offset : ref.end] for ref in refs]


def refusal(path: Path, data: bytes, kind: type[AnonymizerError] = KeyLogTamperedError) -> str:
    """How reading a changed log ends."""
    path.write_bytes(data)
    with pytest.raises(kind) as caught, KeyLogReader.open(path, PASSWORD) as reader:
        list(reader.records())
    return str(caught.value)


def test_wrong_password(log: Path) -> None:
    with pytest.raises(WrongPasswordError, match="password does not open"):
        KeyLogReader.open(log, b"another one")


def test_wrong_secret_key(log: Path) -> None:
    with pytest.raises(WrongPasswordError, match="none of the given keys"):
        KeyLogReader.open(log, identities=[STRANGER])


def test_stanza_moved_to_a_stranger(log: Path) -> None:
    """The wrapped key is bound to its recipient: another name on it opens nothing."""
    header, chunks = split(log)
    stolen = header.replace(OWNER.public, STRANGER.public)
    assert stolen != header
    log.write_bytes(recheck(stolen) + b"".join(chunks))
    with pytest.raises(WrongPasswordError, match="none of the given keys"):
        KeyLogReader.open(log, identities=[STRANGER])


def test_wrong_recipient_of_a_grant(log: Path, tmp_path: Path) -> None:
    grant = tmp_path / "grant"
    with KeyLogReader.open(log, PASSWORD) as reader:
        body = grant_body(
            reader, [TrackSpan(0, 0, 10**6)], granted_by="a", reason="b", created_unix_us=0,
            with_identity=False,
        )  # fmt: skip
        write_grant(grant, body, core_hash=reader.core_hash, recipient=GUEST.public)
    with pytest.raises(WrongPasswordError, match="made for another key"):
        GrantReader.open(grant, log, STRANGER)
    grant.write_bytes(grant.read_bytes().replace(GUEST.public, STRANGER.public))
    with pytest.raises(KeyLogTamperedError, match="grant was changed"):
        GrantReader.open(grant, log, STRANGER)


@pytest.mark.parametrize("relinks", [False, True])
def test_swapped_chunks(log: Path, relinks: bool) -> None:
    header, chunks = split(log)
    chunks[1], chunks[2] = chunks[2], chunks[1]
    body = rechain(chunks, parse_envelope(header).core_hash) if relinks else b"".join(chunks)
    assert "chunk 2 stands where chunk 1 belongs" in refusal(log, header + body)


def test_swapped_chunks_with_all_public_fields_made_right(tmp_path: Path) -> None:
    """Index, links and hashes fit; only the key of the place does not."""
    records: list[Record] = [make_track(1), make_face(1, pts=5)]
    records += [make_track(1, revision=1), make_face(1, pts=5, is_generated=False)]
    path = write_log(tmp_path / "a.vskl", records)
    header, chunks = split(path)
    first, second = chunks[1], chunks[3]
    assert (first[4:8], first[16:41]) == (second[4:8], second[16:41])
    chunks[1] = second[:8] + first[8:16] + second[16:]
    chunks[3] = first[:8] + second[8:16] + first[16:]
    body = rechain(chunks, parse_envelope(header).core_hash)
    assert "chunk 1 (TRACK_DATA) is not what was written there" in refusal(path, header + body)


def test_swapped_headers(log: Path, tmp_path: Path) -> None:
    other = write_log(
        tmp_path / "b.vskl", sample_records(), header=make_header(created_unix_us=7), seed="b"
    )
    header, _ = split(other)
    _, chunks = split(log)
    assert "does not continue what stands before it" in refusal(log, header + b"".join(chunks))
    relinked = header + rechain(chunks, parse_envelope(header).core_hash)
    assert "is not what was written there" in refusal(log, relinked)


def test_downgrade_of_the_version(log: Path) -> None:
    data = log.read_bytes()
    for version in (b"0", b"2", b"10"):
        text = refusal(log, data.replace(b"/1\n", b"/" + version + b"\n", 1), KeyLogFormatError)
        assert f"version '{version.decode()}'" in text


def test_downgrade_of_the_password_cost(log: Path) -> None:
    """A cheaper Argon2id in the header would help guessing; the MAC covers it."""
    header, chunks = split(log)
    stanza = parse_envelope(header).access.stanzas[0]
    cost = stanza.kdf  # type: ignore[union-attr]  # the password comes first
    raw = struct.pack("<IIB", cost.memory_kib, cost.iterations, cost.lanes) + cost.salt
    at = header.rindex(raw)
    cheaper = struct.pack("<IIB", cost.memory_kib // 2, cost.iterations, cost.lanes) + cost.salt
    changed = recheck(header[:at] + cheaper + header[at + len(raw) :])
    text = refusal(log, changed + b"".join(chunks), WrongPasswordError)
    assert "password does not open" in text
    with pytest.raises(KeyLogTamperedError, match="header was changed"):
        KeyLogReader.open(log, identities=[OWNER])


def test_removed_signature_and_signer(tmp_path: Path) -> None:
    """Who takes the signature off a signed log leaves a log that says it is not whole."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    device = Ed25519PrivateKey.from_private_bytes(secret(9))
    path = write_log(tmp_path / "a.vskl", sample_records(), signer=device)
    header, chunks = split(path)
    path.write_bytes(header + b"".join(chunks[:-1]))
    assert not inspect_outer(path).is_complete
    public = device.public_key().public_bytes_raw()
    at = header.index(public) - 1
    unsigned = header[:at] + b"\0" + header[at + 33 :]
    size = struct.unpack("<I", header[20:24])[0] - 32
    unsigned = recheck(unsigned[:20] + struct.pack("<I", size) + unsigned[24:])
    text = refusal(path, unsigned + b"".join(chunks[:-1]))
    assert "header was changed" in text


def test_replay_of_an_older_header(log: Path) -> None:
    """A removed guest puts the header from before back; who knows the change refuses it."""
    before, _ = split(log)
    access = remove_recipients(log, "guest", password=PASSWORD)
    _, chunks = split(log)
    with pytest.raises(WrongPasswordError):
        KeyLogReader.open(log, identities=[GUEST])
    log.write_bytes(before + b"".join(chunks))
    with pytest.raises(KeyLogTamperedError, match="old header was put back"):
        KeyLogReader.open(log, PASSWORD, min_generation=access.generation)


def test_added_recipient_without_the_key(log: Path) -> None:
    """A stanza made from another log's key lets nobody in."""
    header, chunks = split(log)
    envelope = parse_envelope(header)
    forged = FileKeys(bytes(32), envelope.core_hash)
    stanza = recipient_stanza(forged, Recipient("me", STRANGER.public))
    add_stanzas(log, lambda _: [stanza], password=PASSWORD)
    with pytest.raises(KeyLogTamperedError, match="header was changed"):
        KeyLogReader.open(log, identities=[STRANGER])
    assert chunks


@pytest.mark.parametrize("relinks", [False, True])
def test_cross_recording_paste(log: Path, tmp_path: Path, relinks: bool) -> None:
    """A face of another recording, of the same track and time, even with the same file key."""
    other = write_log(
        tmp_path / "b.vskl", sample_records(), header=make_header(recording_id=bytes(16))
    )
    header, chunks = split(log)
    _, others = split(other)
    chunks[2] = others[2]
    assert chunks[2][16:41] == split(log)[1][2][16:41]
    body = rechain(chunks, parse_envelope(header).core_hash) if relinks else b"".join(chunks)
    expected = "is not what was written there" if relinks else "does not continue"
    assert expected in refusal(log, header + body)


def test_a_track_pasted_under_another_number(tmp_path: Path) -> None:
    records: list[Record] = [make_track(1), make_track(2)]
    records += [make_face(1, pts=1), make_patch(1, pts=1), make_face(2, pts=1)]
    path = write_log(tmp_path / "a.vskl", records)
    header, chunks = split(path)
    at = next(n for n, chunk in enumerate(chunks) if chunk[16] == 3)
    moved = chunks[at][:17] + struct.pack("<I", 2) + chunks[at][21:]
    body = rechain([*chunks[:at], moved, *chunks[at + 1 :]], parse_envelope(header).core_hash)
    assert f"chunk {at} (TRACK_DATA) is not what was written there" in refusal(path, header + body)


def test_no_secret_reaches_an_exception(log: Path, tmp_path: Path) -> None:
    """Neither in its text, nor in its arguments, nor in the chain that a traceback prints."""
    header, chunks = split(log)
    with KeyLogReader.open(log, PASSWORD) as reader:
        file_key = reader._keys.file_key
    secrets = [PASSWORD, file_key, secret(1), secret(2), bytes([7] * 32)]
    attempts: list[tuple[bytes, dict[str, object]]] = [
        (log.read_bytes(), {"password": PASSWORD + b"x"}),
        (log.read_bytes(), {"identities": [STRANGER]}),
    ]
    for number in range(len(chunks)):
        for at in (PREFIX_BYTES + 3, len(chunks[number]) - 40):
            changed = list(chunks)
            changed[number] = (
                chunks[number][:at] + bytes([chunks[number][at] ^ 1]) + chunks[number][at + 1 :]
            )
            body = rechain(changed, parse_envelope(header).core_hash)
            attempts.append((header + body, {"password": PASSWORD}))
            attempts.append((header + body, {"identities": [OWNER]}))
    path, seen = tmp_path / "m.vskl", 0
    for data, keys in attempts:
        path.write_bytes(data)
        try:
            with KeyLogReader.open(path, **keys) as reader:  # type: ignore[arg-type]  # by name
                list(reader.records())
        except AnonymizerError as exc:
            seen += 1
            text = "".join(traceback.format_exception(exc)) + repr(exc.args)
            for word in secrets:
                assert word.hex() not in text
                assert repr(word)[2:-1] not in text
                assert word.decode("latin-1") not in text
    assert seen == len(attempts)


def test_keys_are_wiped_when_a_log_is_closed(log: Path) -> None:
    reader = KeyLogReader.open(log, PASSWORD)
    keys = reader._keys
    memory = keys._file_key
    reader.close()
    assert len(memory) == 0
    with pytest.raises(ValueError, match="wiped"):
        keys.general_key()
    assert "***" in repr(keys)
    with pytest.raises(TypeError, match="never pickled"):
        keys.__reduce__()


def test_secret_values_are_compared_in_constant_time() -> None:
    """No `==` on a MAC, a key or a hash in the modules that hold keys; AEAD tags are the library's.

    Hashes that anybody can compute from the file may be compared as they are.
    """
    for name in ("key_log_crypto", "key_log_envelope", "keys", "shamir"):
        tree = ast.parse((ROOT / "streamer" / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Compare):
                continue
            if not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                continue
            text = ast.unparse(node)
            is_size_or_public = "len(" in text or ".public" in text
            hot = [w for w in ("mac", "kek", "secret", "file_key", "digest") if w in text]
            assert is_size_or_public or not hot, f"{name}: {text}"
