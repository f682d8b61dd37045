"""The resources of `jetbridge.dev/v1alpha1`: pydantic models, the only source of the CRDs in `crds/`."""
