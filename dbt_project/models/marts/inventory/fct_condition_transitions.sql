{% set kinds = "['replaced', 'reconstructed', 'repair', 're_rating', 'unexplained']" %}
with inspections as (
    select
        structure_key,
        survey_year,
        is_culvert,
        material_043a,
        inspection_date,
        condition,
        previous_inspection_date,
        previous_condition,
        condition_since,
        falls_so_far,
        rises_so_far,
        inspection_number,
        year_reconstructed_106,
        renewal
    from {{ ref('int_inspections') }}
),

-- The rises found at each inspection. If several components rose, the kind with the strongest evidence is used.
rises as (
    select
        structure_key,
        inspection_date,
        {{ kinds }}[min(list_position({{ kinds }}, kind))] as strongest_rise
    from {{ ref('fct_component_rises') }}
    group by structure_key, inspection_date
),

-- Work is also recorded where no rating rises, such as the widening of a structure in good condition.
with_work as (
    select
        inspections.*,
        coalesce(renewal, strongest_rise, 'unexplained') as rise_found,
        coalesce(renewal, case when strongest_rise = 'repair' then 'repair' end) as work_found,
        inspection_number = 1 or work_found is not null as begins_spell
    from inspections
    left join rises using (structure_key, inspection_date)
),

inspections_and_the_next as (
    select
        *,
        lead(survey_year) over history as next_survey_year,
        lead(inspection_date) over history as next_inspection_date,
        lead(condition) over history as next_condition,
        lead(year_reconstructed_106) over history as next_year_reconstructed_106,
        lead(rise_found) over history as next_rise_found,
        lead(work_found) over history as next_work_found,
        -- These windows end at the current row: everything in them was known on the day of the inspection.
        count(*) filter (where begins_spell) over so_far as deterioration_spell,
        max(inspection_date) filter (where begins_spell) over so_far as spell_since,
        falls_so_far - max(falls_so_far) filter (where begins_spell) over so_far as falls_in_spell
    from with_work
    window
        history as (partition by structure_key order by inspection_date),
        so_far as (partition by structure_key order by inspection_date rows between unbounded preceding and current row)
),

-- The last survey year of each structure and of its state.
last_years as (
    select
        structure_key,
        max(survey_year) as last_survey_year,
        max(last_survey_year) over (partition by left(structure_key, 2)) as last_survey_year_of_state
    from {{ ref('stg_bridges') }}
    group by structure_key
),

with_outcome as (
    select
        inspections_and_the_next.*,
        date_diff('month', inspection_date, next_inspection_date) as months_to_next,
        case
            when next_inspection_date is null
                then if(last_survey_year < last_survey_year_of_state, 'left_inventory', 'no_next_inspection')
            when months_to_next > {{ var('horizon_months') }} then 'beyond_horizon'
        end as censoring,
        case
            when censoring is not null then 'censored'
            when next_condition < condition then 'fall'
            when next_condition > condition then 'rise'
            else 'same'
        end as outcome
    from inspections_and_the_next
    left join last_years using (structure_key)
)

select
    structure_key,
    survey_year,
    is_culvert,
    material_043a,
    inspection_date,
    condition,
    next_survey_year,
    next_inspection_date,
    next_condition,
    months_to_next,
    outcome,
    case when outcome <> 'censored' then outcome = 'fall' end as fall,
    -- Only a later year than before counts, so that a blank or corrected year is not taken for a repair.
    case
        when next_inspection_date is not null
            then coalesce(next_year_reconstructed_106 > coalesce(year_reconstructed_106, 0), false)
    end as reconstructed,
    censoring,
    case when censoring is not null then inspection_date end as censored_at,
    previous_inspection_date,
    falls_so_far,
    rises_so_far,
    condition_since as entered_at,
    falls_so_far + rises_so_far > 0 as entry_seen,
    date_diff('month', condition_since, inspection_date) as exposure_months,
    next_work_found as work_found,
    case when outcome = 'rise' then next_rise_found end as rise_kind,
    -- The next inspection takes back a point that this one added: half of a re-rating, not deterioration.
    case
        when outcome <> 'censored'
            then coalesce(outcome = 'fall' and rise_found = 're_rating' and next_condition = previous_condition, false)
    end as undoes_re_rating,
    deterioration_spell,
    spell_since,
    falls_in_spell
from with_outcome
order by structure_key, inspection_date
