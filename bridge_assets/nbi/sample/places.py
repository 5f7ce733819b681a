"""Locations of the structures of the sample, and the names of roads, streams and towns there.

The states are real, because climate depends on location; the names are common words. No structure represents a real
one: every structure number begins with `SMP`.
"""

from __future__ import annotations

from typing import NamedTuple


class State(NamedTuple):
    """A state in which the sample has structures.

    Attributes
    ----------
    code : str
        FIPS code.
    south, north : float
        Latitudes of a box inside the state, degrees north.
    east, west : float
        Longitudes of the box, degrees west.
    weight : float
        Share of the sample's structures, roughly as in the National Bridge Inventory.
    urban : float
        Share of urban routes relative to the average.
    counties : int
        Number of counties; they have odd FIPS codes from 001.
    long_intervals : bool
        Whether the state inspects low-risk structures every 48 months (23 CFR 650.311).
    """

    code: str
    south: float
    north: float
    east: float
    west: float
    weight: float
    urban: float
    counties: int
    long_intervals: bool


STATES = (
    State("01", 31.1, 34.9, 85.5, 88.0, 11, 0.8, 67, False),
    State("08", 37.1, 40.9, 102.2, 108.9, 8, 1.0, 62, True),
    State("19", 40.7, 43.4, 91.5, 95.8, 15, 0.5, 99, False),
    State("25", 42.1, 42.7, 71.2, 73.2, 7, 2.2, 14, False),
    State("27", 43.6, 47.8, 92.8, 95.9, 11, 0.7, 87, True),
    State("29", 36.7, 40.4, 90.3, 94.5, 15, 0.6, 114, False),
    State("36", 42.1, 43.1, 73.8, 78.6, 13, 1.5, 62, False),
    State("48", 28.2, 33.8, 95.0, 101.5, 20, 1.2, 254, True),
)

STREAMS = (
    "ALDER", "BEAVER", "BIG SANDY", "BLACK", "CEDAR", "CLEAR", "COTTONWOOD", "CROOKED", "DEER", "DRY", "EAGLE", "ELM",
    "FISH", "GRAVEL", "HICKORY", "HONEY", "INDIAN", "LITTLE", "LONG", "MAPLE", "MILL", "MUD", "OTTER", "PLUM", "ROCK",
    "SALT", "SAND", "SPRING", "STONY", "SUGAR", "SYCAMORE", "TURKEY", "WALNUT", "WEST FORK", "WILLOW", "WOLF",
)  # fmt: skip
WATERS = ("CREEK", "RIVER", "BRANCH", "RUN", "BROOK", "DITCH", "CANAL", "CREEK RELIEF")
RAILWAYS = ("RAILROAD", "RR SPUR", "RAILWAY YARD", "RR MAIN LINE")
TOWNS = (
    "ASHFORD", "BELMONT", "BRIGHTON", "CENTERVILLE", "CHESTER", "CLINTON", "DOVER", "FAIRVIEW", "FRANKLIN",
    "GREENFIELD", "HARMONY", "JACKSON", "KINGSTON", "LIBERTY", "MADISON", "MILFORD", "MT ZION", "NEWPORT", "OAK GROVE",
    "OXFORD", "PLEASANT HILL", "RIVERSIDE", "SALEM", "SHILOH", "SPRINGDALE", "UNION", "WINCHESTER",
)  # fmt: skip
STREETS = (
    "BROAD", "CHURCH", "DEPOT", "FACTORY", "FERRY", "GROVE", "HIGH", "LAKE", "MAIN", "MARKET", "MEADOW", "MILL", "OAK",
    "PARK", "PINE", "QUARRY", "RIVER", "SCHOOL", "STATION", "WATER",
)  # fmt: skip
DIRECTIONS = ("N", "E", "S", "W", "NE", "SE", "SW", "NW")

#: Names with an apostrophe inside, which is not escaped in the files.
STREAMS_POSSESSIVE = ("MILLER'S CREEK", "O'NEAL BRANCH", "WELL'S CREEK", "BAKER'S RUN", "D'ARCY BROOK", "COOK'S RIVER")
ROADS_POSSESSIVE = ("O'NEAL ROAD", "SMITH'S FERRY RD", "D'ARCY LANE", "MILLER'S MILL RD", "KING'S HWY")
#: Locations that end in an apostrophe: a possessive cut short, or feet.
LOCATIONS_ENDING = ("2.1 MI S OF THE MILLERS'", "0.5 MI W OF THE BAKERS'", "N OF SR 25 AT 400'", "E OF RR XING 150'")
#: Names with non-ASCII letters, which are Latin-1 in old files.
NAMES_LATIN = ("CAÑON CREEK", "ARROYO PEÑA", "CAÑADA BRANCH", "RÍO SECO")
