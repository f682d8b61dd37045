"""Laws that hold in every world. `tests/strategies.py` draws them; a failing one is shown whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetbridge.core import manifest as manifests
from jetbridge.core.airflow import env_name
from jetbridge.core.material import sources_of
from jetbridge.core.outcome import Outcome, WriteFailure
from jetbridge.core.resolve import admits
from jetbridge.core.status import Ingested, connection_status, deployment_status, link_status
from jetbridge.core.views import ConnectionView, DeploymentView, Owner, SourceView
from tests.strategies import NOW, PLANTED, Secrets, Step, World, changes, execute, step, worlds

LAWS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def after(world: World, secrets: Secrets | None = None) -> Secrets:
    """The Secrets after every deployment was reconciled once."""
    held: Secrets = dict(secrets or {})
    for deployment in world.deployments:
        held = execute(step(world, deployment, held).plan.actions, held)
    return held


def steps_of(world: World, secrets: Secrets) -> Iterator[Step]:
    """What each deployment decides, all on the same Secrets."""
    return (step(world, deployment, secrets) for deployment in world.deployments)


def data_of(secrets: Secrets) -> dict[tuple[str, str], dict[str, str]]:
    return {place: {k: v.text() for k, v in s.data.items()} for place, s in secrets.items()}


def owners(world: World) -> Iterator[Owner]:
    yield from world.connections
    yield from world.links


@LAWS
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_inputs_does_not_matter(world: World, rng: random.Random) -> None:
    other = world.shuffled(rng)
    for deployment in world.deployments:
        one, two = step(world, deployment, {}), step(other, deployment, {})
        assert one.resolution == two.resolution
        assert one.outcome == two.outcome
        assert one.plan.actions == two.plan.actions


@LAWS
@given(changes())
def test_an_executed_plan_plans_nothing_more(change: tuple[World, World]) -> None:
    before, now = change
    held = after(now, after(before))
    for again in steps_of(now, held):
        assert again.plan.actions == (), "something is written again"
        if again.world.deployment.problem is None and not failing(again):
            needs = [n.owner.uid for n in again.draft.needs]
            written = manifests.load(held[place_of(again.world.deployment)].manifest)
            stale = [e for e in again.plan.entries if e.record is not None and written[e.desired.env_name] != e.record]
            assert not needs or stale, "secrets are read for nothing"


def failing(done: Step) -> bool:
    return any(e.problem is not None for e in done.plan.entries)


def place_of(deployment: DeploymentView) -> tuple[str, str]:
    return (deployment.meta.namespace, deployment.secret_name)


@LAWS
@given(changes())
def test_what_was_amended_needs_no_secret_again(change: tuple[World, World]) -> None:
    """A recipe that changed and gives the same value is remembered: nothing is written, and nothing read a second time."""
    before, now = change
    held = after(now, after(before))
    for first in steps_of(now, held):
        second = step(now, first.world.deployment, held, first.plan.records)
        assert second.plan.actions == ()
        if not failing(second):
            assert second.draft.needs == ()


@LAWS
@given(changes(all_watched=True), st.booleans())
def test_withdrawn_is_gone(change: tuple[World, World], keys: bool) -> None:
    """Also without keys, with Vault away, and whatever can't be rendered."""
    before, now = change
    held = after(before)
    world = now if keys else replace(now, keyring=None, vault_up=False)
    for done in steps_of(world, held):
        result = execute(done.plan.actions, held)
        secret = result.get(place_of(done.world.deployment))
        assert secret is not None, "the Secret is missing; it blocks pods"
        allowed = {e.env_name for e in done.resolution.entries}
        assert secret.data.keys() <= allowed, "an entry survives its withdrawal"
        identities = {e.env_name: e.identity for e in done.resolution.entries}
        records = manifests.load(secret.manifest)
        assert records.keys() == secret.data.keys(), "the manifest tells of other keys than the data"
        for name, record in records.items():
            assert record.identity == identities[name], f"{name} is still that of another Connection or link"


@LAWS
@given(changes())
def test_what_is_not_watched_stays(change: tuple[World, World]) -> None:
    before, now = change
    held = after(before)
    for done in steps_of(now, held):
        old = held.get(place_of(done.world.deployment))
        new = execute(done.plan.actions, held)[place_of(done.world.deployment)]
        if old is None or old.owner_name != done.world.deployment.meta.name:
            continue
        wanted = {e.env_name for e in done.resolution.entries}
        for name, record in manifests.load(old.manifest).items():
            if record.workspace in done.resolution.frozen and name not in wanted:
                assert new.data.get(name) == old.data[name], f"{name} of a frozen workspace is gone"


