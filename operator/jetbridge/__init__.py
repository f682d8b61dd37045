"""Jetbridge: define an Airflow connection once, share it with the deployments that need it."""

__version__ = "0.1.0"
