{# The condition is true in every row. A row where it is null fails too. #}
{% test each_row(model, satisfies) %}
select *
from {{ model }}
where not coalesce({{ satisfies }}, false)
{% endtest %}
