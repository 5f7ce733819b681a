"""The extent of each state, as a bounding box in degrees.

Belongs here: the boxes used to check whether a coordinate is in its state. A box is coarse: it does not catch a bridge
that is misplaced by a few miles.

References
----------
US Census Bureau, Cartographic Boundary Files (states, 1:500,000), extents rounded outwards to 0.01 degree. Alaska
extends across the 180th meridian; item 17 has no sign, so its westernmost islands are also read as west of Greenwich.
"""

from __future__ import annotations

from typing import NamedTuple

#: Degrees by which a coordinate may be outside its box: about 11 km, for border bridges and rounded positions.
MARGIN_DEGREES = 0.1


class BoundingBox(NamedTuple):
    """A box in decimal degrees, north and east positive."""

    south: float
    north: float
    west: float
    east: float


def _parse_bounds(table: str) -> dict[str, BoundingBox]:
    rows = (line.split() for line in table.strip().splitlines())
    return {code: BoundingBox(*map(float, box)) for code, *box in rows}


#: Item 1 -> extent.
STATE_BOUNDS: dict[str, BoundingBox] = _parse_bounds("""
01   30.22  35.01   -88.48   -84.88
02   51.21  71.37  -180.00  -129.97
04   31.33  37.01  -114.82  -109.04
05   33.00  36.50   -94.62   -89.64
06   32.53  42.01  -124.41  -114.13
08   36.99  41.01  -109.07  -102.04
09   40.98  42.06   -73.73   -71.78
10   38.45  39.84   -75.79   -75.04
11   38.79  39.00   -77.12   -76.90
12   24.52  31.01   -87.64   -80.03
13   30.35  35.01   -85.61   -80.83
15   18.91  28.41  -178.34  -154.80
16   41.98  49.01  -117.25  -111.04
17   36.97  42.51   -91.52   -87.49
18   37.77  41.77   -88.10   -84.78
19   40.37  43.51   -96.64   -90.14
20   36.99  40.01  -102.06   -94.58
21   36.49  39.15   -89.58   -81.96
22   28.92  33.02   -94.05   -88.81
23   42.97  47.46   -71.09   -66.94
24   37.91  39.73   -79.49   -75.04
25   41.23  42.89   -73.51   -69.92
26   41.69  48.24   -90.42   -82.41
27   43.49  49.39   -97.24   -89.49
28   30.17  35.00   -91.66   -88.09
29   35.99  40.62   -95.78   -89.09
30   44.35  49.01  -116.06  -104.03
31   39.99  43.01  -104.06   -95.30
32   35.00  42.01  -120.01  -114.03
33   42.69  45.31   -72.56   -70.61
34   38.92  41.36   -75.56   -73.89
35   31.33  37.01  -109.06  -103.00
36   40.49  45.02   -79.77   -71.85
37   33.84  36.59   -84.33   -75.46
38   45.93  49.01  -104.05   -96.55
39   38.40  41.98   -84.83   -80.51
40   33.61  37.01  -103.01   -94.43
41   41.99  46.30  -124.57  -116.46
42   39.71  42.27   -80.52   -74.68
44   41.14  42.02   -71.87   -71.12
45   32.03  35.22   -83.36   -78.54
46   42.47  45.95  -104.06   -96.43
47   34.98  36.68   -90.32   -81.64
48   25.83  36.51  -106.65   -93.50
49   36.99  42.01  -114.06  -109.04
50   42.72  45.02   -73.44   -71.46
51   36.54  39.47   -83.68   -75.24
53   45.54  49.01  -124.77  -116.91
54   37.20  40.64   -82.65   -77.71
55   42.49  47.09   -92.89   -86.80
56   40.99  45.01  -111.06  -104.05
60  -14.55 -11.04  -171.09  -168.14
66   13.23  13.66   144.61   144.96
69   14.11  20.56   144.88   146.07
72   17.88  18.52   -67.95   -65.22
78   17.67  18.42   -65.09   -64.56
""")
