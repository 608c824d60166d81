"""The backends, one folder each, all of one shape: state, desired, plan (pure) and client (the only I/O)."""
