"""Kubeconfigs: one by client certificate for a person, one by token file for the operator."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from dev.files import write_private
from dev.pki import Pair


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _document(server: str, ca: Path, user: dict[str, Any]) -> str:
    context = {"cluster": "jetbridge-local", "user": "user", "namespace": "default"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "jetbridge-local", "cluster": {"server": server, "certificate-authority-data": _encoded(ca)}}
        ],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "jetbridge-local", "context": context}],
        "current-context": "jetbridge-local",
    }
    return yaml.safe_dump(document, sort_keys=False)


def write_certificate_kubeconfig(path: Path, server: str, ca: Path, client: Pair) -> None:
    """Everything inside: the file works wherever it is copied to."""
    user = {"client-certificate-data": _encoded(client.certificate), "client-key-data": _encoded(client.key)}
    write_private(path, _document(server, ca, user))


def write_token_kubeconfig(path: Path, server: str, ca: Path, token_file: Path) -> None:
    """The token by its file, as a pod has it, so that a fresh token needs no new kubeconfig."""
    write_private(path, _document(server, ca, {"tokenFile": str(token_file)}))
