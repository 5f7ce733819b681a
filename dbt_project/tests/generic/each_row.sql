{# The condition is true in each row. One that comes out null fails too: what must be known may not be missing. #}
{% test each_row(model, satisfies) %}
select *
from {{ model }}
where not coalesce({{ satisfies }}, false)
{% endtest %}
