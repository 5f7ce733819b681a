{{ config(
    meta = {
        'description': 'Every structure and year with a record of type 1 in raw_bridges is in stg_bridges, and no other.',
        'dagster': {'ref': {'name': 'stg_bridges'}},
    }
) }}
-- Compared by structure, its survey years as bits: comparing record by record would sort the whole history twice.
with published as (
    select structure_key, {{ year_bits('survey_year') }} as years
    from {{ source('lake', 'raw_bridges') }}
    where on_structure
    group by structure_key
),

staged as (
    select structure_key, {{ year_bits('survey_year') }} as years
    from {{ ref('stg_bridges') }}
    group by structure_key
)

select structure_key, bit_count(published.years) as years_published, bit_count(staged.years) as years_staged
from published
full join staged using (structure_key)
where published.years is distinct from staged.years
