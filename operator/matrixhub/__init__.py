"""Matrix Hub: one Tenant resource gives an institution its isolated, metered share of every backend.

A watch event puts a key into the queue of each backend; a worker takes what has gathered and runs
`observe -> plan -> apply` for the batch; outcomes are merged per Tenant and written to its status once.
"""

__version__ = "0.1.0"
