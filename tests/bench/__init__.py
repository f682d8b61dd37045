"""Measurements: how long things take, beside a bare client that does the same writes in the same run."""
