"""The tenant's Kubernetes objects: its namespace, quota, limits, network policy, owners' roles and Secrets."""
