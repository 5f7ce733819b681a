with scores as (
    select
        structure_key,
        survey_year,
        fall_probability,
        rank_in_state,
        look_first_rank,
        listed_as,
        rank_in_list,
        target,
        reasons,
        years_until_poor,
        years_until_poor_low,
        years_until_poor_high,
        years_until_poor_horizon,
        model_version
    from {{ source('lake', 'bridge_predictions') }}
    where survey_year = (select max(survey_year) from {{ source('lake', 'bridge_predictions') }})
),

bridges as (
    select * from {{ ref('stg_bridges') }}
)

select
    bridges.structure_key,
    bridges.survey_year,
    bridges.state_code,
    bridges.county_code_003 as county_code,
    bridges.facility_carried_007 as facility_carried,
    bridges.features_intersected_006a as features_intersected,
    bridges.location_009 as location,
    bridges.latitude,
    bridges.longitude,
    bridges.owner_022 as owner,
    bridges.year_built_027 as year_built,
    bridges.adt_029 as adt,
    bridges.material_043a as material,
    bridges.design_043b as design,
    bridges.posting_041 as posting,
    bridges.condition,
    bridges.condition_class,
    bridges.inspection_date,
    scores.fall_probability,
    -- Decimals, because a sum of floating-point numbers depends on their order.
    cast(sum(cast(scores.fall_probability as decimal(18, 9))) over (partition by bridges.state_code) as double)
    / count(*) over (partition by bridges.state_code) as state_fall_probability,
    scores.rank_in_state,
    scores.look_first_rank,
    -- A closed bridge (item 41 = K) is in no list: nobody drives over it, and its low ratings would lead "Poor now".
    case when bridges.posting_041 is distinct from 'K' then scores.listed_as end as listed_as,
    case
        when bridges.posting_041 is distinct from 'K' and scores.listed_as is not null
            then cast(row_number() over (
                partition by bridges.state_code, scores.listed_as, bridges.posting_041 is distinct from 'K'
                order by scores.rank_in_list
            ) as integer)
    end as rank_in_list,
    scores.target,
    scores.reasons,
    scores.years_until_poor,
    scores.years_until_poor_low,
    scores.years_until_poor_high,
    scores.years_until_poor_horizon,
    scores.model_version
from bridges
inner join scores on bridges.structure_key = scores.structure_key and bridges.survey_year = scores.survey_year
order by scores.look_first_rank, scores.fall_probability desc, bridges.structure_key
