"""Vault: the contract of the store, and how it is spoken to."""
