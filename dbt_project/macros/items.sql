{# A condition item (058-062) as a number from 0 to 9; null for `N`, blank and anything else. #}
{% macro rating(item) -%}
    case when regexp_full_match({{ item }}, '0*[0-9]') then cast({{ item }} as tinyint) end
{%- endmacro %}

{# An item that is a year; null for 0 and blank, which both mean "none". #}
{% macro year_of(item) -%}
    case when {{ item }} > 0 then {{ item }} end
{%- endmacro %}

{# The class of a condition, Good, Fair or Poor (23 CFR 490.409(b)); the same as `bridge_assets.nbi.derived.condition_class`. #}
{% macro condition_class(condition) -%}
    case
        when {{ condition }} >= 7 then 'Good'
        when {{ condition }} <= 4 then 'Poor'
        when {{ condition }} is not null then 'Fair'
    end
{%- endmacro %}

{# Deck area in m² of the bridges that a condition selects. The sum is an exact decimal, because a sum of floating-point numbers
   depends on their order. #}
{% macro deck_area(condition) -%}
    cast(sum(cast(deck_area_m2 as decimal(18, 2))) filter (where {{ condition }}) as double)
{%- endmacro %}
