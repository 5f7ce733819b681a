"""The 44 features in pandas, as one would write them there: the baseline of `benchmarks.features`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def in_pandas(folder: Path) -> None:
    table = pd.read_parquet(folder / "records.parquet", columns=_COLUMNS)
    history = pd.read_parquet(folder / "inspections.parquet").drop(columns="survey_year")
    table = table[table["on_structure"]]
    order = table.assign(line=-table["line_number"].astype("int64"), date=pd.to_datetime(table["inspection_date"]))
    order = order.sort_values(["survey_year", "structure_key", "date", "line"], na_position="first")
    table = table.loc[order.drop_duplicates(["survey_year", "structure_key"], keep="last").index]
    table = table[table["condition"].notna()].merge(history, on="structure_key", how="left")
    dates = ("inspection_date", "condition_since", "previous_inspection_date")
    table = table.assign(**{name: pd.to_datetime(table[name]) for name in dates})
    table["inspection_date"] = table["inspection_date"].where(~table["inspected_in_future"])
    made = table[["structure_key", "survey_year", "inspection_date", "STATE_CODE_001"]].assign(**_features(table))
    numbers = made.columns[4:]
    made[numbers] = made[numbers].astype("float32").replace([np.inf, -np.inf], np.nan)
    made["inspection_date"] = made["inspection_date"].dt.date
    made.sort_values("structure_key").reset_index(drop=True).to_parquet(
        folder / "in pandas.parquet", compression="zstd"
    )


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
    days = (table["inspection_date"] - table["condition_since"]).dt.days
    since_previous = (table["inspection_date"] - table["previous_inspection_date"]).dt.days
    skew, capacity = table["DEGREES_SKEW_034"], table["INVENTORY_RATING_066"]
    kind, design = "STRUCTURE_KIND_043A", "STRUCTURE_TYPE_043B"
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "log_adt": log10("ADT_029"),
            "log_trucks": np.log10(adt * table["PERCENT_ADT_TRUCK_109"] / 100 + 1),
            "log_adt_per_lane": np.log10(adt / lanes + 1),
            "traffic_growth": log10("FUTURE_ADT_114") - log10("ADT_029"),
            "log_detour": log10("DETOUR_KILOS_019"),
            "on_nhs": one_of("HIGHWAY_SYSTEM_104", "1"),
            "latitude": table["latitude"],
            "longitude": table["longitude"],
            "over_water": one_of("SERVICE_UND_042B", "5", "6", "7", "8", "9"),
            "scour": rating("SCOUR_CRITICAL_113"),
            "channel": rating("CHANNEL_COND_061"),
            "waterway": rating("WATERWAY_EVAL_071"),
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
        }  # fmt: skip


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
