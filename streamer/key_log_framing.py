"""The key log's framing: finding chunks in a file, whole, cut or damaged, without any key.

docs/keylog-format.md, sections 3 and 7. Reads through a file object; keeps no bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Final

from engines.errors import KeyLogFormatError
from streamer.key_log_chunks import (
    CHUNK_HASH_BYTES,
    MARKER,
    PREFIX_BYTES,
    ChunkKind,
    ChunkPrefix,
    decode_prefix,
)
from streamer.key_log_crypto import chunk_hash

__all__ = ["ChunkRef", "Damage", "Scan", "read_body", "scan_chunks"]

_SEARCH_BLOCK: Final = 1 << 20
_FREE_SEARCH_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """Where a chunk lies.

    Attributes:
        offset: of its prefix in the file.
        prefix: the public part.
        stored_hash: 32 bytes, as in the file.
    """

    offset: int
    prefix: ChunkPrefix
    stored_hash: bytes

    @property
    def end(self) -> int:
        """Offset of what follows."""
        return self.offset + PREFIX_BYTES + self.prefix.body_size + CHUNK_HASH_BYTES


@dataclass(frozen=True, slots=True)
class Damage:
    """Something in the file that its writer did not put there like that.

    Attributes:
        offset: where.
        position: how many good chunks come before it.
        text: what, for people.
    """

    offset: int
    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Scan:
    """All chunks found in a file.

    Attributes:
        chunks: in file order.
        damage: what is wrong, in file order; empty for a good log.
        is_cut: the file ends inside a chunk, or without its end marker.
        good_size: bytes up to the end of the last chunk found.
    """

    chunks: tuple[ChunkRef, ...]
    damage: tuple[Damage, ...]
    is_cut: bool
    good_size: int


def read_body(file: BinaryIO, ref: ChunkRef) -> bytes:
    """The body of a chunk; shorter than promised if the file shrank meanwhile."""
    file.seek(ref.offset + PREFIX_BYTES)
    return file.read(ref.prefix.body_size)


def scan_chunks(
    file: BinaryIO, *, start: int, core_hash: bytes, has_signer: bool, thorough: bool
) -> Scan:
    """Walk over all chunks.

    Args:
        file: seekable.
        start: where the header ends.
        core_hash: 32 bytes, what the first chunk's `previous` must be.
        has_signer: whether a signature must follow the final chunk.
        thorough: check every chunk's hash (reads the whole file); otherwise only if the framing
            shows that something is wrong.
    """
    scan = _Scanner(file, start, core_hash, has_signer, thorough).run()
    if not thorough and (scan.damage or scan.is_cut):
        # A damaged size may have hidden good chunks: only hashes tell which chunk to blame.
        scan = _Scanner(file, start, core_hash, has_signer, True).run()
    return scan


class _Scanner:
    """One walk; see `scan_chunks`."""

    def __init__(
        self, file: BinaryIO, start: int, core_hash: bytes, has_signer: bool, thorough: bool
    ) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self._start = start
        self._has_signer = has_signer
        self._thorough = thorough
        self._previous = core_hash
        self._next_index = 0
        self._chunks: list[ChunkRef] = []
        self._damage: list[Damage] = []
        self._tracks: set[int] = set()
        self._is_final_seen = False
        self._is_closed = False
        # An enemy may fill a file with markers; looking for good chunks must stay linear.
        self._search_budget = 2 * self._size + _FREE_SEARCH_BYTES

    def run(self) -> Scan:
        at, is_cut = self._start, False
        while at < self._size:
            if self._is_closed:
                self._note(at, f"{self._size - at} bytes after the end marker")
                break
            ref = self._chunk_at(at, must_hash=self._thorough)
            if ref is not None and not self._follows(ref):
                ref = self._chunk_at(at, must_hash=True)
            if ref is not None:
                self._accept(ref)
                at = ref.end
                continue
            found = self._search(at + 1)
            if found is None:
                is_cut = self._is_cut_tail(at)
                if not is_cut:
                    self._note(at, f"chunk {self._next_index} is damaged")
                break
            self._note_lost(at, found)
            at = found
        end = self._chunks[-1].end if self._chunks else self._start
        return Scan(tuple(self._chunks), tuple(self._damage), is_cut or not self._is_closed, end)

    def _chunk_at(self, at: int, *, must_hash: bool) -> ChunkRef | None:
        """The chunk at an offset, or None if none is whole there."""
        self._file.seek(at)
        raw = self._file.read(PREFIX_BYTES)
        try:
            prefix = decode_prefix(raw)
        except KeyLogFormatError:
            return None
        if at + PREFIX_BYTES + prefix.body_size + CHUNK_HASH_BYTES > self._size:
            return None
        if must_hash:
            body = self._file.read(prefix.body_size)
        else:
            self._file.seek(at + PREFIX_BYTES + prefix.body_size)
        stored = self._file.read(CHUNK_HASH_BYTES)
        if must_hash and chunk_hash(raw, body) != stored:
            return None
        return ChunkRef(at, prefix, stored)

    def _follows(self, ref: ChunkRef) -> bool:
        return ref.prefix.index == self._next_index and ref.prefix.previous == self._previous

    def _accept(self, ref: ChunkRef) -> None:
        prefix = ref.prefix
        if not self._follows(ref) and not self._explained_by_damage(ref):
            self._note(ref.offset, self._misplaced(prefix))
        self._check_kind(ref)
        self._chunks.append(ref)
        self._previous = ref.stored_hash
        self._next_index = prefix.index + 1

    def _misplaced(self, prefix: ChunkPrefix) -> str:
        if prefix.index == self._next_index:
            return f"chunk {prefix.index} does not continue what stands before it"
        return f"chunk {prefix.index} stands where chunk {self._next_index} belongs"

    def _explained_by_damage(self, ref: ChunkRef) -> bool:
        """A chunk after a damaged one cannot prove its place in the chain, only its order."""
        last = self._damage[-1] if self._damage else None
        if last is None or last.position != len(self._chunks):
            return False
        return ref.prefix.index >= self._next_index

    def _check_kind(self, ref: ChunkRef) -> None:
        prefix, kind = ref.prefix, ref.prefix.kind
        if kind is ChunkKind.TRACK_INFO:
            self._tracks.add(prefix.track_id)
        is_whole = not self._damage
        if is_whole and prefix.tracks != len(self._tracks):
            self._note(ref.offset, f"chunk {prefix.index} counts {prefix.tracks} tracks wrongly")
        if is_whole and kind is ChunkKind.TRACK_DATA and prefix.track_id not in self._tracks:
            self._note(ref.offset, f"chunk {prefix.index} belongs to a track that never began")
        if kind is ChunkKind.SIGNATURE and not self._has_signer:
            self._note(ref.offset, f"chunk {prefix.index} signs a log that names no signer")
        if self._is_final_seen and kind is not ChunkKind.SIGNATURE:
            self._note(ref.offset, f"chunk {prefix.index} follows the end marker")
        was_final = self._is_final_seen
        self._is_final_seen = was_final or kind is ChunkKind.FINAL
        closing = ChunkKind.SIGNATURE if self._has_signer else ChunkKind.FINAL
        self._is_closed = self._is_final_seen and kind is closing

    def _search(self, at: int) -> int | None:
        """Offset of the next whole chunk with a good hash."""
        while at < self._size:
            self._file.seek(at)
            block = self._file.read(_SEARCH_BLOCK + len(MARKER) - 1)
            hit = block.find(MARKER)
            while hit >= 0:
                ref = self._chunk_at(at + hit, must_hash=False)
                if ref is not None:
                    self._search_budget -= ref.prefix.body_size
                    if self._search_budget < 0:
                        return None
                    if self._chunk_at(at + hit, must_hash=True) is not None:
                        return at + hit
                hit = block.find(MARKER, hit + 1)
            at += _SEARCH_BLOCK
        return None

    def _is_cut_tail(self, at: int) -> bool:
        """Whether what is left is the beginning of a chunk whose rest was never written."""
        self._file.seek(at)
        raw = self._file.read(PREFIX_BYTES)
        if len(raw) < PREFIX_BYTES:
            return MARKER.startswith(raw[: len(MARKER)])
        try:
            prefix = decode_prefix(raw)
        except KeyLogFormatError:
            return False
        return at + PREFIX_BYTES + prefix.body_size + CHUNK_HASH_BYTES > self._size

    def _note_lost(self, at: int, found: int) -> None:
        ref = self._chunk_at(found, must_hash=False)
        last = ref.prefix.index - 1 if ref is not None else self._next_index
        if last <= self._next_index:
            self._note(at, f"chunk {self._next_index} is damaged")
        else:
            self._note(at, f"chunks {self._next_index} to {last} are damaged")

    def _note(self, offset: int, text: str) -> None:
        self._damage.append(Damage(offset, len(self._chunks), f"{text} (at byte {offset})"))
