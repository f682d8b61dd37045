"""The gate before Vault: who asks while it is away, and who is woken when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jetbridge.core.graph import Key
from jetbridge.shell.vault.contract import CasMismatch, VaultDenied, VaultError, VaultUnavailable
from jetbridge.shell.vault.gate import VaultGate
from tests.fakes.clock import run_virtually
from tests.fakes.store import FakeStore

A, B = Key("Connection", "a", "a"), Key("Connection", "b", "b")


class Case:
    """A gate before a fake, and what it did."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.woken: list[Key] = []
        self.told: list[bool] = []
        self.probes: list[float] = []
        self.gate = VaultGate(self.store, self.probe, self.woken.append, self.told.append)

    async def probe(self) -> None:
        self.probes.append(asyncio.get_running_loop().time())
        await self.store.read_state("probe", content=False)

    async def fall(self) -> None:
        """Vault goes away, and somebody notices."""
        self.store.sealed = True
        with pytest.raises(VaultUnavailable):
            await self.gate.read_state("x", content=False)


def virtually(test: Callable[[Case], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        case = Case()
        watching = asyncio.create_task(case.gate.watch())
        await test(case)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run_virtually(main)


def test_while_vault_is_there_calls_go_through() -> None:
    async def test(case: Case) -> None:
        await case.gate.write_metadata("x", {"a": "b"})
        assert await case.gate.put("x", {"a": "b"}, 0) == 1
        assert await case.gate.read_version("x", 1) == {"a": "b"}
        await case.gate.soft_delete("x", [1])
        state = await case.gate.read_state("x", content=True)
        assert state is not None
        assert not state.live
        assert case.gate.up
        assert case.probes == []

    virtually(test)


def test_while_vault_is_away_nobody_but_the_gate_asks() -> None:
    async def test(case: Case) -> None:
        await case.fall()
        case.store.calls.clear()
        for _ in range(20):
            with pytest.raises(VaultUnavailable):
                await case.gate.put("x", {}, 0)
        assert case.store.calls == []
        assert case.told == [False]

    virtually(test)


def test_probes_come_with_a_growing_pause_that_stays_bounded() -> None:
    async def test(case: Case) -> None:
        await case.fall()
        await asyncio.sleep(120.0)
        pauses = [b - a for a, b in zip(case.probes, case.probes[1:], strict=False)]
        assert pauses[0] < 1.0
        assert pauses == sorted(pauses)
        assert max(pauses) == pytest.approx(5.0)

    virtually(test)


def test_when_vault_is_back_each_waiting_key_is_woken_once() -> None:
    async def test(case: Case) -> None:
        await case.fall()
        for key in (A, B, A):
            case.gate.wait_for_vault(key)
        case.store.sealed = False
        await asyncio.sleep(10.0)
        assert case.gate.up
        assert sorted(case.woken) == [A, B]
        assert case.told == [False, True]
        await asyncio.sleep(100.0)
        assert len(case.woken) == 2
        assert len(case.probes) == 1, "it probes what is there"

    virtually(test)


def test_vault_may_come_and_go() -> None:
    async def test(case: Case) -> None:
        for _ in range(3):
            await case.fall()
            case.gate.wait_for_vault(A)
            case.store.sealed = False
            await asyncio.sleep(10.0)
            assert case.gate.up
        assert case.woken == [A, A, A]

    virtually(test)


@pytest.mark.parametrize("error", [VaultDenied("x"), CasMismatch("x")])
def test_a_refusal_does_not_close_the_gate(error: VaultError) -> None:
    async def test(case: Case) -> None:
        case.store.faults.fail_read(1, error)
        with pytest.raises(type(error)):
            await case.gate.read_state("x", content=False)
        assert case.gate.up

    virtually(test)


def test_a_probe_that_is_refused_is_an_answer() -> None:
    """A sealed Vault that comes back with a narrower policy must not stay 'away' for ever."""

    async def test(case: Case) -> None:
        await case.fall()
        case.store.sealed, case.store.denied = False, True
        case.gate.wait_for_vault(A)
        await asyncio.sleep(60.0)
        assert case.gate.up
        assert case.woken == [A]

    virtually(test)
