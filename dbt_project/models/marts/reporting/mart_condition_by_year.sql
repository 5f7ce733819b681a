with bridges as (
    select structure_key, survey_year, state_code, condition, condition_class, deck_area_m2 from {{ ref('stg_bridges') }}
),

inspections as (
    select structure_key, survey_year, inspection_date from {{ ref('int_inspections') }}
),

-- Whether this year's inspection found a lower condition than the previous one. Censored ones cannot be compared.
findings as (
    select structure_key, next_survey_year as survey_year, fall
    from {{ ref('fct_condition_transitions') }}
    where outcome <> 'censored'
),

predictions as (
    select structure_key, survey_year, fall_probability from {{ source('lake', 'bridge_predictions') }}
),

drift as (
    select survey_year, count(*) filter (where drifted) as drifted_features
    from {{ source('lake', 'drift_report') }}
    group by survey_year
),

-- Each side has at most one row per structure and survey year, so no bridge is counted twice. Sums are exact decimals, because
-- sums of floats depend on the order in which threads finish.
by_year_and_state as (
    select
        survey_year,
        case when grouping(state_code) = 1 then 'all' else state_code end as state_code,
        count(*) as structures,
        count(*) filter (where condition_class = 'Good') as good,
        count(*) filter (where condition_class = 'Fair') as fair,
        count(*) filter (where condition_class = 'Poor') as poor,
        cast(sum(cast(deck_area_m2 as decimal(18, 2))) as double) as deck_area_m2,
        cast(sum(cast(deck_area_m2 as decimal(18, 2))) filter (where condition_class = 'Good') as double) as good_area_m2,
        cast(sum(cast(deck_area_m2 as decimal(18, 2))) filter (where condition_class = 'Fair') as double) as fair_area_m2,
        cast(sum(cast(deck_area_m2 as decimal(18, 2))) filter (where condition_class = 'Poor') as double) as poor_area_m2,
        sum(condition) / count(condition) as mean_condition,
        count(inspections.inspection_date) as inspections,
        count(findings.fall) as inspections_compared,
        count(*) filter (where findings.fall) as falls,
        count(predictions.fall_probability) as scored,
        cast(sum(cast(predictions.fall_probability as decimal(18, 9))) as double) / nullif(scored, 0) as mean_fall_probability
    from bridges
    left join inspections using (structure_key, survey_year)
    left join findings using (structure_key, survey_year)
    left join predictions using (structure_key, survey_year)
    group by grouping sets ((survey_year, state_code), (survey_year))
)

select
    survey_year,
    state_code,
    structures,
    good,
    fair,
    poor,
    good / structures as share_good,
    fair / structures as share_fair,
    poor / structures as share_poor,
    deck_area_m2,
    coalesce(good_area_m2, 0) / nullif(deck_area_m2, 0) as good_area_share,
    coalesce(fair_area_m2, 0) / nullif(deck_area_m2, 0) as fair_area_share,
    coalesce(poor_area_m2, 0) / nullif(deck_area_m2, 0) as poor_area_share,
    mean_condition,
    inspections,
    inspections_compared,
    falls,
    falls / nullif(inspections_compared, 0) as fall_rate,
    scored,
    mean_fall_probability,
    drift.drifted_features
from by_year_and_state
left join drift using (survey_year)
order by survey_year, state_code
