with bridges as (
    select structure_key, survey_year, state_code, is_nhs_bridge, condition, condition_class, deck_area_m2 from {{ ref('stg_bridges') }}
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
        {{ deck_area("true") }} as deck_area_m2,
        {{ deck_area("condition_class = 'Good'") }} as good_area_m2,
        {{ deck_area("condition_class = 'Fair'") }} as fair_area_m2,
        {{ deck_area("condition_class = 'Poor'") }} as poor_area_m2,
        count(*) filter (where is_nhs_bridge) as nhs_structures,
        {{ deck_area("is_nhs_bridge") }} as nhs_area_m2,
        {{ deck_area("is_nhs_bridge and condition_class = 'Good'") }} as nhs_good_area_m2,
        {{ deck_area("is_nhs_bridge and condition_class = 'Poor'") }} as nhs_poor_area_m2,
        sum(condition) / count(condition) as mean_condition,
        count(inspections.inspection_date) as inspections,
        count(findings.fall) as inspections_compared,
        count(*) filter (where findings.fall) as falls
    from bridges
    left join inspections using (structure_key, survey_year)
    left join findings using (structure_key, survey_year)
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
    nhs_structures,
    nhs_area_m2,
    coalesce(nhs_good_area_m2, 0) / nullif(nhs_area_m2, 0) as nhs_good_area_share,
    coalesce(nhs_poor_area_m2, 0) / nullif(nhs_area_m2, 0) as nhs_poor_area_share,
    mean_condition,
    inspections,
    inspections_compared,
    falls,
    falls / nullif(inspections_compared, 0) as fall_rate
from by_year_and_state
order by survey_year, state_code
