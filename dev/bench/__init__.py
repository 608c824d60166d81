"""The benchmark: how fast the operator is, beside how fast the same calls are without it."""
