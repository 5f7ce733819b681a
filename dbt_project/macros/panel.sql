{# Whether a coded item changed between two records: both hold a code, and not the same one. A code that appears or goes, as
   in years in which a state does not fill the item in, is no change. Leading zeros are padding. #}
{% macro code_changed(before, after) -%}
    coalesce(
        ltrim({{ before }}, '0') <> ltrim({{ after }}, '0') and upper({{ before }}) <> 'N' and upper({{ after }}) <> 'N',
        false
    )
{%- endmacro %}

{# A text without what only its typing decides: case, blanks, punctuation. Null where nothing is left. #}
{% macro letters_and_digits(text) -%}
    nullif(regexp_replace(upper({{ text }}), '[^A-Z0-9]', '', 'g'), '')
{%- endmacro %}

{# The bit of a survey year, and the survey years of a group as bits, from 1992 on. They say which files hold a
   structure in few bytes. Comparing each file with the one before would join the whole history with itself. #}
{% macro year_bit(survey_year) -%}
    (cast(1 as hugeint) << ({{ survey_year }} - 1992))
{%- endmacro %}

{% macro year_bits(survey_year) -%}
    bit_or({{ year_bit(survey_year) }})
{%- endmacro %}
