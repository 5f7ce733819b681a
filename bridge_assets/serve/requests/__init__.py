"""From the body of a request to rows of features, within limits that act before it is parsed.

Belongs here: parsing and checking bodies (`request_body`) and rows (`request_rows`). Does not belong here: the formats
of the providers (`serve.contracts`).
"""
