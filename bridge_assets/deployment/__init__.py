"""How a model version comes to answer predictions: the gate it must pass, and the endpoints that take it.

Belongs here: whether a version may be deployed (`gate`), what every endpoint is given and how it proves itself
(`base`, `package`), and one file a target with what differs there (`local`, on its `folder`). Does not belong here:
how a version is made (`models`), how answers are asked for (`cli`, `serve`), and where the recorded evaluations of
checks are read (`orchestration.evidence`).
"""
