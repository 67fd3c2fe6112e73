"""Parser of a region's table of services."""

import math
import re
from typing import NamedTuple

HEADER = "name,crs,lat,long,terminal,operator,minutes,fare"
MOST = 2**32 - 1

# Python's int and float alone would also accept spaces, underscores and digits of other scripts.
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"\+?[0-9]+")
FARE = re.compile(r"([0-9]+)\.([0-9]{2})")

EARTH_RADIUS_KM = 6371.0
# Charing Cross, from which distances to London are measured by custom.
FROM_LAT, FROM_LONG = math.radians(51.5074), math.radians(-0.1278)


class Service(NamedTuple):
    """One line of a region's table: a direct train from a London terminal to a station."""

    station: str
    crs: str
    lat: float
    long: float
    terminal: str
    operator: str
    minutes: int
    pence: int

    def km_from_charing_cross(self) -> int:
        """Returns the great-circle distance in whole kilometres, by the haversine formula."""
        lat, long = math.radians(self.lat), math.radians(self.long)
        across, along = math.sin((lat - FROM_LAT) / 2), math.sin((long - FROM_LONG) / 2)
        share = across * across + math.cos(FROM_LAT) * math.cos(lat) * (along * along)
        # Not `round`, which rounds halves to even.
        return math.floor(2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(max(share, 0.0), 1.0))) + 0.5)


def parse_table(table: str) -> list[Service]:
    """Parses a table: a header, then one service a line, with comments (`#`) anywhere. The error names the line."""
    # Not `splitlines`, which also splits at other characters than line ends.
    lines = re.split(r"\r?\n", table)
    if not lines[-1]:
        lines.pop()
    numbered = [(number, line) for number, line in enumerate(lines, 1) if not line.startswith("#")]
    if not numbered:
        raise ValueError(f"the table has no header `{HEADER}`")
    number, header = numbered[0]
    if header != HEADER:
        raise ValueError(f"line {number}: `{header}` is not the header `{HEADER}`")
    return [service(number, line) for number, line in numbered[1:]]


def service(number: int, line: str) -> Service:
    try:
        return fields(line.split(","))
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None


def fields(cut: list[str]) -> Service:
    """Makes a service of a line's fields. They contain no commas and no quotes, so a line is split at every comma."""
    if len(cut) != 8:
        raise ValueError(f"{len(cut)} fields where there should be 8")
    station, crs, lat, long, terminal, operator, minutes, fare = cut
    return Service(
        station, crs, decimal("lat", lat), decimal("long", long), terminal, operator, whole("minutes", minutes), pence(fare)
    )


def decimal(name: str, text: str) -> float:
    if DECIMAL.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    raise ValueError(f"{name} `{text}` is not a number")


def whole(name: str, text: str) -> int:
    if WHOLE.fullmatch(text) and int(text) <= MOST:
        return int(text)
    raise ValueError(f"{name} `{text}` is not a number")


def pence(fare: str) -> int:
    """Parses a fare into pence. It is split at the point, not parsed as a float, so that no fare is a penny off."""
    match = FARE.fullmatch(fare)
    amount = int(match[1]) * 100 + int(match[2]) if match else MOST + 1
    if amount > MOST:
        raise ValueError(f"fare `{fare}` is not pounds and pence such as 12.50")
    return amount
