"""A tenant's share of Redis: an ACL user that reaches the keys and channels of its prefix and nothing else."""
