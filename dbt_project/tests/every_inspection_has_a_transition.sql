{{ config(
    meta = {
        'description': 'Each inspection has one row with the outcome of the next inspection, or the reason why it is unknown.',
        'dagster': {'ref': {'name': 'fct_condition_transitions'}},
    }
) }}
-- Compares a digest of the inspections of each structure: a comparison row by row would sort the whole history twice.
with inspections as (
    select structure_key, count(*) as number, bit_xor(hash(survey_year, inspection_date, condition)) as digest
    from {{ ref('int_inspections') }}
    group by structure_key
),

transitions as (
    select structure_key, count(*) as number, bit_xor(hash(survey_year, inspection_date, condition)) as digest
    from {{ ref('fct_condition_transitions') }}
    group by structure_key
)

select structure_key, inspections.number as inspections, transitions.number as transitions
from inspections
full join transitions using (structure_key)
where inspections.number is distinct from transitions.number or inspections.digest is distinct from transitions.digest
