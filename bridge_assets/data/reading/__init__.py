"""Which kind of file something is, and how it is opened.

Belongs here: names, formats, archives. Does not belong here: where files come from (`data.sources`), what a row means
(`nbi`).
"""
