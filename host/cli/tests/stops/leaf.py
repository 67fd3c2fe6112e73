"""A leaf that fails as its query says, for the snapshots of the reports that its author gets."""

import json
import os
import sys
import time
from datetime import datetime

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import control
from wit_world.imports.types import (
    Failure_InvalidPartition,
    Failure_InvalidQuery,
    Failure_Unavailable,
    Partition,
)


class ProcessPartition(exports.ProcessPartition):
    """Obeys."""

    def process(self, query: bytes, partition: Partition) -> bytes:
        """Says on stderr what it does, and does it."""
        command = query.decode()
        print(f"about to {command}", file=sys.stderr)
        return COMMANDS[command](partition)


def throw(partition: Partition) -> bytes:
    rows = {"a": 1}
    return row_of(rows, partition.key)


def throw_in_library(partition: Partition) -> bytes:
    return json.loads("[1, 2")


def import_late(partition: Partition) -> bytes:
    import csv

    return next(csv.reader(["a"]))[0].encode()


def parse_date(partition: Partition) -> bytes:
    return str(datetime.strptime("2024", "%Y").year).encode()


def row_of(rows: dict[str, int], key: str) -> bytes:
    return str(rows[key]).encode()


def leave(partition: Partition) -> bytes:
    sys.exit(3)


def abort(partition: Partition) -> bytes:
    os.abort()


def recurse(partition: Partition) -> bytes:
    return deeper(0)


def deeper(depth: int) -> bytes:
    return deeper(depth + 1)


def spin(partition: Partition) -> bytes:
    while True:
        pass


def sleep(partition: Partition) -> bytes:
    while True:
        time.sleep(3600)


def grow(partition: Partition) -> bytes:
    held = []
    while True:
        held.append(bytes(1 << 20))


def grow_beyond(partition: Partition) -> bytes:
    return bytes([0] * (1 << 30))


def huge_output(partition: Partition) -> bytes:
    return bytes(5 << 20)


def huge_emit(partition: Partition) -> bytes:
    control.emit_partial(bytes(5 << 20), 0.5)
    return b""


def wrong_type(partition: Partition) -> bytes:
    return "text and not bytes"


def call_forever(partition: Partition) -> bytes:
    while True:
        control.remaining_ms()


def open_file(partition: Partition) -> bytes:
    with open("/etc/stations.csv", "rb") as file:
        return file.read()


def invalid_query(partition: Partition) -> bytes:
    raise Err(Failure_InvalidQuery("no such station"))


def invalid_partition(partition: Partition) -> bytes:
    raise Err(Failure_InvalidPartition("line 3 has no price"))


def unavailable(partition: Partition) -> bytes:
    raise Err(Failure_Unavailable("the fares are being updated"))


COMMANDS = {
    "throw": throw,
    "exit": leave,
    "abort": abort,
    "recurse": recurse,
    "spin": spin,
    "sleep": sleep,
    "grow": grow,
    "grow-beyond": grow_beyond,
    "throw-in-library": throw_in_library,
    "import-late": import_late,
    "parse-date": parse_date,
    "huge-output": huge_output,
    "huge-emit": huge_emit,
    "wrong-type": wrong_type,
    "call-forever": call_forever,
    "open-file": open_file,
    "invalid-query": invalid_query,
    "invalid-partition": invalid_partition,
    "unavailable": unavailable,
}
