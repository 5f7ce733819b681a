{# In no survey year is the condition true in more than this share of the rows. #}
{% test rare(model, condition, at_most) %}
select survey_year, count(*) as total, count(*) filter (where {{ condition }}) as affected
from {{ model }}
group by survey_year
having affected > {{ at_most }} * total
{% endtest %}
