-- The only place with the rule for a structure that occurs twice in a file: `stg_bridges` takes every record except those that are
-- not kept here. `bridge_assets.data.records.structures.one_record_per_structure` is the same rule in Python.
with records as (
    select
        survey_year,
        structure_key,
        STRUCTURE_NUMBER_008 as structure_number_008,
        file,
        line_number,
        inspection_date,
        condition
    from {{ source('lake', 'raw_bridges') }}
    where on_structure
),

-- Few structures are duplicated: those with more records than survey years. Only their records are sorted, because sorting or
-- counting the records of every structure and year would hold the whole history in memory.
structures_with_more as (
    select structure_key
    from records
    group by structure_key
    having count(*) > bit_count({{ year_bits('survey_year') }})
),

repeated as (
    select survey_year, structure_key, count(*) as records
    from records
    semi join structures_with_more using (structure_key)
    group by survey_year, structure_key
    having count(*) > 1
),

in_order as (
    select
        records.*,
        repeated.records,
        row_number() over same_structure as place,
        first(inspection_date) over same_structure as first_date,
        first(line_number) over same_structure as first_line,
        first(condition) over same_structure as first_condition,
        lead(inspection_date) over same_structure as next_date,
        lead(line_number) over same_structure as next_line
    from records
    inner join repeated using (survey_year, structure_key)
    window same_structure as (
        partition by survey_year, structure_key
        order by inspection_date desc nulls last, line_number, file
    )
)

select
    structure_key,
    survey_year,
    left(structure_key, 2) as state_code,
    structure_number_008,
    file,
    line_number,
    inspection_date,
    condition,
    records,
    place = 1 as kept,
    -- The kept record is compared with the runner-up, every other record with the kept one.
    case
        when inspection_date is distinct from case when kept then next_date else first_date end then 'later_inspection'
        when line_number <> case when kept then next_line else first_line end then 'earlier_line'
        else 'file_name'
    end as decided_by,
    condition is not distinct from first_condition as agrees
from in_order
order by survey_year, structure_key, place
