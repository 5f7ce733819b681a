{# A condition item (058-062) as a number from 0 to 9; null for `N`, blank and anything else. #}
{% macro rating(item) -%}
    case when regexp_full_match({{ item }}, '0*[0-9]') then cast({{ item }} as tinyint) end
{%- endmacro %}

{# A year of an item; null for 0 and blank, which both mean that there is none. #}
{% macro year_of(item) -%}
    case when {{ item }} > 0 then {{ item }} end
{%- endmacro %}

{# Good, Fair or Poor of a condition (23 CFR 490.409(b)), as `bridge_assets.nbi.derived.condition_class` has it. #}
{% macro condition_class(condition) -%}
    case
        when {{ condition }} >= 7 then 'Good'
        when {{ condition }} <= 4 then 'Poor'
        when {{ condition }} is not null then 'Fair'
    end
{%- endmacro %}
