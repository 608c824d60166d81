"""The object store: one bucket and one user per tenant, on MinIO or on AWS."""
