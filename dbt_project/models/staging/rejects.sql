-- The rows that are missing from `raw_bridges`, of all survey years in one table: the first place to look for a missing bridge.
select
    survey_year,
    file,
    line_number,
    reason,
    detail,
    line
from {{ source('lake', 'rejected_records') }}
order by survey_year, file, line_number
