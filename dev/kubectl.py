"""kubectl against one cluster, whatever the environment points to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dev.errors import StackError

LIMIT_SECONDS = 120.0


class Kubectl:
    """kubectl with a fixed kubeconfig."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        """Use this program and kubeconfig."""
        self.program = program
        self.kubeconfig = kubeconfig

    def run(
        self, *args: str, stdin: str | None = None, limit: float = LIMIT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run it; the caller looks at the exit code."""
        env = {
            key: value
            for key, value in os.environ.items()
            if key.lower() not in ("http_proxy", "https_proxy", "all_proxy")
        }
        env["KUBECONFIG"] = str(self.kubeconfig)
        argv = [str(self.program), *args]
        try:
            return subprocess.run(
                argv,
                env=env,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"kubectl {' '.join(args[:3])} did not end within {limit:.0f} s") from error
        except OSError as error:
            raise StackError(f"{self.program} could not be run: {error}") from error

    def __call__(self, *args: str, stdin: str | None = None, limit: float = LIMIT_SECONDS) -> str:
        """Run it and give its output; a failure is an error with what it said."""
        result = self.run(*args, stdin=stdin, limit=limit)
        if result.returncode != 0:
            raise StackError(f"kubectl {' '.join(args[:3])} failed: {result.stderr.strip() or result.stdout.strip()}")
        return result.stdout
