"""Every check reports numbers, which the UI plots over the runs."""

from __future__ import annotations

import dagster as dg
import pytest

from bridge_assets.definitions import defs

REMOTE = ("sagemaker_endpoint", "azureml_endpoint", "vertexai_endpoint", "kubernetes_endpoint")

#: Numbers that a reader wants to see as a curve.
EXPECTED_NUMBERS = {
    "rejected_records:low_rejection_rate": {"rejected", "rejection_rate"},
    "raw_bridges:rows_reconcile": {"rows", "loaded", "rejected"},
    "raw_bridges:condition_class_matches_fhwa": {"compared", "share_differing"},
    "training_set:enough_training_data": {"train_inspections", "train_falls", "holdout_inspections", "holdout_falls"},
    "bridge_model:beats_baselines": {"auc", "auc_of_rating_table", "brier", "calibration_error"},
    "bridge_model:is_calibrated": {"error", "excess"},
    "quantized_model:quantization_parity": {"largest_difference", "auc_lost"},
    "onnx_model:onnx_parity": {"largest_difference"},
    "onnx_model:not_worse_than_champion": {"inspections"},
    "deterioration_model:calibrated_and_beats_kaplan_meier": {"concordance", "brier_2_years"},
    "bridge_predictions:scores_complete": {"rows", "problems"},
    "drift_report:features_within_limits": {"drifted", "drifted_in_states", "largest_distance"},
    "drift_report:predictions_within_limits": {"prediction_distance", "prediction_mean", "beyond_error_limit"},
    "drift_report:codes_as_before": {"states_that_recoded", "items_recoded"},
    "drift_report:schema_as_before": {"schema_changes"},
    "data_quality:quality_is_stable": {"jumps", "largest_jump"},
    "local_endpoint:canary_passes": {"rows", "largest_difference"},
}


def numbers_of_checks(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    """`asset:check` -> names of the numbers in its latest evaluation."""
    found = {}
    keys = [key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key.to_user_string() not in REMOTE]
    for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(keys).items():
        event = record.event and record.event.dagster_event
        assert event is not None
        values = event.asset_check_evaluation_data.metadata
        found[f"{key.asset_key.to_user_string()}:{key.name}"] = {
            name
            for name, value in values.items()
            if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and value.value is not None
        }
    return found


@pytest.mark.slow
def test_every_check_of_a_run_reports_numbers(platform) -> None:
    with dg.DagsterInstance.get() as instance:
        numbers = numbers_of_checks(instance)
    assert len(numbers) > 50
    assert [check for check, names in numbers.items() if not names] == []
    missing = {check: names - numbers[check] for check, names in EXPECTED_NUMBERS.items() if names - numbers[check]}
    assert missing == {}
