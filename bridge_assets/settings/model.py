"""`model_config.yaml`: the target, the forest, the split, the evaluation, and the limits of the gate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from bridge_assets.settings.base import StrictModel, YamlSettings
from bridge_assets.settings.drift import DriftSettings
from bridge_assets.settings.retraining import RetrainingSettings


class ForestSettings(StrictModel):
    """The random forest (scikit-learn's `RandomForestClassifier`)."""

    trees: int = Field(default=200, ge=1)
    depth: int = Field(default=12, ge=1)
    leaf: int = Field(default=40, ge=1, description="Minimum number of inspections in a leaf.")
    features: Literal["sqrt", "log2"] | float = Field(default=0.3, description="Features considered at a split.")
    seed: int = Field(default=0, ge=0)


class SplitSettings(StrictModel):
    """The hold-out: other structures, in later survey years than the training data."""

    holdout_structures: float = Field(default=0.3, gt=0, lt=1, description="Share of structures held out.")
    holdout_years: int = Field(default=4, ge=1, description="Last survey years with a known outcome, held out.")
    rolling_cuts: int = Field(default=3, ge=0, description="Earlier cut years to evaluate as well; 0 = none.")
    rolling_years: int = Field(default=2, ge=1, description="Survey years after each cut to test on.")
    rolling_trees: int = Field(default=60, ge=1, description="Maximum trees of the forest trained for a cut.")


class EvaluationSettings(StrictModel):
    """Uncertainty of the figures, and the minimum size of reported groups."""

    resamples: int = Field(default=300, ge=0, description="Bootstrap resamples of whole structures; 0 = no intervals.")
    seed: int = Field(default=0, ge=0)
    least_inspections: int = Field(default=100, ge=1, description="Smaller groups get counts but no figures.")
    least_falls: int = Field(default=10, ge=1, description="Groups with fewer falls get no AUC.")
    importance_repeats: int = Field(default=5, ge=0, description="Permutations of each feature; 0 = no importance.")
    importance_inspections: int = Field(default=20_000, ge=1, description="A larger hold-out is sampled down to this.")


class LookFirstSettings(StrictModel):
    """Weight of a fall in the `look_first` order, by the current condition, and which bridges get reasons."""

    stays_good: float = Field(default=0.25, ge=0, description="Condition 8 or 9: still Good after the fall.")
    good: float = Field(default=1.0, ge=0, description="Condition 7: Fair after it.")
    fair: float = Field(default=2.0, ge=0, description="Condition 6: still Fair after it.")
    to_poor: float = Field(default=4.0, ge=0, description="Condition 5 or less: Poor after it.")
    explained_per_list: int = Field(
        default=25, ge=0, description="Bridges at the top of each list of a state that get reasons; 0 = none."
    )
    explained_years: int = Field(default=1, ge=1, description="Last survey years whose lists get reasons.")


class SurvivalSettings(StrictModel):
    """Years until Poor: the horizon, the fit, and the limits of its checks, which only warn."""

    horizon_years: int = Field(default=60, ge=8, le=200, description="Longer times are reported as longer than this.")
    interval: float = Field(default=0.8, gt=0, lt=1, description="Probability of the reported interval.")
    holdout_years: int = Field(default=10, ge=1, description="Last survey years held out; at most half of all.")
    penalty: float = Field(default=10.0, gt=0, description="How strongly coefficients are shrunk towards 0.")
    intervals: int = Field(default=300_000, ge=1000, description="A larger training set is sampled down to this.")
    least_poor: int = Field(default=30, ge=1, description="Minimum number of held-out structures that became Poor.")
    calibration_ratio: float = Field(default=1.33, ge=1, description="Largest ratio of expected to observed Poor.")
    concordance_gain: float = Field(default=0.0, description="Minimum gain in concordance over the table.")
    brier_gain: float = Field(default=0.0, description="Minimum gain in Brier score over the table, at each horizon.")


class GateSettings(StrictModel):
    """Limits that a model version must meet. The message of each check names its limit."""

    holdout_inspections: int = Field(default=500, ge=1, description="Minimum number of held-out inspections.")
    holdout_falls: int = Field(default=50, ge=1, description="Minimum number of held-out falls.")
    auc_gain: float = Field(default=0.0, description="Minimum gain in AUC over the rating table.")
    brier_gain: float = Field(default=0.0, description="Minimum gain in Brier score over the base rate.")
    rmse_gain: float = Field(default=0.0, description="Regression: minimum gain in RMSE, in points, over no change.")
    spearman_gain: float = Field(
        default=0.0, description="Regression: minimum gain in rank correlation over the table."
    )
    calibration_error: float = Field(
        default=0.02,
        ge=0,
        description="Maximum excess of the calibration error over that of a perfect model: a probability, or points.",
    )
    calibration_ratio: float = Field(
        default=1.15,
        ge=1,
        description="Maximum of expected over observed falls, or the inverse, beyond chance.",
    )
    calibration_falls: int = Field(
        default=100, ge=1, description="Maximum of falls, exclusive, with which a rating is not judged by it."
    )
    part_falls: int = Field(
        default=50,
        ge=1,
        description="Maximum of falls, exclusive, with which ratings of 7 and less, and becoming Poor, are not judged.",
    )
    part_auc_gain: float = Field(
        default=0.0, description="Minimum gain in AUC over the rating table, for ratings of 7 and less, beyond chance."
    )
    part_capture_gain: float = Field(
        default=0.0, description="Minimum gain in the share of their falls that is found in the worst 10 %."
    )
    quantization_auc_loss: float = Field(default=0.0005, ge=0, description="Maximum loss of AUC in float16.")
    quantization_difference: float = Field(
        default=0.001, ge=0, description="Maximum change of a prediction in float16."
    )
    onnx_difference: float = Field(default=1e-5, ge=0, description="Maximum difference of an ONNX prediction.")
    champion_auc_loss: float = Field(
        default=0.005, ge=0, description="Maximum loss of AUC compared with the champion on the same hold-out."
    )
    champion_brier_loss: float = Field(
        default=0.001, ge=0, description="Maximum excess of the Brier score over the champion on the same hold-out."
    )
    champion_rmse_loss: float = Field(
        default=0.005, ge=0, description="Regression: maximum excess of the RMSE over the champion, in points."
    )
    champion_spearman_loss: float = Field(
        default=0.01, ge=0, description="Regression: maximum loss of rank correlation compared with the champion."
    )
    champion_not_comparable: Literal["recorded", "accept", "refuse"] = Field(
        default="recorded",
        description="A champion with other feature definitions or another target: compare the gains over baselines "
        "that both recorded in training (recorded), or always accept or refuse.",
    )


class RealisedQualitySettings(StrictModel):
    """When published scores count as worse than expected; see `drift.realised_quality`."""

    auc_loss: float = Field(default=0.03, ge=0, description="Loss of AUC, beyond chance, that is reported.")
    much_auc_loss: float = Field(default=0.08, ge=0, description="Loss of AUC, beyond chance, that closes the gate.")
    falls_ratio: float = Field(
        default=1.33, ge=1, description="Ratio of found to expected falls, or the inverse, that is reported."
    )
    much_falls_ratio: float = Field(default=2.0, ge=1, description="The same, that closes the gate.")
    least_falls: int = Field(default=50, ge=1, description="A survey year with fewer falls is not judged.")
    least_share: float = Field(
        default=0.5, ge=0, le=1, description="Nor is one of which fewer bridges have been inspected again."
    )


class ModelSettings(YamlSettings):
    """`model_config.yaml`: the target, the model, its evaluation and the gate."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_MODEL__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "model_config.yaml"

    name: str = Field(default="bridge_fall", pattern=r"^[a-z][a-z0-9_]*$", description="Name in the registry.")
    registry: Literal["mlflow", "dvc"] = Field(
        default="mlflow", description="Where versions are registered; see mlflow_config.yaml or dvc_config.yaml."
    )
    target: Literal["fall", "poor"] = Field(
        default="fall", description="fall: at least one point lower at the next inspection; poor: 4 or less there."
    )
    component: Literal["condition", "deck", "superstructure", "substructure", "culvert"] = Field(
        default="condition", description="The rating: the lowest one (condition), or that of one component."
    )
    task: Literal["classification", "regression"] = Field(
        default="classification",
        description="A probability (classification), or the expected change of the rating in points (regression).",
    )
    horizon_months: int = Field(
        default=48, ge=12, description="Longest time to the next inspection that counts as an outcome."
    )
    forest: ForestSettings = ForestSettings()
    split: SplitSettings = SplitSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    look_first: LookFirstSettings = LookFirstSettings()
    survival: SurvivalSettings = SurvivalSettings()
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()
    realised_quality: RealisedQualitySettings = RealisedQualitySettings()
    retraining: RetrainingSettings = RetrainingSettings()

    @field_validator("task")
    @classmethod
    def _fits_the_target(cls, task: str, info: ValidationInfo) -> str:
        if task == "regression" and info.data.get("target") == "poor":
            raise ValueError(
                "a regression predicts the change of the rating in points, but Poor is not a number of points. What to "
                "do: set target: fall, or task: classification for the probability of Poor"
            )
        return task
