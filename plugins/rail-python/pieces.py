"""The partition, piece by piece: idle slots may take the rest of a long one, and what is done survives a cut-off.

    count = 0
    for line in pieces.lines(keep=lambda: encoded(count)):
        count += 1
    return encoded(count)

`keep` makes the partial of everything so far. It is called now and then: if the leaf is cut off later, that partial
counts, and only the rest is run again. A record belongs to the piece in which it begins, so it comes exactly once,
wherever the host cuts. The world must import `pieces` and `source`; the partition's `data` is then empty.

Process each record before asking for the next: the partial that is kept then must have all records so far. So do not
read this iterator ahead (`itertools.batched`, `sorted`, `zip` with itself); use `blocks` for many records at once. Call
`skip_rest()` before you leave the loop early: without it, the piece in hand counts as processed to its end.
"""

import json
from collections.abc import Callable, Iterator

from componentize_py_types import Err
from wit_world.imports import pieces as host
from wit_world.imports import source
from wit_world.imports.pieces import PieceUnit, skip_rest
from wit_world.imports.types import Failure_InvalidPartition

__all__ = ["blocks", "chunks", "integers", "lines", "records", "skip_rest"]

Keep = Callable[[], bytes]

MOST = 1 << 20  # Bytes of a read: 1 MiB is fastest.
STEP = 4 << 10  # Bytes that are read beyond a block, to complete its last record.

# A partial is kept after this many pieces, or a twentieth of a second, once this many bytes were processed for each
# byte of the last one.
LEAST_PIECES = 16
BYTES_PER_BYTE = 16
PIECE_BYTES = 64 << 10  # Bytes that a piece of integers counts as.


def lines(keep: Keep | None = None) -> Iterator[bytes]:
    """Yields the lines that begin in this call's pieces, without their line feeds."""
    return records(b"\n", keep)


def records(delimiter: bytes, keep: Keep | None = None) -> Iterator[bytes]:
    """Yields the records that begin in this call's pieces, without the delimiter, which is one byte."""
    for _, block in blocks(delimiter, keep):
        *whole, last = block.split(delimiter)
        yield from whole
        # Only the content's last record may lack its delimiter.
        if last:
            yield last


def blocks(delimiter: bytes, keep: Keep | None = None) -> Iterator[tuple[int, bytes]]:
    """Yields the same records many at once, with their delimiters: pairs of an offset in the partition, and bytes."""
    begin = None
    for start, end in spans(keep):
        if begin is None:
            # The record that goes on here began in another piece.
            begin = start and start - 1 + len(through(delimiter, start - 1, start - 1))
        while begin < end:
            block = through(delimiter, begin, min(end, begin + MOST - STEP) - 1)
            if not block:
                return
            yield begin, block
            begin += len(block)


def chunks(keep: Keep | None = None) -> Iterator[bytes]:
    """Yields the bytes of this call's pieces, for content without records."""
    for start, end in spans(keep):
        while start < end:
            chunk = source.read(start, min(end - start, MOST))
            if not chunk:
                return
            yield chunk
            start += len(chunk)


def integers(keep: Keep | None = None) -> Iterator[range]:
    """Yields the integers of this call's pieces, for partitions of a `range` source."""
    if host.unit() != PieceUnit.INTEGERS:
        raise Err(Failure_InvalidPartition(
            "its pieces count bytes, not integers\n"
            '(use a `range` source, or write the partition exactly as `{"start":0,"end":10}`)'
        ))
    whole = json.loads(source.read(0, source.size()))
    first, end = whole["start"], whole["end"]
    if first > end:
        raise Err(Failure_InvalidPartition(f"the range {first}..{end} ends before it starts"))
    kept = Kept(keep)
    while piece := host.next():
        yield range(first + piece.begin, first + piece.end)
        kept.after_piece(PIECE_BYTES)


def spans(keep: Keep | None) -> Iterator[tuple[int, int]]:
    """Yields the begin and the end of each piece in bytes, and keeps partials between pieces."""
    kept = Kept(keep)
    is_bytes = host.unit() == PieceUnit.BYTES
    piece = host.next()
    if not is_bytes and (piece is None or piece.begin == 0):
        # Where pieces count integers, the content belongs to the first one.
        yield 0, source.size()
    while piece:
        if is_bytes:
            yield piece.begin, piece.end
        kept.after_piece(piece.end - piece.begin)
        piece = host.next()


class Kept:
    """The work since the last kept partial."""

    def __init__(self, partial: Keep | None) -> None:
        self.partial, self.pieces, self.bytes, self.size = partial, 0, 0, 0

    def after_piece(self, size: int) -> None:
        """Hands over a partial of all pieces so far, if they are worth it."""
        self.pieces += 1
        self.bytes += size
        if self.partial and self.pieces >= LEAST_PIECES and self.bytes >= BYTES_PER_BYTE * self.size:
            partial = self.partial()
            host.keep(partial)
            self.pieces, self.bytes, self.size = 0, 0, len(partial)


def through(delimiter: bytes, begin: int, at: int) -> bytes:
    """Reads from `begin` to the end of the record that has the byte at `at`."""
    part = source.read(begin, at - begin + STEP)
    found = part.find(delimiter, at - begin)
    parts, size = [part], len(part)
    while found < 0:
        # A record that is longer than usual.
        part = source.read(begin + size, min(max(STEP, size), MOST))
        if not part:
            return b"".join(parts)
        found = part.find(delimiter)
        parts.append(part)
        size += len(part)
    parts[-1] = part[: found + 1]
    return b"".join(parts)
