{# Whether a coded item changed between two records: both have a code, and the codes differ. A code that appears or disappears,
   as in years in which a state leaves the item blank, is not a change. Leading zeros are padding. #}
{% macro code_changed(before, after) -%}
    coalesce(
        ltrim({{ before }}, '0') <> ltrim({{ after }}, '0') and upper({{ before }}) <> 'N' and upper({{ after }}) <> 'N',
        false
    )
{%- endmacro %}

{# A text without case, blanks and punctuation, so that only its letters and digits are compared. Null if nothing is left. #}
{% macro letters_and_digits(text) -%}
    nullif(regexp_replace(upper({{ text }}), '[^A-Z0-9]', '', 'g'), '')
{%- endmacro %}

{# The bit of a survey year, and the survey years of a group as bits, from 1992 on: a compact record of which files contain a
   structure. Comparing each file with the previous one would join the whole history with itself. #}
{% macro year_bit(survey_year) -%}
    (cast(1 as hugeint) << ({{ survey_year }} - 1992))
{%- endmacro %}

{% macro year_bits(survey_year) -%}
    bit_or({{ year_bit(survey_year) }})
{%- endmacro %}
