"""Reconciles one Workspace: its status only; its consent is read where deployments are resolved."""

from __future__ import annotations

from jetbridge.core.graph import Key
from jetbridge.core.resolve import admits
from jetbridge.core.status import workspace_status
from jetbridge.runtime.workers import Done, Result
from jetbridge.shell.context import Context
from jetbridge.shell.reconcile import timestamp


class WorkspaceReconciler:
    """Tells a workspace's owner how many deployments of other namespaces use it."""

    def __init__(self, context: Context) -> None:
        self._ctx = context

    async def reconcile(self, key: Key) -> Result:
        """One pass over one Workspace."""
        state = self._ctx.state
        view = state.workspaces.get(key.namespace, key.name)
        if view is None or view.meta.deleting:
            return Done()
        users = 0
        for deployment in state.deployments_using(key.namespace):
            away = deployment.meta.namespace
            namespace = state.namespace(away)
            labels = namespace.labels if namespace is not None else None
            users += away != key.namespace and admits(view, key.namespace, away, labels)
        await self._ctx.report(view, workspace_status(view, users, timestamp(self._ctx.now())))
        return Done()
