{{ config(
    meta = {
        'description': 'Every structure and year with a record of type 1 in raw_bridges is in stg_bridges, and no other.',
        'dagster': {'ref': {'name': 'stg_bridges'}},
    }
) }}
with published as (
    select distinct structure_key, survey_year
    from {{ source('lake', 'raw_bridges') }}
    where on_structure
),

staged as (
    select structure_key, survey_year from {{ ref('stg_bridges') }}
)

(select *, 'lost' as problem from published except all select *, 'lost' from staged)
union all
(select *, 'invented' as problem from staged except all select *, 'invented' from published)
