"""`model_config.yaml`: the target, the forest, the split, and the limits of the gate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from bridge_assets.settings.base import StrictModel, YamlSettings


class ForestSettings(StrictModel):
    """The random forest (scikit-learn's `RandomForestClassifier`)."""

    trees: int = Field(default=200, ge=1)
    depth: int = Field(default=12, ge=1)
    leaf: int = Field(default=40, ge=1, description="Least number of inspections in a leaf.")
    features: Literal["sqrt", "log2"] | float = Field(default=0.3, description="Features tried at a split.")
    seed: int = Field(default=0, ge=0)


class SplitSettings(StrictModel):
    """How inspections are held out: by structure, and later than what is trained on."""

    holdout_structures: float = Field(default=0.3, gt=0, lt=1, description="Share of structures held out.")
    holdout_years: int = Field(default=4, ge=1, description="The last survey years with a known outcome are held out.")
    rolling_cuts: int = Field(default=3, ge=0, description="Earlier cut years that are evaluated too; 0 = none.")
    rolling_years: int = Field(default=2, ge=1, description="Survey years after such a cut that are tested on.")
    rolling_trees: int = Field(default=60, ge=1, description="Most trees of a forest trained for such a cut.")


class EvaluationSettings(StrictModel):
    """How sure the figures are, and which groups are too small to have one."""

    resamples: int = Field(default=300, ge=0, description="Bootstrap resamples of whole structures; 0 = no intervals.")
    seed: int = Field(default=0, ge=0)
    least_inspections: int = Field(default=100, ge=1, description="A smaller group gets counts and no figures.")
    least_falls: int = Field(default=10, ge=1, description="A group with fewer falls gets no AUC.")
    importance_repeats: int = Field(default=5, ge=0, description="Permutations of each feature; 0 = no importance.")
    importance_inspections: int = Field(default=20_000, ge=1, description="Most held-out inspections permuted.")


class LookFirstSettings(StrictModel):
    """What a fall is worth when bridges are put in the order to be looked at, by the condition it begins at."""

    good: float = Field(default=1.0, ge=0, description="Condition 7 or more: one point lower it is Good or Fair.")
    fair: float = Field(default=2.0, ge=0, description="Condition 6: one point lower it is still Fair.")
    to_poor: float = Field(default=4.0, ge=0, description="Condition 5 or less: one point lower it is Poor.")
    explained_per_state: int = Field(
        default=25, ge=0, description="The first so many of each state get reasons; 0 = none."
    )
    explained_years: int = Field(default=1, ge=1, description="The last survey years whose lists get reasons.")


class SurvivalSettings(StrictModel):
    """Years until Poor: how far ahead, how it is fitted, what it must show (a warning, no gate)."""

    horizon_years: int = Field(default=60, ge=8, le=200, description="What lies beyond is said to lie beyond.")
    interval: float = Field(default=0.8, gt=0, lt=1, description="Probability of the interval that is given.")
    holdout_years: int = Field(default=10, ge=1, description="Held out at the end; at most half of the survey years.")
    penalty: float = Field(default=10.0, gt=0, description="How strongly the coefficients of features are drawn to 0.")
    intervals: int = Field(default=300_000, ge=1000, description="Most that are fitted to; of more, some are drawn.")
    least_poor: int = Field(default=30, ge=1, description="Fewer held-out structures that became Poor prove nothing.")
    calibration_ratio: float = Field(default=1.33, ge=1, description="Most that expected and observed Poor may differ.")
    concordance_gain: float = Field(default=0.0, description="Least gain in concordance over the table.")
    brier_gain: float = Field(default=0.0, description="Least gain in Brier score over the table, at each horizon.")


class GateSettings(StrictModel):
    """What a model version must show. Each limit stands in the message of the check that applies it."""

    holdout_inspections: int = Field(default=500, ge=1, description="Fewer held-out inspections prove nothing.")
    holdout_falls: int = Field(default=50, ge=1, description="Fewer held-out falls prove nothing.")
    auc_gain: float = Field(default=0.0, description="Least gain in AUC over the rating table.")
    brier_gain: float = Field(default=0.0, description="Least gain in Brier score over the base rate.")
    rmse_gain: float = Field(default=0.0, description="Regression: least gain in RMSE, in points, over no change.")
    spearman_gain: float = Field(default=0.0, description="Regression: least gain in rank correlation over the table.")
    calibration_error: float = Field(
        default=0.02,
        ge=0,
        description="Most the calibration error may exceed that of perfect answers: a share, or points of the rating.",
    )
    quantization_auc_loss: float = Field(default=0.0005, ge=0, description="Most AUC lost in float16.")
    quantization_difference: float = Field(default=0.001, ge=0, description="Most an answer may move in float16.")
    onnx_difference: float = Field(default=1e-5, ge=0, description="Most an ONNX answer may differ.")
    champion_auc_loss: float = Field(
        default=0.005, ge=0, description="Most AUC that may be lost against the champion on the same hold-out."
    )
    champion_brier_loss: float = Field(
        default=0.001, ge=0, description="Most the Brier score may be above the champion's on the same hold-out."
    )
    champion_rmse_loss: float = Field(
        default=0.005, ge=0, description="Regression: most RMSE, in points, may be above the champion's."
    )
    champion_spearman_loss: float = Field(
        default=0.01, ge=0, description="Regression: most rank correlation that may be lost against the champion."
    )
    champion_not_comparable: Literal["recorded", "accept", "refuse"] = Field(
        default="recorded",
        description="A champion of other feature definitions or another target: what counts is what both gained over "
        "their baselines when they were trained (recorded), or nothing (accept, refuse).",
    )


class DriftSettings(StrictModel):
    """When a survey year counts as drifted away from the training years."""

    margin: float = Field(default=1.5, gt=0, description="Times the largest distance between the training years.")
    least: float = Field(default=0.05, ge=0, le=1, description="A distance below this is never called drift.")


class ModelSettings(YamlSettings):
    """`model_config.yaml`: the target, the model, what it is held against."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_MODEL__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "model_config.yaml"

    name: str = Field(default="bridge_fall", pattern=r"^[a-z][a-z0-9_]*$", description="Name in the registry.")
    registry: Literal["mlflow", "dvc"] = Field(
        default="mlflow", description="Where versions are registered: mlflow_config.yaml or dvc_config.yaml says where."
    )
    target: Literal["fall", "poor"] = Field(
        default="fall", description="fall: at least one point lower at the next inspection; poor: 4 or less there."
    )
    component: Literal["condition", "deck", "superstructure", "substructure", "culvert"] = Field(
        default="condition", description="Whose rating: the lowest one (condition), or that of one component."
    )
    task: Literal["classification", "regression"] = Field(
        default="classification",
        description="A probability (classification), or the expected change of the rating in points (regression).",
    )
    horizon_months: int = Field(default=48, ge=12, description="A next inspection later than this is no evidence.")
    forest: ForestSettings = ForestSettings()
    split: SplitSettings = SplitSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    look_first: LookFirstSettings = LookFirstSettings()
    survival: SurvivalSettings = SurvivalSettings()
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()

    @field_validator("task")
    @classmethod
    def _fits_the_target(cls, task: str, info: ValidationInfo) -> str:
        if task == "regression" and info.data.get("target") == "poor":
            raise ValueError(
                "a regression foresees by how many points the rating changes, and Poor is no number of points. What to "
                "do: set target: fall with it, or task: classification for the probability of Poor"
            )
        return task
