{# In every survey year, the condition is true in at most this share of the rows. #}
{% test rare(model, condition, at_most) %}
select survey_year, count(*) as total, count(*) filter (where {{ condition }}) as affected
from {{ model }}
group by survey_year
having affected > {{ at_most }} * total
{% endtest %}
