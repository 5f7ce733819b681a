with records as (
    select structure_key, survey_year, STRUCTURE_NUMBER_008 as structure_number_008
    from {{ source('lake', 'raw_bridges') }}
    where on_structure
),

-- Most structures have one spelling; comparing digests takes less memory than comparing the texts.
structures_with_several as (
    select structure_key
    from records
    group by structure_key
    having min(hash(structure_number_008)) <> max(hash(structure_number_008))
),

spellings as (
    select
        structure_key,
        structure_number_008,
        min(survey_year) as first_survey_year,
        max(survey_year) as last_survey_year,
        {{ year_bits('survey_year') }} as years
    from records
    semi join structures_with_several using (structure_key)
    group by structure_key, structure_number_008
),

counted as (
    select
        *,
        count(*) over same_key as number_of_spellings,
        sum(bit_count(years)) over same_key > bit_count(bit_or(years) over same_key) as within_a_year
    from spellings
    window same_key as (partition by structure_key)
)

select
    structure_key,
    left(structure_key, 2) as state_code,
    structure_number_008,
    first_survey_year,
    last_survey_year,
    cast(bit_count(years) as integer) as survey_years,
    number_of_spellings as spellings,
    within_a_year
from counted
order by structure_key, first_survey_year, structure_number_008
