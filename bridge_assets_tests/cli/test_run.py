"""The options of `bridge-assets run`. The runs themselves are tested in `orchestration/runs`."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from bridge_assets.cli import main
from bridge_assets.cli.run import JOB_NAMES, _selected_years
from bridge_assets.orchestration.jobs.pipelines import JOBS


@pytest.mark.parametrize(
    ("years", "selected"),
    [
        (None, (2010, 2012)),
        ("2011", (2011, 2011)),
        ("2010-2011", (2010, 2011)),
        ("2012-2013", (2012, 2013)),
        ("2010-", (2010, 2010)),
    ],
)
def test_years_are_those_given_or_those_of_the_source(years, selected) -> None:
    # 2009 is outside survey_years; 2013 has a partition, but no file yet.
    assert _selected_years(years, [2009, 2010, 2012], [2010, 2011, 2012, 2013]) == selected


def test_without_a_usable_file_every_partition_is_run() -> None:
    assert _selected_years(None, [2009], [2010, 2011]) == (2010, 2011)


@pytest.mark.parametrize(
    ("years", "message"),
    [
        ("2009", "2009 is not a survey year of this source. Available: 2010 to 2011"),
        ("2010-2015", "2015 is not a survey year of this source. Available: 2010 to 2011"),
        ("last", "'last' is not a survey year or a range such as 2010-2020"),
        ("2011-2010", "2011-2010: the first year is later than the last. Try 2010-2011"),
    ],
)
def test_a_wrong_year_is_reported(years, message) -> None:
    with pytest.raises(click.BadParameter) as error:
        _selected_years(years, [2010], [2010, 2011])
    assert error.value.message == message


def test_an_unknown_job_is_refused_with_the_known_ones() -> None:
    outcome = CliRunner().invoke(main, ["run", "--job", "inventry"])
    assert outcome.exit_code == 2
    assert f"'inventry' is not one of {', '.join(map(repr, JOB_NAMES))}" in outcome.output
    assert set(JOB_NAMES) == {job.name for job in JOBS}
