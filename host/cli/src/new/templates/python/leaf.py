"""The leaf: one partition in, one partial out."""

import json
from functools import lru_cache

import pieces
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Failure_InvalidQuery, Partition


class ProcessPartition(exports.ProcessPartition):
    """An exception other than `Err` is a bug: the leaf fails with `trap`, and the log has the traceback."""

    def process(self, query: bytes, partition: Partition) -> bytes:
        """Counts the long lines of one partition, piece by piece: idle slots may take the rest of a long one."""
        length = longer_than(query)
        count = 0
        # `keep` makes the partial of all lines so far, now and then. If the leaf is cut off later, it counts.
        for line in pieces.lines(keep=lambda: counted(count)):
            if len(line) > length:
                count += 1
        return counted(count)


def counted(count: int) -> bytes:
    return json.dumps({"count": count}, separators=(",", ":")).encode()


@lru_cache(maxsize=1)
def longer_than(query: bytes) -> int:
    """Parses the query, such as {"longer-than": 20}: a length in bytes.

    State of the module, such as this cache, lasts as long as the instance: parse a query, or compile a pattern, only once."""
    try:
        match json.loads(query):
            case {"longer-than": length, **others} if type(length) is int and length >= 0 and not others:
                return length
    except ValueError as error:
        raise Err(Failure_InvalidQuery(str(error))) from None
    raise Err(Failure_InvalidQuery('a query is such as {"longer-than": 20}'))
