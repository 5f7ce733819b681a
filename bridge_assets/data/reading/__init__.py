"""Recognises and opens survey files.

Belongs here: names, formats, archives. Does not belong here: where files come from (`data.sources`), and the meaning of
a row (`nbi`).
"""
