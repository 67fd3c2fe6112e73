"""The merge: folds partials into one, and turns the last one into the answer."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Coverage, Failure_InvalidPartition


class MergePartials(exports.MergePartials):
    """An exception other than `Err` is a bug: the merge fails with `trap`, and the log has the traceback."""

    def merge(self, query: bytes, partials: list[bytes]) -> bytes:
        """Adds counts. Partials arrive in any order, and a merged partial may be merged again."""
        return counted(sum(count_of(partial) for partial in partials))

    def finish(self, query: bytes, merged: bytes | None, coverage: Coverage) -> bytes:
        """Returns the sum as the answer; without any partial it is 0."""
        return counted(0 if merged is None else count_of(merged))


def counted(count: int) -> bytes:
    return json.dumps({"count": count}, separators=(",", ":")).encode()


def count_of(partial: bytes) -> int:
    try:
        return json.loads(partial)["count"]
    except (ValueError, TypeError, KeyError):
        raise Err(Failure_InvalidPartition(f"{partial!r} is not a count")) from None