@LAWS
@given(changes())
def test_last_good_stays_whole(change: tuple[World, World]) -> None:
    """What can't be rendered now stays as it was, for the same Connection and link; it is never half new."""
    before, now = change
    held = after(before)
    for done in steps_of(now, held):
        old = held.get(place_of(done.world.deployment))
        new = execute(done.plan.actions, held)[place_of(done.world.deployment)]
        for entry in done.plan.entries:
            name = entry.desired.env_name
            if entry.problem is None or name in done.plan.kept:
                continue
            record = manifests.load(old.manifest).get(name) if old is not None else None
            if old is not None and record is not None and record.identity == entry.desired.identity:
                assert new.data.get(name) == old.data[name], "the last good value is gone, or changed"
            else:
                assert name not in new.data, "something is delivered that could not be rendered"


@LAWS
@given(worlds())
def test_each_environment_name_has_one_winner(world: World) -> None:
    for done in steps_of(world, {}):
        names = [e.env_name for e in done.resolution.entries]
        assert len(names) == len(set(names))
        for entry in done.resolution.entries:
            assert entry.env_name == env_name(entry.connection.connection_id)


@LAWS
@given(worlds())
def test_everybody_is_told(world: World) -> None:
    """A Connection that should reach a deployment is an entry, a problem, or told why not; a link as well."""
    for done in steps_of(world, {}):
        words = {*done.outcome.words, *(p.connection for p in done.resolution.problems)}
        for workspace in done.world.workspaces:
            if workspace.namespace in {*done.resolution.not_admitted, *done.resolution.frozen}:
                continue
            for connection in workspace.connections:
                linked = any(x.connection_name == connection.meta.name and not x.meta.deleting for x in workspace.links)
                if not connection.meta.deleting and (linked or connection.linked_to_all):
                    assert connection.meta.uid in words or str(connection.meta) in words


@LAWS
@given(worlds())
def test_no_value_of_a_workspace_that_does_not_admit(world: World) -> None:
    for done in steps_of(world, {}):
        deployment = done.world.deployment
        namespace = world.namespace(deployment.meta.namespace)
        for entry in done.resolution.entries:
            home = entry.connection.meta.namespace
            consent = next((w for w in world.workspaces if w.meta.namespace == home), None)
            labels = namespace.labels if namespace is not None else None
            assert home in deployment.workspaces
            assert admits(consent, home, deployment.meta.namespace, labels)
            assert entry.link is None or entry.link.meta.namespace == home


@LAWS
@given(worlds(), st.data())
def test_a_failed_source_changes_no_entry_that_does_not_name_it(world: World, data: st.DataObject) -> None:
    held = after(world)
    sources = [s for s in world.secrets if isinstance(s, SourceView)]
    if not sources:
        return
    broken = data.draw(st.sampled_from(sources))
    wrong = replace(broken, type="kubernetes.io/dockercfg")
    now = replace(world, secrets=tuple(wrong if s is broken else s for s in world.secrets))
    hit = {
        o.meta.uid
        for o in owners(world)
        if o.meta.namespace == broken.meta.namespace and o.fields is not None and broken.meta.name in names_of(o)
    }
    for one, two in zip(steps_of(world, held), steps_of(now, held), strict=True):
        for before, entry in zip(one.plan.entries, two.plan.entries, strict=True):
            link = entry.desired.link
            if {entry.desired.connection.meta.uid, link.meta.uid if link is not None else ""} & hit:
                continue
            assert before == entry, "another connection was touched"
    for place, values in data_of(after(now, held)).items():
        assert values.keys() == data_of(held)[place].keys(), "a failed source takes a delivered connection away"


def names_of(owner: Owner) -> set[str]:
    spec = owner.fields
    if spec is None:
        return set()
    whole = {spec.secret_ref.name} if spec.secret_ref is not None else set()
    return whole | {f.secret_key_ref.name for f in spec.fields_from or ()}


@LAWS
@given(changes())
def test_nothing_secret_is_shown(change: tuple[World, World]) -> None:
    """No status, outcome, message or repr holds a value of a source."""
    before, now = change
    held = after(before)
    for done in steps_of(now, held):
        for failure in (None, WriteFailure("Forbidden", "m")):
            status = deployment_status(done.world.deployment, done.resolution, done.plan, failure, NOW)
            assert PLANTED not in repr(status)
        assert PLANTED not in repr(done)
        assert PLANTED not in manifests.dump(done.plan.records)
        for told in owner_statuses(now, done.outcome, done.world.deployment):
            assert PLANTED not in repr(told)
    assert PLANTED not in repr(now)


def owner_statuses(world: World, outcome: Outcome, deployment: DeploymentView) -> Iterator[object]:
    for owner in owners(world):
        source = sources_of(owner, lambda name, ns=owner.meta.namespace: world.secret(ns, name))  # type: ignore[misc]
        known = Ingested(world.material(owner), owner.record, None, source)
        word = outcome.words.get(owner.meta.uid)
        if isinstance(owner, ConnectionView):
            yield connection_status(owner, known, {deployment.key: word}, None, NOW)
        else:
            connection = next((c for c in world.connections if c.meta.name == owner.connection_name), None)
            yield link_status(owner, known, connection, deployment, outcome, NOW)
