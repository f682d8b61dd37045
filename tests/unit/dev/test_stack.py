"""What needs no server: environments, kubeconfigs, certificates, attaching."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import yaml

from dev.errors import StackError
from dev.kubeconfig import write_token_kubeconfig
from dev.operatorprocess import process_env
from dev.pki import Pki
from dev.ports import free_ports, is_free
from dev.stack import RBAC, LocalStack
from dev.vaultserver import POLICY


def test_an_operator_gets_nobodys_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a root token nor a cluster of the person who starts it."""
    for name in ("VAULT_TOKEN", "VAULT_ADDR", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "JETBRIDGE_VAULT_AUTH"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("NO_PROXY", "example.org")
    env = process_env({"KUBECONFIG": "theirs"})
    assert "mine" not in env.values()
    assert env["KUBECONFIG"] == "theirs"
    assert env["NO_PROXY"] == "example.org,127.0.0.1,localhost"


def test_there_is_nothing_to_attach_to_before_a_start(tmp_path: Path) -> None:
    """And the error says what to type."""
    with pytest.raises(StackError, match="make up"):
        LocalStack.attach(tmp_path)


def test_removing_takes_only_its_own(tmp_path: Path) -> None:
    """Somebody may have put a file there."""
    (tmp_path / "notes.txt").touch()
    (tmp_path / "vault").mkdir()
    (tmp_path / "env").touch()
    LocalStack(tmp_path).remove()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_certificates_are_accepted_and_keys_private(tmp_path: Path) -> None:
    """By the TLS library that will use them; a second call keeps what is there."""
    pki = Pki(tmp_path)
    pki.ensure()
    before = pki.ca.certificate.read_bytes()
    pki.ensure()
    assert pki.ca.certificate.read_bytes() == before
    context = ssl.create_default_context(cafile=str(pki.ca.certificate))
    for pair in (pki.api_server, pki.admin):
        context.load_cert_chain(pair.certificate, pair.key)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}


def test_the_operators_kubeconfig_names_its_token_by_file(tmp_path: Path) -> None:
    """So that a fresh token needs no new kubeconfig."""
    (tmp_path / "ca").write_text("ca", encoding="utf-8")
    write_token_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", tmp_path / "ca", tmp_path / "token")
    document = yaml.safe_load((tmp_path / "config").read_text(encoding="utf-8"))
    assert document["users"][0]["user"] == {"tokenFile": str(tmp_path / "token")}


def test_ports_differ_and_are_free() -> None:
    """All were held at once when they were chosen."""
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)


def test_the_operator_never_patches_secrets_nor_writes_specs() -> None:
    """What the design says about writing, as rights."""
    rules = [
        rule for document in yaml.safe_load_all(RBAC.read_text(encoding="utf-8")) for rule in document.get("rules", [])
    ]
    verbs = {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert verbs["secrets"] == {"get", "list", "watch", "create", "update", "delete"}
    assert verbs["connections"] == {"get", "list", "watch", "patch"}
    assert verbs["connections/status"] == {"patch"}
    assert verbs["leases"] == {"get", "create", "update"}
    assert not any("*" in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)


def test_the_vault_policy_is_for_its_own_prefix_alone() -> None:
    """Five paths, each ending below the prefix."""
    paths = [line.split('"')[1] for line in POLICY.splitlines() if line.startswith("path")]
    assert paths == [f"secret/{kind}/jetbridge/*" for kind in ("data", "metadata", "delete", "undelete", "destroy")]
    assert "sudo" not in POLICY
