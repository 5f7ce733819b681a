{{ config(
    severity = 'warn',
    meta = {
        'description': 'Every score of the latest scored year is in the outlook, and was computed from the condition shown there. '
            'If not, the records are newer than the scores: materialise bridge_predictions again.',
        'dagster': {'ref': {'name': 'mart_bridge_outlook'}},
    }
) }}
with scores as (
    select structure_key, condition
    from {{ source('lake', 'bridge_predictions') }}
    where survey_year = (select max(survey_year) from {{ source('lake', 'bridge_predictions') }})
)

select scores.structure_key, scores.condition as condition_scored, outlook.condition as condition_now
from scores
left join {{ ref('mart_bridge_outlook') }} as outlook using (structure_key)
where outlook.condition is distinct from scores.condition
