"""The whole local stack: what `make up` starts, and what the integration tests stand on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dev import operatorprocess
from dev.controlplane import ControlPlane
from dev.errors import StackError
from dev.files import private_dir, read_json, write_json, write_private
from dev.kubeconfig import write_token_kubeconfig
from dev.kubectl import Kubectl
from dev.locks import exclusive
from dev.operatorprocess import OperatorProcess, process_env
from dev.pki import Pki
from dev.processes import ProcessTable, Record
from dev.progress import Progress, Silent
from dev.readiness import wait_until
from dev.tools import Tools, find_all
from dev.vaultserver import AUDIENCE, AUTH_MOUNT, MOUNT, PREFIX, ROLE, Storage, VaultServer

REPOSITORY = Path(__file__).resolve().parent.parent
CRDS = REPOSITORY / "crds"
RBAC = Path(__file__).parent / "manifests" / "operator-rbac.yaml"
NAMESPACE = "jetbridge-system"
SERVICE_ACCOUNT = "jetbridge"
TOKEN_LIFETIME = "24h"  # nothing renews it here as a kubelet would; each `up` writes a fresh one
# What a stack writes, and `remove` takes away: nothing else that a person may have put there.
OWN_FILES = (
    "processes",
    "logs",
    "pki",
    "kubernetes",
    "vault",
    "operator",
    "stack.json",
    "tools.json",
    "kubeconfig",
    "env",
    ".gitignore",
)


class LocalStack:
    """etcd, API server, Vault and operator of one state folder; any process can attach to them."""

    def __init__(self, state_dir: Path, *, audit: bool = False, vault_storage: Storage = "raft") -> None:
        """Nothing is started yet. `audit` logs API writes and secret reads; an `inmem` Vault cannot restart."""
        self.state_dir = state_dir.absolute()
        self.audit = audit
        self.processes = ProcessTable(self.state_dir / "processes", self.state_dir / "logs")
        self.pki = Pki(self.state_dir / "pki")
        self.control_plane = ControlPlane(self.state_dir / "kubernetes", self.processes, self.pki)
        self.vault = VaultServer(self.state_dir / "vault", self.processes, storage=vault_storage)
        self.vault_storage = vault_storage
        self.operator = OperatorProcess(self.state_dir / "operator", self.processes)
        self.admin_kubeconfig = self.control_plane.admin_kubeconfig
        self.operator_kubeconfig = self.state_dir / "operator" / "kubeconfig"
        self.operator_token = self.state_dir / "operator" / "kube-token"
        self.operator_vault_jwt = self.state_dir / "operator" / "vault-jwt"
        self.audit_log = self.control_plane.audit_log

    @classmethod
    def attach(cls, state_dir: Path) -> LocalStack:
        """The stack that another process started here."""
        state = read_json(state_dir / "stack.json")
        if state is None:
            raise StackError(f"no local stack in {state_dir}; `make up` starts one")
        return cls(state_dir, audit=bool(state["audit"]), vault_storage=state["vault_storage"])

    @contextmanager
    def locked(self, progress: Progress | None = None) -> Iterator[None]:
        """One at a time changes what runs here."""
        private_dir(self.state_dir)
        waiting = (progress or Silent()).note
        with exclusive(self.state_dir / "lock", waiting=lambda: waiting("waiting for another command on this stack")):
            yield

    # Starting and ending

    def start(self, progress: Progress | None = None) -> None:
        """Have both servers running and set up for the operator (started separately); what runs already is kept."""
        progress = progress or Silent()
        tools = find_all(progress)
        write_json(self.state_dir / "stack.json", {"audit": self.audit, "vault_storage": self.vault_storage})
        write_json(self.state_dir / "tools.json", {name: str(getattr(tools, name)) for name in Tools.__slots__})
        self.pki.ensure()
        self.vault.launch(tools)  # starts up while the API server does
        with progress.step("Kubernetes API server") as step:
            self.control_plane.ensure(tools, audit=self.audit)
            step.detail = self.control_plane.server
        with progress.step("Vault") as step:
            self.vault.ensure(tools, self.pki.service_account_public.read_text(encoding="utf-8"))
            step.detail = self.vault.address
        with progress.step("ServiceAccount, RBAC and tokens of the operator"):
            self.install_rbac()
            self.refresh_tokens()
        with progress.step("CRDs") as step:
            count = self.install_crds()
            step.detail = f"{count} file{'' if count == 1 else 's'}"

    def stop(self) -> None:
        """End everything that runs here, the operator before its servers; state and data stay."""
        self._stop_only({record.name for record in self.processes.all()})

    def stop_started_here(self) -> None:
        """End what this very object started: an interrupted start takes back its own, and leaves the rest."""
        self._stop_only(set(self.processes.started_here))

    def _stop_only(self, names: set[str]) -> None:
        order = ["operator", "kube-apiserver", "vault", "etcd"]
        for name in [*order, *sorted(names - set(order))]:
            if name in names:
                self.processes.stop(name)

    def remove(self) -> None:
        """End everything and take the state away, so that the next start is clean."""
        self.stop()
        for name in OWN_FILES:
            path = self.state_dir / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    # The pieces, for fault tests

    @property
    def tools(self) -> Tools:
        """The programs that this stack was started with."""
        state = read_json(self.state_dir / "tools.json")
        if state is None:
            raise StackError(f"no local stack in {self.state_dir}; `make up` starts one")
        return Tools(**{name: Path(str(state[name])) for name in Tools.__slots__})

    def stop_api(self) -> None:
        """Take the API server away."""
        self.control_plane.stop_api()

    def start_api(self) -> None:
        """Bring it back at the same address."""
        self.control_plane.start_api(self.tools, audit=self.audit)

    def stop_vault(self) -> None:
        """Take Vault away."""
        self.vault.stop()

    def start_vault(self) -> None:
        """Bring it back at the same address, unsealed, with its data."""
        self.vault.start(self.tools)

    # What the operator stands on

    @property
    def kubectl(self) -> Kubectl:
        """kubectl as administrator."""
        return Kubectl(self.tools.kubectl, self.admin_kubeconfig)

    @property
    def vault_addr(self) -> str:
        """Vault's address."""
        return self.vault.address

    @property
    def vault_root_token(self) -> str:
        """For looking with; the operator never gets it."""
        return self.vault.root_token

    def install_rbac(self) -> None:
        """The operator's ServiceAccount and rights."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(RBAC))

    def refresh_tokens(self) -> None:
        """Two fresh tokens of the operator's ServiceAccount, one for the API server and one for Vault alone."""
        common = ("create", "token", SERVICE_ACCOUNT, "--namespace", NAMESPACE, "--duration", TOKEN_LIFETIME)
        write_private(self.operator_token, self.kubectl(*common).strip())
        write_private(self.operator_vault_jwt, self.kubectl(*common, "--audience", AUDIENCE).strip())
        write_token_kubeconfig(
            self.operator_kubeconfig, self.control_plane.server, self.pki.ca.certificate, self.operator_token
        )

    def install_crds(self, folder: Path | None = None) -> int:
        """Apply every CRD and wait until it is served; the number of files."""
        folder = folder or CRDS
        files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
        if not files:
            return 0
        arguments = [argument for file in files for argument in ("-f", str(file))]
        self.kubectl("apply", "--server-side", "--force-conflicts", *arguments)
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *arguments)
        self._wait_until_served(arguments)
        return len(files)

    def _wait_until_served(self, arguments: list[str]) -> None:
        """Established is not yet served: for a moment the API server answers that the storage is being initialised."""
        plurals = self.kubectl("get", *arguments, "-o", "jsonpath={range .items[*]}{.metadata.name} {end}").split()

        def served() -> bool:
            return all(self.kubectl.run("get", plural, "-A").returncode == 0 for plural in plurals)

        wait_until(served, "the CRDs to be served", limit=30.0)

    # The operator

    def operator_settings(self) -> dict[str, str]:
        """What the operator is told, by its environment."""
        return {
            "KUBECONFIG": str(self.operator_kubeconfig),
            "JETBRIDGE_VAULT_ADDRESS": self.vault_addr,
            "JETBRIDGE_VAULT_AUTH": "jwt",
            "JETBRIDGE_VAULT_AUTH_MOUNT": AUTH_MOUNT,
            "JETBRIDGE_VAULT_ROLE": ROLE,
            "JETBRIDGE_VAULT_JWT_FILE": str(self.operator_vault_jwt),
            "JETBRIDGE_VAULT_MOUNT": MOUNT,
            "JETBRIDGE_VAULT_PREFIX": PREFIX,
            "JETBRIDGE_LISTEN": self.operator.listen(),
        }

    def operator_env(self) -> dict[str, str]:
        """The whole environment of an operator: this process's, without its Vault and cluster, with its settings."""
        return process_env(self.operator_settings())

    def start_operator(
        self,
        *,
        extra_env: Mapping[str, str] | None = None,
        command: Sequence[str] = operatorprocess.COMMAND,
        wait: bool = True,
        limit: float = operatorprocess.READY_LIMIT_SECONDS,
    ) -> None:
        """Start it and wait until it is ready; `wait=False` for tests that kill it meanwhile."""
        settings = self.operator_settings()
        self.operator.start(
            settings, servers=self._servers(), command=command, extra_env=extra_env, wait=wait, limit=limit
        )

    def ensure_operator(self) -> None:
        """Have it running; one that was started against other addresses than the servers have now is replaced."""
        if self.operator_running() is not None:
            if self.operator.started_for(self._servers()):
                return
            self.stop_operator()
        self.start_operator()

    def _servers(self) -> list[str]:
        return [self.control_plane.server, self.vault_addr]

    def stop_operator(self) -> None:
        """End it in an orderly way."""
        self.processes.stop(operatorprocess.NAME)

    def kill_operator(self) -> None:
        """End it at once, as a crash would."""
        self.processes.kill(operatorprocess.NAME)

    def operator_running(self) -> Record | None:
        """Its process, if it runs."""
        return self.processes.running(operatorprocess.NAME)


def write_person_files(stack: LocalStack) -> tuple[Path, Path]:
    """`kubeconfig` and `env` at the top of the state folder: what a person needs to look around."""
    kubeconfig, env = stack.state_dir / "kubeconfig", stack.state_dir / "env"
    write_private(kubeconfig, stack.admin_kubeconfig.read_bytes())
    lines = (("KUBECONFIG", str(kubeconfig)), ("VAULT_ADDR", stack.vault_addr), ("VAULT_TOKEN", stack.vault_root_token))
    text = "".join(f"export {name}='{value}'\n" for name, value in lines)
    elsewhere = [p for p in (stack.tools.kubectl, stack.tools.vault) if shutil.which(p.name) != str(p)]
    if elsewhere:
        folders = ":".join(dict.fromkeys(str(p.parent) for p in elsewhere))
        text += f"export PATH='{folders}':\"$PATH\"\n"
    write_private(env, text)
    return kubeconfig, env
