"""Answers for a structure key or a raw NBI record, from the tables of structures in a package of the local endpoint.

Belongs here: reading such a request (`request`), the features of each bridge (`rows`), the contributions of its
features (`contributions`), and the answer (`answers`). Does not belong here: routes and rows of features (`serve`), and
making the tables (`deployment.core.structure_tables`). Not shipped in a bundle (`deployment.core.code_archive`).
"""
