with pairs as (
    select state_code, survey_year, count(*) as matched
    from {{ ref('renumbered_structures') }}
    group by state_code, survey_year
)

select
    breaks.*,
    coalesce(pairs.matched, 0) as matched,
    coalesce(pairs.matched, 0) / breaks.vanished as share_matched
from {{ ref('int_key_breaks') }} as breaks
left join pairs using (state_code, survey_year)
order by state_code, survey_year
