"""The border of the server: who may connect and call it, and the log of what was answered.

Belongs here: connections (`connections`), token and rate limit (`access`), the access log (`access_log`). Does not
belong here: the content of a request (`requests`).
"""
