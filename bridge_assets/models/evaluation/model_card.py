"""The model card of a version: its data, its evaluation, its intended use and its limitations.

It is saved with the version as Markdown for people and as JSON for programs, with the same content. It follows Mitchell
et al., "Model cards for model reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.markdown import Markup, table
from bridge_assets.models.evaluation.evaluate import evaluation_markdown, intervals_markdown, oracle_gap_text
from bridge_assets.models.evaluation.importance import importance_markdown
from bridge_assets.models.evaluation.record import Evaluation
from bridge_assets.models.evaluation.rolling_origin import rolling_markdown
from bridge_assets.models.metrics.groups import groups_markdown
from bridge_assets.models.metrics.parts import by_rating_markdown, parts_markdown
from bridge_assets.models.tasks.tasks import TASKS, task_from_provenance
from bridge_assets.storage import write_json, write_text

if TYPE_CHECKING:
    from bridge_assets.models.training.training_set import TrainingSet

CARD_JSON, CARD_MARKDOWN = "model_card.json", "model_card.md"

SPLITS = ("train", "holdout", "unused")

INTENDED_USE = (
    "Ranking the bridges of a state by how soon an engineer should look at them before their next inspection.",
)

OUT_OF_SCOPE = (
    "Lengthening the interval between inspections, closing or posting a bridge, or any decision about one bridge "
    "without an engineer.",
    "Comparing states: agencies rate differently, and the model learns those differences too.",
)

LIMITATIONS = (
    "Ratings are judgements: two inspectors often differ by a point, so some recorded falls, and some falls that were "
    "not recorded, are noise. No model can predict those.",
    "Inspections without a next inspection within the horizon are not used in training or evaluation. They may include "
    "structures that were demolished, replaced or renumbered, which differ from the rest.",
    "An unrecorded repair looks like a bridge that does not deteriorate.",
    "The model only knows the survey years it was trained on. drift_report shows how much a scored year differs from "
    "them.",
)

SAMPLE_LIMITATION = (
    "Trained on the sample inventory, whose effects are stronger than in reality: the metrics show that the platform "
    "works, not how well it predicts real bridges."
)


def model_card(
    name: str,
    version: str,
    recipe: Mapping[str, Any],
    training_set: TrainingSet,
    evaluation: Evaluation,
    *,
    source: str,
    model_digest: str,
    is_sample: bool,
) -> dict[str, Any]:
    """Build the card as JSON values.

    Parameters
    ----------
    name, version : str
        Of the model.
    recipe : mapping
        `train.training_recipe`: settings and libraries.
    training_set : TrainingSet
    evaluation : Evaluation
    source : str
        Description of where the survey files came from, without any path of a machine.
    model_digest : str
        SHA-256 of the model's file.
    is_sample : bool
    """
    made_from = training_set.made_from
    target, component = made_from.get("target", "fall"), made_from.get("component", "condition")
    task = task_from_provenance(made_from)
    return {
        "model": {
            "name": name,
            "version": version,
            "kind": f"random forest (scikit-learn's {type(task.make_forest()).__name__})",
            "forest": dict(recipe["forest"]),
            "libraries": dict(recipe["libraries"]),
        },
        "predicts": {
            "target": target,
            "component": component,
            **task.provenance,
            "in_words": task.describe_target(target, component),
            "horizon_months": made_from["horizon_months"],
        },
        "data": {
            "source": source,
            "survey_years": list(made_from["survey_years"]),
            "training_years": list(made_from["training_years"]),
            "held_out_years": [evaluation.first_year, evaluation.last_year],
            "inspections": {split: _split_counts(training_set, split) for split in SPLITS},
        },
        "provenance": {
            "training_set": training_set.digest,
            "raw_bridges": dict(made_from["raw_bridges"]),
            "feature_definitions": made_from["features_digest"],
            "model": model_digest,
        },
        "evaluation": evaluation.to_dict(),
        "intended_use": [*INTENDED_USE, task.intended_use],
        "out_of_scope": [task.out_of_scope_use, *OUT_OF_SCOPE],
        "limits": [
            *([SAMPLE_LIMITATION] if is_sample else []),
            *LIMITATIONS,
            *task.limitations,
            *_group_limitations(evaluation),
        ],
        "features": _feature_rows(training_set.features),
    }


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown, from the result of `model_card` or its JSON."""
    evaluation = Evaluation.from_dict(card["evaluation"])
    model, predicts, data = card["model"], card["predicts"], card["data"]
    forest = ", ".join(f"{key} {value}" for key, value in sorted(model["forest"].items()))
    years = data["survey_years"]
    lines = [
        f"# Model card: {model['name']} {model['version']}",
        "",
        f"Predicts {predicts['in_words']}, within {predicts['horizon_months']} months. A {model['kind']}: {forest}.",
        "",
        "## Intended use",
        *(f"- {each}" for each in card["intended_use"]),
        "",
        "Not intended:",
        *(f"- {each}" for each in card["out_of_scope"]),
        "",
        "## Data",
        f"Source: {data['source']}. Survey years {min(years)} to {max(years)} ({len(years)} files); trained on "
        f"inspections of {data['training_years'][0]} to {data['training_years'][1]}, evaluated on held-out inspections "
        f"of {data['held_out_years'][0]} to {data['held_out_years'][1]}. Held-out structures are never trained on.",
        "",
        _split_table(data["inspections"]),
        "",
        "## Evaluation",
        evaluation_markdown(evaluation),
        "",
        "95 % intervals by resampling whole structures:",
        "",
        intervals_markdown(evaluation),
        "",
        *([oracle_gap_text(evaluation), ""] if oracle_gap_text(evaluation) else []),
        "## Calibration",
        (evaluation.calibration.summary + ".") if evaluation.calibration else "No held-out inspections to measure it.",
        "",
        *_calibration_table(evaluation),
        *(["By rating:", "", by_rating_markdown(evaluation.by_rating), ""] if evaluation.by_rating else []),
        *(["## What people act on", parts_markdown(evaluation.parts), ""] if evaluation.parts else []),
        "## Earlier cut years",
        rolling_markdown(evaluation.rolling),
        "",
        "## By group",
        groups_markdown(evaluation.groups) if evaluation.groups else "Not computed.",
        "",
        "## Feature importance",
        importance_markdown(evaluation.importance),
        "",
        "## Limitations",
        *(f"- {each}" for each in card["limits"]),
        "",
        "## Features",
        _feature_table(card["features"]),
        "",
        "## Provenance (SHA-256)",
        *(f"- {name}: `{value}`" for name, value in sorted(card["provenance"].items()) if isinstance(value, str)),
        *(f"- raw_bridges {year}: `{value}`" for year, value in sorted(card["provenance"]["raw_bridges"].items())),
        f"- made with {', '.join(f'{name} {value}' for name, value in sorted(model['libraries'].items()))}",
    ]
    return "\n".join(lines) + "\n"


