"""The features in idiomatic pandas: the baseline of `benchmarks.features`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bridge_assets.data.features.climate import state_climate
from bridge_assets.data.features.coast import coast_distance_km
from bridge_assets.data.features.peers import DURATION_CLASS_STARTS, PRIOR_FALLS


def in_pandas(folder: Path) -> None:
    table = pd.read_parquet(folder / "records.parquet", columns=_COLUMNS)
    transitions = pd.read_parquet(folder / "transitions.parquet")
    year = table["survey_year"].iloc[0]
    transitions = transitions[transitions["survey_year"] <= year].sort_values(["structure_key", "survey_year"])
    history = transitions.drop_duplicates("structure_key", keep="last")[["structure_key", *_HISTORY]]
    table = table[table["on_structure"]]
    order = table.assign(line=-table["line_number"].astype("int64"), date=pd.to_datetime(table["inspection_date"]))
    order = order.sort_values(["survey_year", "structure_key", "date", "line"], na_position="first")
    table = table.loc[order.drop_duplicates(["survey_year", "structure_key"], keep="last").index]
    table = table[table["condition"].notna()].merge(history, on="structure_key", how="left")
    dates = ("inspection_date", "entered_at", "previous_inspection_date", "spell_since")
    table = table.assign(**{name: pd.to_datetime(table[name]) for name in dates})
    table["inspection_date"] = table["inspection_date"].where(~table["inspected_in_future"])
    result = table[["structure_key", "survey_year", "inspection_date", "STATE_CODE_001"]].assign(**_features(table))
    result["peers_fall_rate"] = _peers(table, transitions, year)
    numbers = result.columns[4:]
    result[numbers] = result[numbers].astype("float32").replace([np.inf, -np.inf], np.nan)
    result["inspection_date"] = result["inspection_date"].dt.date
    result.sort_values("structure_key").reset_index(drop=True).to_parquet(
        folder / "in pandas.parquet", compression="zstd"
    )


def _peers(table: pd.DataFrame, transitions: pd.DataFrame, year: int) -> pd.Series:
    past = transitions[transitions["next_survey_year"] <= year]
    fell = past["next_condition"] < past["condition"]
    groups = _groups(past.assign(state=past["structure_key"].str[:2], material=past["material_043a"]))
    ours = _groups(table.assign(state=table["STATE_CODE_001"], material=table["STRUCTURE_KIND_043A"]))
    expected = pd.Series(fell.mean(), index=past.index)
    rate = pd.Series(fell.mean(), index=table.index)
    for factor in (["condition"], ["material", "is_culvert"], ["state"], ["years"]):
        sums = groups.assign(falls=fell, expected=expected).groupby(factor, dropna=False)[["falls", "expected"]].sum()
        ratio = ((sums["falls"] + PRIOR_FALLS) / (sums["expected"] + PRIOR_FALLS)).rename("ratio").reset_index()
        expected = expected * groups.merge(ratio, on=factor, how="left")["ratio"].to_numpy()
        rate = rate * ours.merge(ratio, on=factor, how="left")["ratio"].fillna(1).to_numpy()
    return rate.clip(0, 1)


def _groups(table: pd.DataFrame) -> pd.DataFrame:
    since = pd.to_datetime(table["inspection_date"]) - pd.to_datetime(table["entered_at"])
    years = (since.dt.days.to_numpy()[:, None] / 365.25 >= np.array(DURATION_CLASS_STARTS)).sum(axis=1)
    simple = table["material"].str.lstrip("0").replace({"2": "1", "4": "3", "6": "5"})
    seen = table["entry_seen"].fillna(value=False).astype(bool)
    return table[["condition", "is_culvert", "state"]].assign(material=simple, years=np.where(seen, years, -1 - years))


def _features(table: pd.DataFrame) -> dict[str, pd.Series]:
    def log10(item: str) -> pd.Series:
        return np.log10(table[item].where(table[item] >= 0) + 1)

    def one_of(item: str, *codes: str) -> pd.Series:
        stripped = table[item].str.lstrip("0")
        return stripped.isin(codes).astype("float32").where(table[item].notna())

    def rating(item: str) -> pd.Series:
        number = pd.to_numeric(table[item], errors="coerce")
        return number.where(number.between(0, 9))

    def years_since(year: pd.Series) -> pd.Series:
        age = table["survey_year"] - year
        return age.where((year > 1600) & (age >= 0))

    adt, future = table["ADT_029"], table["YEAR_RECONSTRUCTED_106"]
    lanes = table["TRAFFIC_LANES_ON_028A"].where(table["TRAFFIC_LANES_ON_028A"] > 0)
    reconstructed = future.where(future > 0)
    items = ("DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060", "CULVERT_COND_062")
    ratings = [rating(item) for item in items]
    days, since_previous, in_spell = (
        (table["inspection_date"] - table[name]).dt.days
        for name in ("entered_at", "previous_inspection_date", "spell_since")
    )
    detour, spells = table["DETOUR_KILOS_019"], table["deterioration_spell"]
    weather = {name: table["STATE_CODE_001"].map(by_state) for name, by_state in state_climate().items()}
    coast = coast_distance_km(table["latitude"].to_numpy(float), table["longitude"].to_numpy(float))
    skew, capacity = table["DEGREES_SKEW_034"], table["INVENTORY_RATING_066"]
    kind, design = "STRUCTURE_KIND_043A", "STRUCTURE_TYPE_043B"
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "log_adt": log10("ADT_029"),
            "log_trucks": np.log10(adt * table["PERCENT_ADT_TRUCK_109"] / 100 + 1),
            "log_adt_per_lane": np.log10(adt / lanes + 1),
            "traffic_growth": log10("FUTURE_ADT_114") - log10("ADT_029"),
            "log_detour": log10("DETOUR_KILOS_019"),
            "log_detour_traffic": np.log10(adt.where(adt >= 0).astype(float) * detour.where(detour >= 0) + 1),
            "on_nhs": one_of("HIGHWAY_SYSTEM_104", "1"),
            "latitude": table["latitude"],
            "longitude": table["longitude"],
            "over_water": one_of("SERVICE_UND_042B", "5", "6", "7", "8", "9"),
            "scour": rating("SCOUR_CRITICAL_113"),
            "channel": rating("CHANNEL_COND_061"),
            "waterway": rating("WATERWAY_EVAL_071"),
            **weather,
            "salt_exposure": np.log10(weather["snowfall"] * adt.where(adt >= 0) + 1),
            "log_coast_distance": pd.Series(np.log10(coast + 1), table.index),
            "age": years_since(table["YEAR_BUILT_027"]),
            "age_since_work": years_since(pd.concat([table["YEAR_BUILT_027"], reconstructed], axis=1).max(axis=1)),
            "reconstructed": reconstructed.notna(),
            "concrete": one_of(kind, "1", "2"),
            "steel": one_of(kind, "3", "4"),
            "prestressed": one_of(kind, "5", "6"),
            "timber": one_of(kind, "7"),
            "continuous": one_of(kind, "2", "4", "6"),
            "culvert": table["is_culvert"],
            "slab": one_of(design, "1"),
            "stringer": one_of(design, "2"),
            "truss": one_of(design, "9", "10"),
            "log_length": log10("STRUCTURE_LEN_MT_049"),
            "log_max_span": log10("MAX_SPAN_LEN_MT_048"),
            "log_spans": np.log10(table["MAIN_UNIT_SPANS_045"] + table["APPR_SPANS_046"].fillna(0) + 1),
            "skew": skew.where(skew <= 90),
            "deck_protected": one_of("DECK_PROTECTION_108C", *"12345678"),
            "membrane": one_of("MEMBRANE_TYPE_108B", *"1238"),
            "bituminous_surface": one_of("SURFACE_TYPE_108A", "6"),
            "inventory_rating": capacity.where(capacity < 99),
            "state_owned": one_of("OWNER_022", "1"),
            "condition": table["condition"],
            **dict(zip(("deck", "superstructure", "substructure", "culvert_rating"), ratings, strict=True)),
            "components_at_lowest": pd.concat([each == table["condition"] for each in ratings], axis=1).sum(axis=1),
            "years_in_condition": days / 365.25,
            "months_since_previous": since_previous * 12 / 365.25,
            "inspection_frequency": table["INSPECT_FREQ_MONTHS_091"],
            "falls_so_far": table["falls_so_far"],
            "rises_so_far": table["rises_so_far"],
            "condition_change_seen": table["entry_seen"].astype("float32"),
            "repairs_so_far": spells - 1,
            "years_since_repair": (in_spell / 365.25).where(spells > 1),
            "falls_per_year": (table["falls_in_spell"] / (in_spell / 365.25)).where(in_spell / 365.25 >= 1),
        }  # fmt: skip


_HISTORY = [
    "previous_inspection_date", "falls_so_far", "rises_so_far", "entered_at", "entry_seen", "deterioration_spell",
    "spell_since", "falls_in_spell",
]  # fmt: skip

_COLUMNS = [
    "structure_key", "survey_year", "on_structure", "inspection_date", "inspected_in_future", "line_number",
    "STATE_CODE_001", "ADT_029", "PERCENT_ADT_TRUCK_109", "TRAFFIC_LANES_ON_028A", "FUTURE_ADT_114", "DETOUR_KILOS_019",
    "HIGHWAY_SYSTEM_104", "latitude", "longitude", "SERVICE_UND_042B", "SCOUR_CRITICAL_113", "CHANNEL_COND_061",
    "WATERWAY_EVAL_071", "YEAR_BUILT_027", "YEAR_RECONSTRUCTED_106", "STRUCTURE_KIND_043A", "is_culvert",
    "STRUCTURE_TYPE_043B", "STRUCTURE_LEN_MT_049", "MAX_SPAN_LEN_MT_048", "MAIN_UNIT_SPANS_045", "APPR_SPANS_046",
    "DEGREES_SKEW_034", "DECK_PROTECTION_108C", "MEMBRANE_TYPE_108B", "SURFACE_TYPE_108A", "INVENTORY_RATING_066",
    "OWNER_022", "condition", "DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060", "CULVERT_COND_062",
    "INSPECT_FREQ_MONTHS_091",
]  # fmt: skip

if __name__ == "__main__":
    in_pandas(Path(sys.argv[1]))
