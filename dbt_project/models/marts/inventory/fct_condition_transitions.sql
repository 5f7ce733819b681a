with inspections_and_the_next as (
    select
        structure_key,
        survey_year,
        inspection_date,
        condition,
        year_reconstructed_106,
        lead(survey_year) over history as next_survey_year,
        lead(inspection_date) over history as next_inspection_date,
        lead(condition) over history as next_condition,
        lead(year_reconstructed_106) over history as next_year_reconstructed_106
    from {{ ref('int_inspections') }}
    window history as (partition by structure_key order by inspection_date)
),

with_outcome as (
    select
        *,
        date_diff('month', inspection_date, next_inspection_date) as months_to_next,
        case
            when next_inspection_date is null or months_to_next > {{ var('horizon_months') }} then 'censored'
            when next_condition < condition then 'fall'
            when next_condition > condition then 'rise'
            else 'same'
        end as outcome
    from inspections_and_the_next
)

select
    structure_key,
    survey_year,
    inspection_date,
    condition,
    next_survey_year,
    next_inspection_date,
    next_condition,
    months_to_next,
    outcome,
    case when outcome <> 'censored' then outcome = 'fall' end as fall,
    -- A later year than before, so that a blank or a corrected year is no repair.
    case
        when next_inspection_date is not null
            then coalesce(next_year_reconstructed_106 > coalesce(year_reconstructed_106, 0), false)
    end as reconstructed
from with_outcome
order by structure_key, inspection_date
