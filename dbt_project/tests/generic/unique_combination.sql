{% test unique_combination(model, columns) %}
{{ config(fail_calc = 'coalesce(sum(rows_too_many), 0)') }}
select {{ columns | join(', ') }}, count(*) - 1 as rows_too_many
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
