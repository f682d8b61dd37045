"""The local control plane: a real Kubernetes API server, a real Vault and the operator, without containers.

Not part of the product: it is what `make up`, `make demo` and the integration tests stand on. Run as `python -m dev`.
"""
