"""Asset checks, one module per group of assets.

The checks that the gate requires record the digest they evaluated (metadata `about`): a result counts for exactly those
bytes and no others.
"""