def save_card(card: Mapping[str, Any], folder: Path) -> str:
    """Write the Markdown and the JSON into a version's folder, the same bytes each time; returns the Markdown."""
    text = card_markdown(card)
    write_json(dict(card), folder / CARD_JSON)
    write_text(text, folder / CARD_MARKDOWN)
    return text


def _split_table(counts: Mapping[str, Mapping[str, int]]) -> str:
    fields = ("inspections", "structures", "falls")
    rows = [(split, *(f"{counts[split][each]:,}" for each in fields)) for split in SPLITS]
    return table(("split", *fields), rows, "lrrr")


def _feature_table(features: Sequence[Mapping[str, str]]) -> str:
    # Reasons are written as Markdown, in this package.
    rows = [(each["name"], each["unit"], each["source"], Markup(each["reason"])) for each in features]
    return table(("feature", "unit", "NBI items", "why"), rows)


def _split_counts(training_set: TrainingSet, split: str) -> dict[str, int]:
    import polars as pl

    part = training_set.table.filter(pl.col("split") == split)
    return {
        "inspections": part.height,
        "structures": part["structure_key"].n_unique(),
        "falls": int(part["fall"].sum()),
    }


def _group_limitations(evaluation: Evaluation) -> list[str]:
    off = [f"{group.grouping} {group.meaning}" for group in evaluation.groups if group.is_miscalibrated]
    small = [f"{group.grouping} {group.meaning}" for group in evaluation.groups if group.skipped_reason]
    found = []
    if off:
        found.append(
            f"Of {len(evaluation.groups)} groups, {len(off)} {TASKS[evaluation.task].miscalibrated_text} than the "
            f"model predicts, outside the 95 % interval (one in twenty is by chance): {', '.join(off)}."
        )
    if small:
        found.append(f"Too few held-out inspections or falls to measure the ranking: {', '.join(small)}.")
    return found


def _calibration_table(evaluation: Evaluation) -> list[str]:
    if evaluation.calibration is None:
        return []
    task = TASKS[evaluation.task]
    expected, observed, form = (*task.group_metrics_type.COLUMN_HEADINGS[:2], task.format_spec)
    rows = [
        (
            f"{each.inspections:,}",
            f"{each.falls:,}",
            f"{each.expected:{form}}",
            f"{each.observed:{form}} ({each.observed_low:{form}} to {each.observed_high:{form}})",
            f"{each.expected / each.observed:.2f}" if each.observed else "-",
        )
        for each in evaluation.calibration.bins
    ]
    return [table(("inspections", "fell", expected, observed, "expected / observed"), rows, "rrrrr"), ""]


def _feature_rows(names: Sequence[str]) -> list[dict[str, str]]:
    from bridge_assets.data.features.definitions import FEATURES

    known = {feature.name: feature for feature in FEATURES}
    fields = ("unit", "source", "reason")
    return [{"name": name, **{each: str(getattr(known.get(name), each, "")) for each in fields}} for name in names]
