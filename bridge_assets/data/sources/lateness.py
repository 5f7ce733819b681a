"""Which survey year should be available by now.

FHWA publishes the files of a survey year by the middle of June of the next year [1]_. A year that is still missing two
weeks later is late.

References
----------
.. [1] FHWA, Download NBI ASCII files, https://www.fhwa.dot.gov/bridge/nbi/ascii.cfm; the states submit their data by
   15 March (23 CFR 650.315).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

FHWA_PAGE = "https://www.fhwa.dot.gov/bridge/nbi/ascii.cfm"

#: Month and day by which FHWA publishes the previous survey year.
PUBLICATION_DEADLINE = (6, 15)
GRACE_PERIOD = datetime.timedelta(days=16)

#: The first of July: month and day from which a missing year is late.
LATE_AFTER = (7, 1)


def due_survey_year(today: datetime.date) -> int:
    """The latest survey year that should be available on a day: the previous year from the first of July on."""
    return today.year - 1 if (today.month, today.day) >= LATE_AFTER else today.year - 2


def late_survey_year_message(survey_years: Iterable[int], today: datetime.date) -> str | None:
    """A sentence about the survey year that is late; None if the due year is available.

    Parameters
    ----------
    survey_years : iterable of int
        The available survey years.
    today : date
    """
    latest, due = max(survey_years, default=None), due_survey_year(today)
    if latest is not None and latest >= due:
        return None
    published = datetime.date(due + 1, *PUBLICATION_DEADLINE)
    available = f"the latest available year is {latest}" if latest is not None else "no year is available"
    return (
        f"survey year {due} is late: FHWA publishes it by {published:%d %B %Y}, but {available}. What to do: check "
        f"{FHWA_PAGE} and put the file into the source"
    )
