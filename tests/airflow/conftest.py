"""One process for each Airflow version and test session (each worker of pytest-xdist has its own)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airflow.client import Oracle
from tests.airflow.environments import VERSIONS, AirflowVersion, ensure


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"airflow-{version.name}")
def airflow_python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with this Airflow."""
    version: AirflowVersion = request.param
    return ensure(version)


@pytest.fixture(scope="session")
def airflow(airflow_python: Path) -> Iterator[Oracle]:
    """A running Airflow to ask."""
    with Oracle(airflow_python) as oracle:
        yield oracle
