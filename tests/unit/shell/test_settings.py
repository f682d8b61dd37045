"""Wrong settings: one clear line each, exit code 2, and nothing of a credential in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jetbridge.cli.main import app
from jetbridge.shell.settings import OperatorSettings, VaultSettings
from jetbridge.shell.vault.auth import Login
from jetbridge.shell.vault.contract import entry_path

PLANTED = "hunter2-planted"
ADDRESS = ["--vault-address", "http://127.0.0.1:1"]
TOKEN = [*ADDRESS, "--vault-auth", "token"]


def run(*args: str, **env: str | None) -> tuple[int, str]:
    """What the command says and ends with."""
    clean = {"KUBECONFIG": None, "JETBRIDGE_VAULT_TOKEN": None, "JETBRIDGE_VAULT_ADDRESS": None}
    result = CliRunner().invoke(app, ["operator", "run", *args], env=clean | env)
    assert result.stdout == "", "an error belongs to standard error"
    return result.exit_code, result.stderr


WRONG: list[tuple[list[str], str]] = [
    ([], "--vault-address (or JETBRIDGE_VAULT_ADDRESS) is required"),
    (["--vault-address", "vault:8200"], "--vault-address: must be a URL"),
    (["--vault-address", "ftp://vault"], "--vault-address: must be a URL"),
    (["--vault-address", "https://"], "--vault-address: must be a URL"),
    (["--vault-address", f"http://u:{PLANTED}@vault"], "--vault-address: must not hold credentials"),
    ([*ADDRESS, "--vault-auth", "magic"], "--vault-auth: Input should be 'kubernetes', 'jwt', 'approle' or 'token'"),
    ([*ADDRESS, "--vault-auth", "jwt", "--vault-jwt-file", "/nope"], "jwt file /nope does not exist"),
    ([*ADDRESS, "--vault-jwt-file", "/nope"], "jwt file /nope does not exist"),
    ([*ADDRESS, "--vault-auth", "approle"], "auth approle needs a role id file and a secret id file"),
    (
        [*ADDRESS, "--vault-auth", "approle", "--vault-role-id-file", "/nope", "--vault-secret-id-file", "/nope"],
        "role id file /nope does not exist",
    ),
    (
        [*ADDRESS, "--vault-auth", "token", "--vault-token-file", "/nope", "--vault-ca-file", "/nope"],
        "ca file /nope does not exist",
    ),
    ([*TOKEN, "--vault-prefix", "../elsewhere"], "--vault-prefix: '..' can't be a segment of a path in Vault"),
    ([*TOKEN, "--vault-prefix", "a//b"], "--vault-prefix: '' can't be a segment of a path in Vault"),
    ([*TOKEN, "--vault-mount", ""], "--vault-mount: '' can't be a segment of a path in Vault"),
    ([*TOKEN, "--kubeconfig", "/nope"], "--kubeconfig: /nope does not exist"),
    ([*TOKEN, "--namespace", "a,b"], "--namespace: 'a,b' can't be a namespace"),
    ([*TOKEN, "--namespace", ""], "--namespace: '' can't be a namespace"),
    ([*TOKEN, "--workers", "0"], "--workers: Input should be greater than or equal to 1"),
    ([*TOKEN, "--listen", "nonsense"], "--listen: Input should be a valid integer"),
    ([*TOKEN, "--listen", "0.0.0.0:99999"], "--listen: Input should be less than or equal to 65535"),
    ([*TOKEN, "--log-format", "xml"], "--log-format: Input should be 'text' or 'json'"),
    ([*TOKEN, "--log-level", "loud"], "--log-level: Input should be 'debug'"),
    ([*TOKEN, "--vault-check-interval", "0"], "--vault-check-interval: Input should be greater"),
    ([*TOKEN, "--finalizer-timeout", "0"], "--finalizer-timeout: Input should be greater"),
]


@pytest.mark.parametrize(("args", "said"), WRONG, ids=[" ".join(args[-2:]) or "nothing" for args, _ in WRONG])
def test_a_wrong_setting(args: list[str], said: str) -> None:
    code, error = run(*args, JETBRIDGE_VAULT_TOKEN=PLANTED)
    assert code == 2
    assert error.startswith(f"jetbridge operator run: {said}"), error
    assert error.count("\n") == 1, "more than one line"
    assert PLANTED not in error


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_for_auth_token(token: str | None) -> None:
    code, error = run(*TOKEN, JETBRIDGE_VAULT_TOKEN=token)
    assert (code, error.count("\n")) == (2, 1)
    assert "auth token needs JETBRIDGE_VAULT_TOKEN, or a token file" in error


def test_settings_come_from_the_environment_too() -> None:
    code, error = run(JETBRIDGE_VAULT_ADDRESS="nonsense")
    assert (code, error.partition(": ")[2].partition(":")[0]) == (2, "--vault-address")


def test_without_a_cluster_it_does_not_start_and_says_so() -> None:
    code, error = run(*TOKEN, "--listen", "127.0.0.1:0", JETBRIDGE_VAULT_TOKEN=PLANTED, HOME="/nonexistent")
    assert code == 1
    assert "no credentials for Kubernetes" in error
    assert "Traceback" not in error
    assert PLANTED not in error


def vault(**more: Any) -> VaultSettings:
    return VaultSettings.model_validate({"address": "https://vault:8200/", "auth": "token", "token": PLANTED} | more)


def test_slashes_around_addresses_and_paths_do_not_matter() -> None:
    settings = vault(mount="/kv/", prefix="/a/b/")
    assert (settings.address, settings.mount, settings.prefix) == ("https://vault:8200", "kv", "a/b")


def test_a_method_is_mounted_under_its_name_when_nothing_is_said() -> None:
    assert vault().mount_of_auth == "token"
    assert vault(auth_mount="clusters/one").mount_of_auth == "clusters/one"


def test_settings_do_not_show_the_token() -> None:
    settings = OperatorSettings(vault=vault())
    assert PLANTED not in repr(settings)
    assert PLANTED not in str(settings.model_dump())
    assert PLANTED not in settings.model_dump_json()
    assert PLANTED not in repr(Login(PLANTED, 1, True))


def test_a_file_is_asked_for_only_by_the_method_that_needs_it(tmp_path: Path) -> None:
    assert vault(jwt_file=tmp_path / "nothing").auth == "token"


# Paths in Vault


def test_an_entrys_path() -> None:
    assert entry_path("a/b", "team-a", "connections", "x.y-z") == "a/b/team-a/connections/x.y-z"


@pytest.mark.parametrize("segment", ["", ".", "..", ".hidden", "a/b", "a b", "é", "a\n", "%2e%2e", "a?b", "a#b"])
@pytest.mark.parametrize("place", range(3))
def test_no_segment_leads_elsewhere(segment: str, place: int) -> None:
    parts = ["team-a", "connections", "x"]
    parts[place] = segment
    with pytest.raises(ValueError, match="can't be a segment"):
        entry_path("jetbridge", *parts)
