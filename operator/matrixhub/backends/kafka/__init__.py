"""Kafka: a tenant's topics, user, ACLs and client quotas."""
