"""The leaf of plugins/readers in Python: reports what each reader of pieces.py gives it."""

import pieces
from wit_world import exports
from wit_world.imports.types import Partition


class ProcessPartition(exports.ProcessPartition):
    """The interface `process-partition`."""

    def process(self, query: bytes, partition: Partition) -> bytes:
        """Runs the reader that the query names."""
        found = bytearray()
        reader, delimiter = query[:1], query[1:]

        def keep() -> bytes:
            return bytes(found)

        match reader:
            case b"r":
                for record in pieces.records(delimiter, keep):
                    found += b"%d\n%b" % (len(record), record)
            case b"b":
                for offset, block in pieces.blocks(delimiter, keep):
                    found += b"%d %d\n%b" % (offset, len(block), block)
            case b"c":
                for chunk in pieces.chunks(keep):
                    found += b"%d\n%b" % (len(chunk), chunk)
            case b"i":
                for each in pieces.integers(keep):
                    found += b"%d %d\n" % (each.start, each.stop)
        return bytes(found)
