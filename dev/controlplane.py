"""etcd and kube-apiserver on loopback: RBAC, real validation, real watches; no controllers, no nodes."""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path

from dev.errors import StackError
from dev.files import private_dir, read_json, write_json, write_private
from dev.kubeconfig import write_certificate_kubeconfig
from dev.pki import Pki
from dev.ports import LOOPBACK, free_ports, is_free
from dev.processes import ProcessTable
from dev.readiness import PortTakenError, wait_ready
from dev.tools import Tools

ISSUER = "https://kubernetes.default.svc"
READY_LIMIT_SECONDS = 90.0
PORT_ATTEMPTS = 4

# Who wrote what, and who read secrets: without bodies, so that the log itself holds no value.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
  verbs: [get, list, watch]
  resources: [{group: "", resources: [secrets]}]
- level: None
"""


class ControlPlane:
    """The two servers of one state folder. Ports, once chosen, stay: kubeconfigs elsewhere point to them."""

    def __init__(self, folder: Path, table: ProcessTable, pki: Pki) -> None:
        """Attach to what is in `folder`; nothing is started yet."""
        self._folder = folder
        self._table = table
        self._pki = pki
        self._state_file = folder / "controlplane.json"
        self.audit_log = folder / "audit.log"
        self.admin_kubeconfig = folder / "admin.kubeconfig"

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://{LOOPBACK}:{self._port('api')}"

    def _port(self, name: str) -> int:
        state = read_json(self._state_file)
        if state is None:
            raise StackError("the control plane was never started; `make up` starts it")
        return int(state[name])

    def launch(self, tools: Tools, *, audit: bool) -> None:
        """Start what does not run, without waiting; the API server waits for etcd by itself."""
        self._pki.ensure()
        if read_json(self._state_file) is None:
            self._choose_ports()
        if self._table.running("etcd") is None:
            self._require_free("etcd", "etcd_peer")
            self._start_etcd(tools)
        if self._table.running("kube-apiserver") is None:
            self._require_free("api")
            self._start_api(tools, audit)
        write_certificate_kubeconfig(self.admin_kubeconfig, self.server, self._pki.ca.certificate, self._pki.admin)

    def ensure(self, tools: Tools, *, audit: bool) -> None:
        """Have both running and ready; on a lost race for a port take others."""
        for attempt in range(PORT_ATTEMPTS):
            try:
                self.launch(tools, audit=audit)
                self.wait_ready()
                return
            except PortTakenError:
                if attempt == PORT_ATTEMPTS - 1:
                    raise
                self._table.stop("kube-apiserver")
                self._table.stop("etcd")
                self._choose_ports()

    def wait_ready(self, limit: float = READY_LIMIT_SECONDS) -> None:
        """Until /readyz says yes, which includes etcd; an etcd that died is told as such."""
        if self._table.running("etcd") is None:
            wait_ready(self._table, "etcd", lambda: False, 0.0)
        wait_ready(self._table, "kube-apiserver", self._ready_or_etcd_gone, limit)
        wait_ready(self._table, "etcd", self.is_ready, 5.0)

    def _ready_or_etcd_gone(self) -> bool:
        return self._table.running("etcd") is None or self.is_ready()

    def is_ready(self) -> bool:
        """Ask /readyz as the administrator."""
        context = ssl.create_default_context(cafile=str(self._pki.ca.certificate))
        context.load_cert_chain(self._pki.admin.certificate, self._pki.admin.key)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"{self.server}/readyz", timeout=3) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def stop_api(self) -> None:
        """Take the API server away; etcd and its data stay."""
        self._table.stop("kube-apiserver")

    def start_api(self, tools: Tools, *, audit: bool) -> None:
        """Bring it back at the same address."""
        self.launch(tools, audit=audit)
        self.wait_ready()

    def _require_free(self, *names: str) -> None:
        """Tell at once: what listens there instead could be taken for ours."""
        for port in map(self._port, names):
            if not is_free(port):
                raise PortTakenError(
                    f"port {port} of {names[0]} is taken by another program; `make up` chooses another"
                )

    def _choose_ports(self) -> None:
        etcd, peer, api = free_ports(3)
        write_json(self._state_file, {"etcd": etcd, "etcd_peer": peer, "api": api})

    def _start_etcd(self, tools: Tools) -> None:
        client = f"http://{LOOPBACK}:{self._port('etcd')}"
        peer = f"http://{LOOPBACK}:{self._port('etcd_peer')}"
        argv = [
            str(tools.etcd),
            f"--data-dir={private_dir(self._folder / 'etcd')}",
            "--unsafe-no-fsync",  # a crash of the machine may lose the data, which is disposable; writes are faster
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
        ]
        self._table.start("etcd", argv, address=client)

    def _start_api(self, tools: Tools, audit: bool) -> None:
        pki = self._pki
        argv = [
            str(tools.kube_apiserver),
            f"--etcd-servers=http://{LOOPBACK}:{self._port('etcd')}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self._port('api')}",
            "--endpoint-reconciler-type=none",  # it would refuse a loopback address as an endpoint, again and again
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--cert-dir={private_dir(self._folder / 'apiserver')}",
            f"--tls-cert-file={pki.api_server.certificate}",
            f"--tls-private-key-file={pki.api_server.key}",
            f"--client-ca-file={pki.ca.certificate}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-signing-key-file={pki.service_account_key}",
            f"--service-account-key-file={pki.service_account_public}",
            "--shutdown-delay-duration=0s",
            "--profiling=false",
        ]
        if audit:
            policy = self._folder / "audit-policy.yaml"
            write_private(policy, AUDIT_POLICY)
            # Blocking: a line is there before its request is answered, so that a test can count.
            argv += [
                f"--audit-policy-file={policy}",
                f"--audit-log-path={self.audit_log}",
                "--audit-log-mode=blocking",
                "--audit-log-maxsize=1024",
            ]
        self._table.start("kube-apiserver", argv, address=self.server)
