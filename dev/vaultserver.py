"""A real Vault on loopback, not in dev mode: sealed at start, data kept over restarts, JWT login for the operator."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Literal

from dev.controlplane import ISSUER
from dev.errors import StackError
from dev.files import private_dir, read_json, write_json, write_private
from dev.ports import LOOPBACK, free_ports, is_free
from dev.processes import ProcessTable
from dev.readiness import PortTakenError, wait_ready
from dev.tools import Tools
from dev.vaulthttp import VaultHttp, VaultRefusedError

MOUNT = "secret"
PREFIX = "jetbridge"
AUTH_MOUNT = "jwt"
ROLE = "jetbridge"
AUDIENCE = "vault"
READY_LIMIT_SECONDS = 60.0
PORT_ATTEMPTS = 4

Storage = Literal["raft", "inmem"]

# Its own prefix and no more. The default policy, which every token has, adds looking up and renewing oneself.
POLICY = f"""\
# values: written with check-and-set, read to compare, soft-deleted on withdrawal
path "{MOUNT}/data/{PREFIX}/*" {{
  capabilities = ["create", "read", "update", "delete", "list"]
}}
# custom metadata says whose an entry is; listing finds orphans; deleting removes all versions
path "{MOUNT}/metadata/{PREFIX}/*" {{
  capabilities = ["create", "read", "update", "delete", "list"]
}}
# single versions: soft-delete, bring back, destroy
path "{MOUNT}/delete/{PREFIX}/*" {{
  capabilities = ["create", "read", "update", "delete", "list"]
}}
path "{MOUNT}/undelete/{PREFIX}/*" {{
  capabilities = ["create", "read", "update", "delete", "list"]
}}
path "{MOUNT}/destroy/{PREFIX}/*" {{
  capabilities = ["create", "read", "update", "delete", "list"]
}}
"""


class VaultServer:
    """The Vault of one state folder."""

    def __init__(self, folder: Path, table: ProcessTable, *, storage: Storage = "raft") -> None:
        """Attach to what is in `folder`; `inmem` forgets all when the process ends; its writes are ten times faster."""
        self._folder = folder
        self._table = table
        self._ports_file = folder / "ports.json"
        self._keys_file = folder / "keys.json"
        self._data = folder / "data"
        self._storage = storage

    @property
    def address(self) -> str:
        """Where it listens."""
        ports = read_json(self._ports_file)
        if ports is None:
            raise StackError("vault was never started; `make up` starts it")
        return f"http://{LOOPBACK}:{ports['api']}"

    @property
    def root_token(self) -> str:
        """For a person or a test to look with; the operator never gets it."""
        return self._key("root_token")

    def client(self, token: str | None = None) -> VaultHttp:
        """Plain HTTP with this token, else with the root token."""
        return VaultHttp(self.address, token or self.root_token)

    def _key(self, name: str) -> str:
        keys = read_json(self._keys_file)
        if keys is None:
            raise StackError("vault is not initialised; `make up` does it")
        return str(keys[name])

    def launch(self, tools: Tools) -> None:
        """Start the process if it does not run, without waiting."""
        if self._table.running("vault") is not None:
            return
        if self._storage == "inmem":
            self._keys_file.unlink(missing_ok=True)  # they were of the process that is gone
        ports = read_json(self._ports_file)
        # Somebody else's Vault may have come to listen there meanwhile: it must not be taken for ours.
        if ports is None or not (is_free(int(ports["api"])) and is_free(int(ports["cluster"]))):
            self._choose_ports()
        config = self._folder / "config.json"
        write_private(config, json.dumps(self._config(), indent=2))
        self._table.start("vault", [str(tools.vault), "server", f"-config={config}"], address=self.address)

    def ensure(self, tools: Tools, jwt_public_key: str) -> None:
        """Have it running, initialised, unsealed and set up; what is already so is left alone."""
        self._ensure_unsealed(tools)
        self._configure(jwt_public_key)

    def _ensure_unsealed(self, tools: Tools) -> None:
        for attempt in range(PORT_ATTEMPTS):
            self.launch(tools)
            try:
                wait_ready(
                    self._table, "vault", lambda: VaultHttp(self.address).health() is not None, READY_LIMIT_SECONDS
                )
            except PortTakenError:
                if attempt == PORT_ATTEMPTS - 1:
                    raise
                self._choose_ports()
                continue
            if self._initialise():
                break
        self.unseal()

    def start(self, tools: Tools) -> None:
        """Bring the stopped server back at the same address and unseal it. With `inmem` it would be empty: refused."""
        if self._storage == "inmem":
            raise StackError("a Vault in memory has nothing to come back with; use raft storage for this")
        self._ensure_unsealed(tools)

    def stop(self) -> None:
        """End the process; with raft storage the data stay."""
        self._table.stop("vault")

    def seal(self) -> None:
        """Seal it: it answers 503 to everything until `unseal`."""
        self.client().call("PUT", "sys/seal")

    def unseal(self) -> None:
        """Unseal it, and wait until it is active."""
        if VaultHttp(self.address).health() == 503:
            VaultHttp(self.address).call("PUT", "sys/unseal", {"key": self._key("unseal_key")})
        wait_ready(self._table, "vault", lambda: VaultHttp(self.address).health() == 200, READY_LIMIT_SECONDS)

    def enable_audit(self, path: Path) -> None:
        """Write a line for each request and answer, values as HMACs (log_raw stays off)."""
        body = {"type": "file", "options": {"file_path": str(path), "mode": "0600"}}
        self.client().call("PUT", "sys/audit/file", body)

    def disable_audit(self) -> None:
        """Stop writing it."""
        self.client().call("DELETE", "sys/audit/file")

    def _choose_ports(self) -> None:
        api, cluster = free_ports(2)
        write_json(self._ports_file, {"api": api, "cluster": cluster})

    def _config(self) -> dict[str, object]:
        ports = read_json(self._ports_file) or {}
        if self._storage == "raft":  # the only storage on disk that the minimal build has
            raft = {"path": str(private_dir(self._data)), "node_id": "local", "performance_multiplier": 1}
            storage: dict[str, object] = {"raft": raft}
        else:
            storage = {"inmem": {}}
        listener = {
            "address": f"{LOOPBACK}:{ports['api']}",
            "cluster_address": f"{LOOPBACK}:{ports['cluster']}",
            "tls_disable": True,
        }
        return {
            "storage": storage,
            "listener": {"tcp": listener},
            "api_addr": f"http://{LOOPBACK}:{ports['api']}",
            "cluster_addr": f"https://{LOOPBACK}:{ports['cluster']}",
            "disable_mlock": True,  # needs a privilege that a person's process has not
        }

    def _initialise(self) -> bool:
        """Initialise a new Vault; False after clearing one whose keys were lost (by a kill before they were kept)."""
        if VaultHttp(self.address).health() != 501:
            if self._keys_file.exists():
                return True
            self._table.stop("vault")
            shutil.rmtree(self._data, ignore_errors=True)
            return False
        answer = VaultHttp(self.address).call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        write_json(self._keys_file, {"unseal_key": answer["keys"][0], "root_token": answer["root_token"]})
        return True

    def _configure(self, jwt_public_key: str) -> None:
        vault = self.client()
        if f"{MOUNT}/" not in vault.call("GET", "sys/mounts")["data"]:
            vault.call("POST", f"sys/mounts/{MOUNT}", {"type": "kv", "options": {"version": "2"}})
        self._wait_for_kv(vault)
        if f"{AUTH_MOUNT}/" not in vault.call("GET", "sys/auth")["data"]:
            vault.call("POST", f"sys/auth/{AUTH_MOUNT}", {"type": "jwt"})
        # The API server's own key: Vault needs no way to it, and trusts no other issuer.
        vault.call(
            "POST", f"auth/{AUTH_MOUNT}/config", {"jwt_validation_pubkeys": [jwt_public_key], "bound_issuer": ISSUER}
        )
        vault.call("PUT", f"sys/policies/acl/{ROLE}", {"policy": POLICY})
        role = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": [AUDIENCE],
            "bound_subject": "system:serviceaccount:jetbridge-system:jetbridge",
            "token_policies": [ROLE],
            "token_ttl": "1h",
        }
        vault.call("POST", f"auth/{AUTH_MOUNT}/role/{ROLE}", role)

    @staticmethod
    def _wait_for_kv(vault: VaultHttp) -> None:
        """A fresh KV v2 mount refuses for a moment, while it prepares itself."""
        deadline = time.monotonic() + 20.0
        while True:
            try:
                vault.call("GET", f"{MOUNT}/config")
                return
            except VaultRefusedError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
