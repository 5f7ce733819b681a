"""The climate of each state: NOAA's normals of 1991 to 2020, and quantities derived from them.

`climate_normals.csv` contains the mean temperature and the precipitation of each month; its header cites the source.
The resolution is coarse: the mountains and the coast of a state have the same climate here. Two quantities are proxies,
since NOAA publishes no statewide normals for them:

snowfall
    Precipitation that falls as snow, by the mean temperature of the month: all of it up to -10 degrees Celsius, none
    from 3.3 on, linear in between (McCabe and Markstrom, 2007 [1]_). Over the states its rank correlation with the mean
    of NOAA's station normals of snowfall (1981 to 2010) is 0.89.
freeze_thaw
    Months of freezing and thawing: a month counts fully where its mean temperature is between -2 and 0 degrees Celsius,
    where freeze-thaw days are most frequent; not at all below -13 and above 11, where there are hardly any; linear in
    between (Schmidlin, Dethier and Eggleston, 1987 [2]_).

References
----------
.. [1] G. J. McCabe and S. L. Markstrom, "A monthly water-balance model driven by a graphical user interface", US
   Geological Survey Open-File Report 2007-1088, 2007.
.. [2] T. W. Schmidlin, B. E. Dethier and K. L. Eggleston, "Freeze-thaw days in the northeastern United States", Journal
   of Climate and Applied Meteorology 26, 142-155, 1987.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import polars as pl

_TABLE = "climate_normals.csv"

#: Version of every feature that is looked up here: increase it when a quantity of `state_climate`, or a feature derived
#: from one, is computed differently.
CLIMATE_VERSION = 1

#: States missing from nClimDiv, and the state whose climate is used for them: the District of Columbia takes that of
#: Maryland. Hawaii and the territories have no climate.
_PROXY_STATES = {"11": "24"}

_ALL_SNOW_BELOW, _NO_SNOW_ABOVE = -10.0, 3.3
_TOO_COLD, _COLD, _MILD, _TOO_MILD = -13.0, -2.0, 0.0, 11.0


def normals_text() -> str:
    """The text of the table in this package."""
    return files("bridge_assets.data.features").joinpath(_TABLE).read_text(encoding="utf-8")


@cache
def state_climate() -> dict[str, dict[str, float]]:
    """Quantity -> state code of item 1 -> value.

    Returns
    -------
    dict
        mean_temperature and january_temperature in degrees Celsius; precipitation and snowfall in mm of water per year;
        freeze_thaw in months per year. States without normals are left out.
    """
    by_quantity: dict[str, dict[str, float]] = {
        name: {} for name in ("mean_temperature", "january_temperature", "precipitation", "snowfall", "freeze_thaw")
    }
    lines = [line for line in normals_text().splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines):
        degrees = [(float(row[f"t{month:02}"]) - 32) / 1.8 for month in range(1, 13)]
        rain = [float(row[f"p{month:02}"]) * 25.4 for month in range(1, 13)]
        of_state = {
            "mean_temperature": sum(degrees) / 12,
            "january_temperature": degrees[0],
            "precipitation": sum(rain),
            "snowfall": sum(
                fallen * (1 - _linear_ramp(each, _ALL_SNOW_BELOW, _NO_SNOW_ABOVE))
                for each, fallen in zip(degrees, rain, strict=True)
            ),
            "freeze_thaw": sum(
                _linear_ramp(each, _TOO_COLD, _COLD) * (1 - _linear_ramp(each, _MILD, _TOO_MILD)) for each in degrees
            ),
        }
        for name, value in of_state.items():
            by_quantity[name][row["code"]] = value
    for by_state in by_quantity.values():
        by_state.update({code: by_state[like] for code, like in _PROXY_STATES.items()})
    return by_quantity


def climate_of_state(quantity: str) -> pl.Expr:
    """A quantity of `state_climate`, looked up by the state code of a record; null for a state without normals."""
    by_state = state_climate()[quantity]
    return pl.col("STATE_CODE_001").replace_strict(
        list(by_state), list(by_state.values()), default=None, return_dtype=pl.Float64
    )


def _linear_ramp(value: float, low: float, high: float) -> float:
    """0 up to the lower bound, 1 from the upper bound on, linear in between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
