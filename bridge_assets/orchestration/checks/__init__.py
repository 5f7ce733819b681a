"""Asset checks, beside the stage they judge.

The checks that the gate asks for say which digest they judged (metadata `about`): an answer counts for those bytes and
no others.
"""
