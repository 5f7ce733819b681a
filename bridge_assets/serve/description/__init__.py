"""What the server says of itself: its version and its OpenAPI document.

Belongs here: the typed structures of answers (`structures`), the document (`openapi`), versions (`version`). Does not
belong here: the structure of feature rows, which also parses them (`requests.small_requests`).
"""
