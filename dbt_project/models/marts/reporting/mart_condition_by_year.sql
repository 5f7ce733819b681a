with bridges as (
    select structure_key, survey_year, state_code from {{ ref('stg_bridges') }}
),

predictions as (
    select structure_key, survey_year, fall_probability from {{ source('lake', 'bridge_predictions') }}
),

-- Sums are exact decimals, because sums of floats depend on the order in which threads finish.
scores as (
    select
        survey_year,
        case when grouping(state_code) = 1 then 'all' else state_code end as state_code,
        count(fall_probability) as scored,
        cast(sum(cast(fall_probability as decimal(18, 9))) as double) / nullif(scored, 0) as mean_fall_probability
    from bridges
    inner join predictions using (structure_key, survey_year)
    group by grouping sets ((survey_year, state_code), (survey_year))
),

drift as (
    select
        survey_year,
        count(distinct feature) filter (where drifted and state = 'all' and kind in ('feature', 'prediction'))
            as drifted_features
    from {{ source('lake', 'drift_report') }}
    group by survey_year
)

select
    conditions.*,
    coalesce(scores.scored, 0) as scored,
    scores.mean_fall_probability,
    drift.drifted_features
from {{ ref('fct_condition_by_year') }} as conditions
left join scores using (survey_year, state_code)
left join drift using (survey_year)
order by survey_year, state_code
