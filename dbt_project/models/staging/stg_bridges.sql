-- A table, not a view: the models and tests downstream all read it, and so the wide Parquet files are read only once.
with records as (
    select * from {{ source('lake', 'raw_bridges') }}
),

-- Condition belongs to record type 1. The other types (routes under the bridge, published until 2009) are removed first: counted
-- as bridges, they would leave the inventory in 2010, and 15 % of it with them.
records_on_structure as (
    select * from records where on_structure
),

-- An anti join with the short list of records to leave out, so that the records are streamed.
one_record_per_structure as (
    select records_on_structure.*
    from records_on_structure
    anti join (select survey_year, file, line_number from {{ ref('duplicate_records') }} where not kept) as left_out
        on records_on_structure.survey_year = left_out.survey_year
        and records_on_structure.file = left_out.file
        and records_on_structure.line_number = left_out.line_number
)

select
    structure_key,
    survey_year,
    left(structure_key, 2) as state_code,
    COUNTY_CODE_003 as county_code_003,
    FEATURES_DESC_006A as features_intersected_006a,
    FACILITY_CARRIED_007 as facility_carried_007,
    LOCATION_009 as location_009,
    MAINTENANCE_021 as maintenance_021,
    OWNER_022 as owner_022,
    {{ year_of('YEAR_BUILT_027') }} as year_built_027,
    ADT_029 as adt_029,
    OPEN_CLOSED_POSTED_041 as posting_041,
    STRUCTURE_KIND_043A as material_043a,
    STRUCTURE_TYPE_043B as design_043b,
    is_culvert,
    DECK_STRUCTURE_TYPE_107 as deck_structure_107,
    SURFACE_TYPE_108A as surface_108a,
    MEMBRANE_TYPE_108B as membrane_108b,
    DECK_PROTECTION_108C as deck_protection_108c,
    SCOUR_CRITICAL_113 as scour_113,
    STRUCTURE_LEN_MT_049 as length_m_049,
    DECK_WIDTH_MT_052 as deck_width_m_052,
    -- As FHWA computes it (23 CFR 490.409): if the deck width is 0 (a culvert under fill), the approach roadway width is used.
    round(
        coalesce(
            nullif(DECK_AREA, 0),
            STRUCTURE_LEN_MT_049 * coalesce(nullif(DECK_WIDTH_MT_052, 0), APPR_WIDTH_MT_032)
        ),
        2
    ) as deck_area_m2,
    -- The bridges of the federal measure (23 CFR 490.407): on the National Highway System, carrying a highway, longer than 20 feet.
    HIGHWAY_SYSTEM_104 = '1' and SERVICE_ON_042A in ('1', '4', '5', '6', '7', '8') and upper(BRIDGE_LEN_IND_112) = 'Y'
        as is_nhs_bridge,
    {{ rating('DECK_COND_058') }} as deck_rating_058,
    {{ rating('SUPERSTRUCTURE_COND_059') }} as superstructure_rating_059,
    {{ rating('SUBSTRUCTURE_COND_060') }} as substructure_rating_060,
    {{ rating('CULVERT_COND_062') }} as culvert_rating_062,
    condition,
    condition_class,
    case upper(BRIDGE_CONDITION) when 'G' then 'Good' when 'F' then 'Fair' when 'P' then 'Poor' end as published_class,
    -- An inspection dated after its own survey year cannot have happened: the record is kept, but its date is dropped.
    case when not inspected_in_future then inspection_date end as inspection_date,
    inspected_in_future,
    {{ year_of('YEAR_RECONSTRUCTED_106') }} as year_reconstructed_106,
    latitude,
    longitude,
    file,
    line_number
from one_record_per_structure
