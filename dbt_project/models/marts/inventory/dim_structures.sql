with seen as (
    select
        structure_key,
        min(survey_year) as first_survey_year,
        max(survey_year) as last_survey_year,
        count(*) as survey_years
    from {{ ref('stg_bridges') }}
    group by structure_key
),

inspected as (
    select structure_key, count(*) as inspections, max(inspection_date) as last_inspection_date
    from {{ ref('int_inspections') }}
    group by structure_key
)

select
    last_record.structure_key,
    last_record.state_code,
    last_record.county_code_003,
    last_record.features_intersected_006a,
    last_record.facility_carried_007,
    last_record.location_009,
    last_record.maintenance_021,
    last_record.owner_022,
    last_record.year_built_027,
    last_record.year_reconstructed_106,
    last_record.adt_029,
    last_record.material_043a,
    last_record.design_043b,
    last_record.is_culvert,
    last_record.length_m_049,
    last_record.deck_width_m_052,
    last_record.deck_area_m2,
    last_record.latitude,
    last_record.longitude,
    seen.first_survey_year,
    seen.last_survey_year,
    seen.survey_years,
    last_record.condition as last_condition,
    last_record.condition_class as last_condition_class,
    inspected.last_inspection_date,
    coalesce(inspected.inspections, 0) as inspections
from {{ ref('stg_bridges') }} as last_record
inner join seen
    on last_record.structure_key = seen.structure_key and last_record.survey_year = seen.last_survey_year
left join inspected on last_record.structure_key = inspected.structure_key
order by last_record.structure_key
