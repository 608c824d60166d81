"""The engine: queues, workers, and the one writer of each Tenant's status."""
