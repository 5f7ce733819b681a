-- Only the columns that are needed: the windows sort the whole history, and spill to disk what does not fit into memory.
with records_with_evidence as (
    select
        structure_key,
        survey_year,
        is_culvert,
        material_043a,
        inspection_date,
        condition,
        deck_rating_058,
        superstructure_rating_059,
        substructure_rating_060,
        culvert_rating_062,
        year_built_027,
        year_reconstructed_106
    from {{ ref('stg_bridges') }}
    where inspection_date is not null and condition is not null
),

-- A yearly file mostly carries earlier inspections forward. A record is an inspection if its date is later than every earlier
-- date of the structure: the same date is the same inspection, an earlier date is a correction or a mistake.
inspections as (
    select *
    from records_with_evidence
    window earlier_records as (
        partition by structure_key order by survey_year rows between unbounded preceding and 1 preceding
    )
    qualify coalesce(inspection_date > max(inspection_date) over earlier_records, true)
),

with_previous as (
    select
        *,
        lag(inspection_date) over history as previous_inspection_date,
        lag(condition) over history as previous_condition,
        row_number() over history as inspection_number,
        -- A year before that of the previous inspection was entered late: the previous inspection already saw the work.
        case
            when year_built_027 > lag(year_built_027) over history and year_built_027 >= year(previous_inspection_date)
                then 'replaced'
            when year_reconstructed_106 > coalesce(lag(year_reconstructed_106) over history, 0)
                and year_reconstructed_106 >= year(previous_inspection_date)
                then 'reconstructed'
        end as renewal
    from inspections
    window history as (partition by structure_key order by inspection_date)
)

-- Every window ends at the current row: everything here was known on the day of the inspection.
select
    structure_key,
    survey_year,
    left(structure_key, 2) as state_code,
    is_culvert,
    material_043a,
    inspection_date,
    condition,
    {{ condition_class('condition') }} as condition_class,
    previous_inspection_date,
    previous_condition,
    inspection_number,
    max(inspection_date) filter (where condition is distinct from previous_condition) over so_far as condition_since,
    date_diff('day', condition_since, inspection_date) / 365.25 as years_in_condition,
    count(*) filter (where condition < previous_condition) over so_far as falls_so_far,
    count(*) filter (where condition > previous_condition) over so_far as rises_so_far,
    year_reconstructed_106,
    deck_rating_058,
    superstructure_rating_059,
    substructure_rating_060,
    culvert_rating_062,
    renewal
from with_previous
window so_far as (
    partition by structure_key order by inspection_date rows between unbounded preceding and current row
)
order by structure_key, inspection_date
