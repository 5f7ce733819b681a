{{ config(
    meta = {
        'description': 'stg_bridges has exactly the structures and years that have a record of type 1 in raw_bridges.',
        'dagster': {'ref': {'name': 'stg_bridges'}},
    }
) }}
-- Compares the survey years of each structure as bits: a comparison record by record would sort the whole history twice.
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
