"""The operator: kopf events in, Kubernetes and Vault writes out, around the pure core."""
