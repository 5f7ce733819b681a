-- Old and new keys of bridges to which a state gave a new number. Histories are not joined by these pairs: a pair is probable, not
-- certain, and a wrong one would invent a history.
with breaks as (
    select state_code, previous_survey_year, survey_year from {{ ref('int_key_breaks') }}
),

-- The records on both sides of each break. Texts are normalized only for these, because breaks are rare.
around_a_break as (
    select records.*, breaks.survey_year as break_year, records.survey_year = breaks.previous_survey_year as is_old
    from {{ ref('stg_bridges') }} as records
    inner join breaks
        on records.state_code = breaks.state_code
        and records.survey_year in (breaks.previous_survey_year, breaks.survey_year)
),

prepared as (
    select
        structure_key,
        survey_year,
        break_year,
        is_old,
        state_code,
        county_code_003,
        year_built_027,
        round(length_m_049, 1) as length_m,
        latitude,
        longitude,
        {{ letters_and_digits('facility_carried_007') }} as facility,
        {{ letters_and_digits('features_intersected_006a') }} as features,
        {{ letters_and_digits('location_009') }} as location,
        ltrim({{ letters_and_digits('substr(structure_key, 4)') }}, '0') as number
    from around_a_break
),

-- Keys on one side of a break only.
changed as (
    select *
    from prepared
    qualify count(*) over (partition by break_year, structure_key) = 1
),

vanished as (
    select * from changed where is_old
),

appeared as (
    select * from changed where not is_old
),

-- Only pairs that agree in county and in two more attributes are compared: all pairs would be too many. A bridge keeps its county
-- when its state renumbers.
candidates as (
    select vanished as old, appeared as new
    from vanished inner join appeared
        on vanished.break_year = appeared.break_year
        and vanished.state_code = appeared.state_code
        and vanished.county_code_003 = appeared.county_code_003
        and vanished.year_built_027 = appeared.year_built_027
        and vanished.length_m = appeared.length_m
    union
    select vanished as old, appeared as new
    from vanished inner join appeared
        on vanished.break_year = appeared.break_year
        and vanished.state_code = appeared.state_code
        and vanished.county_code_003 = appeared.county_code_003
        and vanished.facility = appeared.facility
        and vanished.features = appeared.features
),

compared as (
    select
        old.state_code as state_code,
        old.survey_year as previous_survey_year,
        new.survey_year as survey_year,
        old.structure_key as old_structure_key,
        new.structure_key as new_structure_key,
        -- 0.002 degrees is about 200 m: in the 1990s, coordinates were often recorded to the second or the tenth of a minute.
        coalesce(abs(old.latitude - new.latitude) <= 0.002 and abs(old.longitude - new.longitude) <= 0.002, false)
            as same_place,
        coalesce(old.year_built_027 = new.year_built_027, false) as same_year_built,
        coalesce(abs(old.length_m - new.length_m) <= greatest(0.1, 0.01 * old.length_m), false) as same_length,
        coalesce(old.facility = new.facility, false) as same_facility,
        coalesce(old.features = new.features, false) as same_features,
        coalesce(old.location = new.location, false) as same_location,
        -- A number that only gained or lost a prefix, as with a different kind of padding.
        least(length(old.number), length(new.number)) >= 3
            and (suffix(old.number, new.number) or suffix(new.number, old.number)) as same_number,
        cast(same_place as integer) + cast(same_year_built as integer) + cast(same_length as integer)
            + cast(same_facility as integer) + cast(same_features as integer) + cast(same_location as integer)
            + cast(same_number as integer) as evidence
    from candidates
),

-- Twin bridges agree in every attribute: if two candidates are equally good, neither is used.
best_on_both_sides as (
    select
        *,
        rank() over (partition by survey_year, old_structure_key order by evidence desc) as place_for_old,
        rank() over (partition by survey_year, new_structure_key order by evidence desc) as place_for_new,
        count(*) over (partition by survey_year, old_structure_key, evidence) as as_good_for_old,
        count(*) over (partition by survey_year, new_structure_key, evidence) as as_good_for_new
    from compared
)

select
    state_code,
    previous_survey_year,
    survey_year,
    old_structure_key,
    new_structure_key,
    evidence,
    same_place,
    same_year_built,
    same_length,
    same_facility,
    same_features,
    same_location,
    same_number
from best_on_both_sides
where
    evidence >= {{ var('renumbering_evidence') }}
    and place_for_old = 1 and place_for_new = 1
    and as_good_for_old = 1 and as_good_for_new = 1
order by state_code, survey_year, old_structure_key
