import pytest
from tests.integration.test_hardening import *
from tests.integration.test_hardening import _create_unvalidated,_nested,_ready
from tests.integration.conftest import *
async def test_peek(world: World) -> None:
    await world.apply(deployment("local"))
    await _create_unvalidated(world, "deep", f'{{"extra":{_nested(DEEP)},"type":"x","sharing":"LinkedToAll"}}')
    await world.operator.settled()
    import asyncio; await asyncio.sleep(2)
    w=_ready(await world.status("Connection", "deep")); print("PEEK", w[:2], len(w[2]), w[2][:300])
    w=_ready(await world.status("AirflowDeployment", "local")); print("PEEK", w[:2], w[2][:300])
