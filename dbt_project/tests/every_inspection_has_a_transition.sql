{{ config(
    meta = {
        'description': 'Each inspection has one row that says what the next one found, or that it is not known yet.',
        'dagster': {'ref': {'name': 'fct_condition_transitions'}},
    }
) }}
with inspections as (
    select structure_key, survey_year, inspection_date, condition from {{ ref('int_inspections') }}
),

transitions as (
    select structure_key, survey_year, inspection_date, condition from {{ ref('fct_condition_transitions') }}
)

(select *, 'lost' as problem from inspections except all select *, 'lost' from transitions)
union all
(select *, 'invented' as problem from transitions except all select *, 'invented' from inspections)
