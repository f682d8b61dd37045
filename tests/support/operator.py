"""The operator, inside the test's process: in a thread with an event loop of its own.

A loop of its own because kopf, when it ends, cancels every task of its loop that is younger than itself.
"""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

from dev.stack import LocalStack
from dev.vaultserver import AUTH_MOUNT, MOUNT, PREFIX, ROLE
from jetbridge.shell.context import Context
from jetbridge.shell.operator import Operator
from jetbridge.shell.settings import OperatorSettings, VaultSettings
from tests.support.waiting import eventually

T = TypeVar("T")
START_LIMIT_SECONDS = 20.0
QUIET_SECONDS = 0.3


def settings_for(stack: LocalStack, **changes: object) -> OperatorSettings:
    """Settings as the chart would give them: the operator's own ServiceAccount, and no right beyond."""
    return OperatorSettings.model_validate(
        {
            "vault": VaultSettings(
                address=stack.vault_addr,
                auth="jwt",
                auth_mount=AUTH_MOUNT,
                role=ROLE,
                jwt_file=stack.operator_vault_jwt,
                mount=MOUNT,
                prefix=PREFIX,
            ),
            "kubeconfig": stack.operator_kubeconfig,
            "listen_host": "127.0.0.1",
            "listen_port": 0,
            **changes,
        }
    )


class RunningOperator:
    """One operator from start to stop or crash."""

    def __init__(self, settings: OperatorSettings, prepare: Callable[[Operator], None] = lambda _: None) -> None:
        """`prepare` may put something between the operator and its servers."""
        self._operator = Operator(settings)
        prepare(self._operator)
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._context: Context | None = None
        self._error: BaseException | None = None

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._main())
            except asyncio.CancelledError:
                pass
            except BaseException as error:
                self._error = error

    async def _main(self) -> None:
        self._task = asyncio.current_task()
        await self._operator.run(self._stop, self._started)

    def _started(self, context: Context) -> None:
        self._context = context

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def get(self, path: str) -> tuple[int, str]:
        """Asks its own HTTP server: status and text."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._operator.port}{path}", timeout=5) as response:
                return int(response.status), response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    async def start(self, *, ready: bool = True) -> None:
        """Starts it and waits until it has seen everything."""
        self._thread.start()

        async def check() -> None:
            if self._error is not None:
                raise RuntimeError("the operator ended") from self._error
            status, text = await asyncio.to_thread(self.get, "/readyz")
            assert status == 200, f"/readyz says {status} {text}"

        if ready:
            await eventually(check, "the operator is ready", START_LIMIT_SECONDS)

    async def ask(self, question: Callable[[Context], T]) -> T:
        """Asks in the operator's own thread."""
        assert self._context is not None, "the operator has not started"
        assert self.running, f"the operator has ended: {self._error!r}"
        context = self._context

        async def answer() -> T:
            return question(context)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(), self._loop))

    async def settled_or(self, ended: threading.Event) -> None:
        """Waits until it is at rest, or `ended` is set."""
        resting = asyncio.create_task(self.settled())
        while not resting.done() and not ended.is_set():
            await asyncio.wait([resting], timeout=0.02)
        if not resting.done():
            resting.cancel()
        else:
            await resting

    async def settled(self, quiet: float = QUIET_SECONDS, limit: float = 15.0) -> None:
        """Waits until nothing is due and nothing was, for a moment."""
        loop = asyncio.get_running_loop()
        began = idle_since = loop.time()
        while loop.time() - idle_since < quiet:
            if not await self.ask(lambda context: context.queue.idle()):
                idle_since = loop.time()
            assert loop.time() - began < limit, f"the operator is not at rest after {limit:.0f} s"
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Ends it in an orderly way; what it died of, if it did, is raised."""
        if self.running:
            self._loop.call_soon_threadsafe(self._stop.set)
        await self._ended()
        if self._error is not None:
            raise RuntimeError("the operator ended with an error") from self._error

    async def crash(self) -> None:
        """Ends it without a chance to do anything more."""
        if self.running:
            self._loop.call_soon_threadsafe(self._cancel)
        await self._ended()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _ended(self) -> None:
        await asyncio.to_thread(self._thread.join, 20.0)
        assert not self.running, "the operator does not end"
