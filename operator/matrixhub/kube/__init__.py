"""The Kubernetes API: resource paths (pure) and the client."""
