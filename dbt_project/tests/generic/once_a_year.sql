{# No structure has two rows in a survey year: it has as many rows as survey years. Counting by structure is much less work than
   grouping by structure and survey year. #}
{% test once_a_year(model) %}
{{ config(fail_calc = 'coalesce(sum(rows_too_many), 0)') }}
select structure_key, count(*) - bit_count({{ year_bits('survey_year') }}) as rows_too_many
from {{ model }}
group by structure_key
having rows_too_many > 0
{% endtest %}
