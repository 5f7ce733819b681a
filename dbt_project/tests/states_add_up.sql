{{ config(
    meta = {'description': 'In every survey year, the states add up to the row `all`.'}
) }}
select
    survey_year,
    sum(case when state_code = 'all' then structures else -structures end) as structures,
    sum(case when state_code = 'all' then poor else -poor end) as poor,
    sum(case when state_code = 'all' then inspections else -inspections end) as inspections,
    sum(case when state_code = 'all' then falls else -falls end) as falls
from {{ ref('fct_condition_by_year') }}
group by survey_year
having structures <> 0 or poor <> 0 or inspections <> 0 or falls <> 0
