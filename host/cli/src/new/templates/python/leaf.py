"""The leaf: one partition in, one partial out."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Failure_InvalidQuery, Partition


class ProcessPartition(exports.ProcessPartition):
    """An exception other than `Err` is a bug: the leaf fails with `trap`, and the log has the traceback."""

    def process(self, query: bytes, partition: Partition) -> bytes:
        """Counts the long lines of one partition."""
        length = longer_than(query)
        count = sum(len(line) > length for line in partition.data.split(b"\n"))
        return json.dumps({"count": count}, separators=(",", ":")).encode()


def longer_than(query: bytes) -> int:
    """Parses the query, such as {"longer-than": 20}: a length in bytes."""
    try:
        match json.loads(query):
            case {"longer-than": length, **others} if type(length) is int and length >= 0 and not others:
                return length
    except ValueError as error:
        raise Err(Failure_InvalidQuery(str(error))) from None
    raise Err(Failure_InvalidQuery('a query is such as {"longer-than": 20}'))
