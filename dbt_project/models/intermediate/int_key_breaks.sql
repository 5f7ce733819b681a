with present as (
    select
        structure_key,
        any_value(state_code) as state_code,
        {{ year_bits('survey_year') }} as years
    from {{ ref('stg_bridges') }}
    group by structure_key
),

sizes as (
    select state_code, survey_year, count(*) as structures
    from {{ ref('stg_bridges') }}
    group by state_code, survey_year
),

steps as (
    select
        state_code,
        survey_year,
        structures,
        lag(survey_year) over files as previous_survey_year,
        lag(structures) over files as previous_structures,
        {{ year_bit('survey_year') }} as this_year,
        {{ year_bit('previous_survey_year') }} as previous_year
    from sizes
    window files as (partition by state_code order by survey_year)
    qualify previous_survey_year is not null
),

compared as (
    select
        state_code,
        previous_survey_year,
        survey_year,
        previous_structures,
        structures,
        count(*) filter (where years & previous_year <> 0 and years & this_year = 0) as vanished,
        count(*) filter (where years & previous_year = 0 and years & this_year <> 0) as appeared
    from steps
    inner join present using (state_code)
    group by all
)

select
    *,
    vanished / previous_structures as share_vanished,
    appeared / structures as share_appeared
from compared
where
    previous_structures >= {{ var('key_break_structures') }}
    and share_vanished >= {{ var('key_break_share') }}
    and share_appeared >= {{ var('key_break_share') }}
    -- The number of structures stayed about the same: in an incomplete file, keys vanish and no new ones appear.
    and abs(structures - previous_structures) <= {{ var('key_break_change') }} * previous_structures
order by state_code, survey_year
