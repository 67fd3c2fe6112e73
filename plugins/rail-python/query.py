"""The client's query."""

import json
import re
from typing import Any, NamedTuple

FIELDS = ("from", "budget", "depart", "arrive-by", "stall")
CLOCK = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")
STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
NINE = 9 * 60


class Query(NamedTuple):
    """A valid query. Times are minutes since midnight."""

    budget: int
    depart: int
    arrive_by: int | None
    stall: str | None


def parse_query(text: bytes) -> Query:
    """Parses a query as strictly as the leaf in Rust does. Raises ValueError, with the reason."""
    written = text.decode()
    # Deep nesting would overflow the interpreter's stack. That cannot be caught here: the leaf
    # would fail as `trap`.
    if len(re.findall(r"[\[{]", STRING.sub("", written))) > 1:
        raise ValueError("a query has no lists and objects in it")
    fields = json.loads(written, object_pairs_hook=unique, parse_int=whole)
    if not isinstance(fields, dict):
        raise ValueError("the query is not a JSON object")
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"unknown field `{name}`, expected one of {', '.join(FIELDS)}")
    for name in ("from", "budget"):
        if name not in fields:
            raise ValueError(f"missing field `{name}`")
    if fields["from"] != "London":
        raise ValueError(f"unknown variant `{fields['from']}`, expected `London`")
    query = Query(
        budget=budget(fields["budget"]),
        depart=clock(fields.get("depart", "09:00")),
        arrive_by=optional(clock, fields.get("arrive-by")),
        stall=optional(string, fields.get("stall")),
    )
    if query.arrive_by is not None and query.arrive_by <= query.depart:
        raise ValueError("arrive-by is not later than depart")
    return query


def unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a dict, and refuses duplicate names: json alone would use the last value."""
    fields = dict(members)
    if len(fields) < len(members):
        raise ValueError("duplicate field")
    return fields


def whole(digits: str) -> int:
    """Parses an integer, and refuses minus zero: json alone would accept it."""
    if digits == "-0":
        raise ValueError("-0 is not a whole number")
    return int(digits)


def budget(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**32:
        raise ValueError(f"budget `{value}` is not a whole number of pounds")
    return value


def string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"`{value}` is not a string")
    value.encode()  # Raises for half of a surrogate pair, which json accepts.
    return value


def clock(value: Any) -> int:
    match = CLOCK.fullmatch(string(value))
    if not match:
        raise ValueError(f"`{value}` is not a time of day such as 09:00")
    return int(match[1]) * 60 + int(match[2])


def optional(read: Any, value: Any) -> Any:
    return None if value is None else read(value)
