"""Predicts which bridges of Massachusetts become Poor, on bridges and years that the deterioration model never saw."""

from __future__ import annotations

from pathlib import Path

from benchmarks.massachusetts_survival import compare, read_intervals


def test_the_share_of_each_condition_that_becomes_poor_lies_within_its_interval(real_data: Path) -> None:
    """Rates after a rise are not taken for those after a fall: condition 6 would have 5.2 % for 3.5 %."""
    compared = {(each.years, each.condition): each for each in compare(read_intervals(real_data / "ma_panel"), 2006)}
    assert compared[6, 6].bridges > 900
    for each in compared.values():
        assert each.low <= each.predicted <= each.high, each
    assert compared[6, 6].predicted < 1.4 * compared[6, 6].observed
    assert compared[6, 5].predicted < 1.1 * compared[6, 5].observed
