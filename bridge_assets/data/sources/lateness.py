"""Which survey year should be there by now.

FHWA publishes a survey year's files by the middle of June of the next year [1]_. Two weeks of grace, and a year that is
not there is late.

References
----------
.. [1] FHWA, Download NBI ASCII files, https://www.fhwa.dot.gov/bridge/nbi/ascii.cfm; the states send theirs by 15 March
   (23 CFR 650.315).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

#: Month and day by which FHWA has published the survey year before.
PUBLICATION_DEADLINE = (6, 15)
GRACE_PERIOD = datetime.timedelta(days=16)

#: The first of July, when a year that is not there is late.
LATE_AFTER = (7, 1)


def due_survey_year(today: datetime.date) -> int:
    """The latest survey year that should be there on a day: the year before from the first of July on."""
    return today.year - 1 if (today.month, today.day) >= LATE_AFTER else today.year - 2


def late_survey_year_message(survey_years: Iterable[int], today: datetime.date) -> str | None:
    """What is late, in a sentence; None where the year that is due is there.

    Parameters
    ----------
    survey_years : iterable of int
        Those that there are.
    today : date
    """
    latest, due = max(survey_years, default=None), due_survey_year(today)
    if latest is not None and latest >= due:
        return None
    published = datetime.date(due + 1, *PUBLICATION_DEADLINE)
    available = f"the latest one here is {latest}" if latest is not None else "none is here"
    return (
        f"survey year {due} is late: FHWA publishes it by {published:%d %B %Y}, and {available}. What to do: look at "
        "https://www.fhwa.dot.gov/bridge/nbi/ascii.cfm, put the file into the source"
    )
