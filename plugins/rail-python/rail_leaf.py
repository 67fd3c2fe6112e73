"""The leaf of examples/rail in Python: finds the stations of one region with a direct train from London in a budget.

It returns the same bytes as plugins/rail-leaf, which documents the fields.
"""

import json
import time

from componentize_py_types import Err
from query import Query, parse_query
from service import Service, parse_table
from wit_world import exports
from wit_world.imports.types import Failure_InvalidPartition, Failure_InvalidQuery, Partition


class ProcessPartition(exports.ProcessPartition):
    """The interface `process-partition`. Any exception but `Err` is a bug: the leaf fails as `trap`."""

    def process(self, query: bytes, partition: Partition) -> bytes:
        """Finds the services of one region that fit the query."""
        asked = understood(query)
        if asked.stall == partition.key:
            stall()
        region = partition.key
        fitting = [found(region, one) for one in services(partition.data) if fits(asked, one)]
        partial = {"regions": [region], "destinations": fitting}
        return json.dumps(partial, ensure_ascii=False, separators=(",", ":")).encode()


def understood(text: bytes) -> Query:
    try:
        return parse_query(text)
    except ValueError as error:
        # The reason may quote half of a surrogate pair, which is valid in a string of Python, but
        # not in UTF-8.
        raise Err(Failure_InvalidQuery(str(error).encode(errors="replace").decode())) from None


def services(table: bytes) -> list[Service]:
    try:
        return parse_table(table.decode())
    except ValueError as error:
        raise Err(Failure_InvalidPartition(str(error))) from None


def fits(asked: Query, one: Service) -> bool:
    in_time = asked.arrive_by is None or asked.depart + one.minutes <= asked.arrive_by
    return one.pence <= asked.budget * 100 and in_time


def found(region: str, one: Service) -> dict[str, str | int]:
    return {
        "station": one.station,
        "crs": one.crs,
        "region": region,
        "operator": one.operator,
        "terminal": one.terminal,
        "minutes": one.minutes,
        "pence": one.pence,
        "km": one.km_from_charing_cross(),
    }


def stall() -> None:
    """Never returns. It sleeps rather than spins: a spinning leaf may run out of fuel before its deadline."""
    while True:
        time.sleep(3600)
