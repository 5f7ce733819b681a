with records_with_evidence as (
    select
        structure_key,
        survey_year,
        state_code,
        is_culvert,
        inspection_date,
        condition,
        condition_class,
        year_reconstructed_106
    from {{ ref('stg_bridges') }}
    where inspection_date is not null and condition is not null
),

-- A yearly file mostly carries earlier inspections forward. A record is an inspection where its date is later than every
-- date of the structure before it: the same date is the same inspection, an earlier one is a correction or a mistake.
inspections as (
    select *
    from records_with_evidence
    window earlier_records as (
        partition by structure_key order by survey_year rows between unbounded preceding and 1 preceding
    )
    qualify coalesce(inspection_date > max(inspection_date) over earlier_records, true)
),

beside_the_previous as (
    select
        *,
        lag(inspection_date) over history as previous_inspection_date,
        lag(condition) over history as previous_condition,
        row_number() over history as inspection_number
    from inspections
    window history as (partition by structure_key order by inspection_date)
)

-- Every window ends at the row itself: nothing here was unknown on the day of the inspection.
select
    structure_key,
    survey_year,
    state_code,
    is_culvert,
    inspection_date,
    condition,
    condition_class,
    previous_inspection_date,
    previous_condition,
    inspection_number,
    max(inspection_date) filter (where condition is distinct from previous_condition) over so_far as condition_since,
    date_diff('day', condition_since, inspection_date) / 365.25 as years_in_condition,
    count(*) filter (where condition < previous_condition) over so_far as falls_so_far,
    count(*) filter (where condition > previous_condition) over so_far as rises_so_far,
    year_reconstructed_106
from beside_the_previous
window so_far as (
    partition by structure_key order by inspection_date rows between unbounded preceding and current row
)
order by structure_key, inspection_date
