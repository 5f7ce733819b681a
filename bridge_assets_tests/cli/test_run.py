"""The options of `bridge-assets run`. The runs themselves are tested in `orchestration/runs`."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from bridge_assets.cli import main
from bridge_assets.cli.run import JOB_NAMES, _announcement, _selected_years, _with_files
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
        ("2009", "2009 is not a survey year of this source. Available: 2010"),
        ("2010-2015", "2015 is not a survey year of this source. Available: 2010"),
        ("last", "'last' is not a survey year or a range such as 2010-2020"),
        ("2011-2010", "2011-2010: the first year is later than the last. Try 2010-2011"),
    ],
)
def test_a_wrong_year_is_reported(years, message) -> None:
    with pytest.raises(click.BadParameter) as error:
        _selected_years(years, [2010], [2010, 2011])
    assert error.value.message == message


@pytest.mark.parametrize(
    ("year", "message"),
    [
        ("2018", "2018 is not a survey year of this source. Available: 2016 to 2017, 2019"),
        ("2015", "2015 is excluded by survey_years in data_config.yaml. Available: 2016 to 2017, 2019"),
        ("2014", "2014 is not a survey year of this source. Available: 2016 to 2017, 2019. The lake has its records "
         "from an earlier file: `bridge-assets lake drop-year 2014` removes them"),
    ],
)  # fmt: skip
def test_a_year_that_is_refused_is_not_among_the_available_ones(year, message) -> None:
    with pytest.raises(click.BadParameter) as error:
        _selected_years(year, [2015, 2016, 2017, 2019], [2016, 2017, 2019], [2014])
    assert error.value.message == message


def test_years_without_a_file_are_not_announced_as_loaded(capsys: pytest.CaptureFixture) -> None:
    assert _with_files((2016, 2020), [2016, 2017, 2019], []) == (2016, 2019)
    assert capsys.readouterr().out == "The source has no file of survey year 2020\n"
    assert _with_files((2017, 2017), [2016, 2017, 2019], []) == (2017, 2017)
    assert capsys.readouterr().out == ""
    with pytest.raises(click.BadParameter) as error:
        _with_files((2020, 2020), [2016, 2017, 2019], [2020])
    assert error.value.message == (
        "the source has no file of survey year 2020. It has 2016 to 2017, 2019. The lake has its records from an "
        "earlier file: `bridge-assets lake drop-year 2020` removes them"
    )


def test_a_run_says_which_years_it_loads_and_which_its_results_hold() -> None:
    source, partitions, loaded = [2014, 2016, 2018, 2020], [2016, 2018, 2020], [2016, 2018, 2020]
    assert _announcement("inventory", (2020, 2020), source, partitions, loaded, "nbi", True) == [
        "Running inventory over survey year 2020 from nbi ...",
        "Tables over all years, and the reports, also hold what was loaded before: survey years 2016, 2018",
    ]
    assert _announcement("inventory", (2016, 2020), source, partitions, loaded, "nbi", False) == [
        "Skipping what survey_years in data_config.yaml excludes: survey year 2014",
        "Running inventory over survey years 2016, 2018, 2020 from nbi ...",
    ]


def test_an_unknown_job_is_refused_with_the_known_ones() -> None:
    outcome = CliRunner().invoke(main, ["run", "--job", "inventry"])
    assert outcome.exit_code == 2
    assert f"'inventry' is not one of {', '.join(map(repr, JOB_NAMES))}" in outcome.output
    assert set(JOB_NAMES) == {job.name for job in JOBS}
