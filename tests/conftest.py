"""The servers of the tests that need real ones: one stack for each worker of xdist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.stack import LocalStack

pytest.register_assert_rewrite("tests.support")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """etcd, API server and Vault, both with audit logs; ended and removed whatever happens."""
    made = LocalStack(tmp_path_factory.mktemp("stack"), audit=True)
    try:
        made.start()
        made.vault.enable_audit(made.state_dir / "vault" / "audit.log")
        yield made
    finally:
        made.remove()
