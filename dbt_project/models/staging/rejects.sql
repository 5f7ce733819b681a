-- What `raw_bridges` does not hold, of all survey years in one table: the first place to look when a bridge is not there.
select
    survey_year,
    file,
    line_number,
    reason,
    detail,
    line
from {{ source('lake', 'rejected_records') }}
order by survey_year, file, line_number
