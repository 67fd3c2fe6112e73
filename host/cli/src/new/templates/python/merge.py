"""The merge: folds partials into one, and makes the answer of the last one."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Coverage, Failure_InvalidPartition


class MergePartials(exports.MergePartials):
    """An exception other than `Err` is a bug: it ends the merge as `trap`, with its traceback in the log."""

    def merge(self, query: bytes, partials: list[bytes]) -> bytes:
        """Adds counts up. Partials arrive in any order, and what is merged may be merged again."""
        return counted(sum(count_of(partial) for partial in partials))

    def finish(self, query: bytes, merged: bytes | None, coverage: Coverage) -> bytes:
        """The answer is the sum; without any partial, none."""
        return counted(0 if merged is None else count_of(merged))


def counted(count: int) -> bytes:
    return json.dumps({"count": count}, separators=(",", ":")).encode()


def count_of(partial: bytes) -> int:
    try:
        return json.loads(partial)["count"]
    except (ValueError, TypeError, KeyError):
        raise Err(Failure_InvalidPartition(f"{partial!r} is not a count")) from None
