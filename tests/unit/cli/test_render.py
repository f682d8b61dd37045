"""`jetbridge render`: the same core, offline; what a person and a program see, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from jetbridge.cli.main import app

QUICKSTART = Path(__file__).resolve().parents[3] / "examples" / "quickstart"
PASSWORD = "planted-password-5d1f"

SOURCE = f"""
apiVersion: v1
kind: Secret
metadata: {{name: s, namespace: team, labels: {{jetbridge.dev/source: "true"}}}}
stringData: {{password: {PASSWORD}, host: planted-host-77aa}}
---
"""
CONNECTION = """
apiVersion: jetbridge.dev/v1alpha1
kind: Connection
metadata: {name: db, namespace: team}
spec: {type: postgres, login: me, secretRef: {name: s}, sharing: LinkedToAll}
---
"""
DEPLOYMENT = """
apiVersion: jetbridge.dev/v1alpha1
kind: AirflowDeployment
metadata: {name: prod, namespace: team}
---
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["render", *map(str, arguments)])


def write(folder: Path, text: str, name: str = "all.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def env_of(result: Result, deployment: str) -> dict[str, Any]:
    return {k: json.loads(v) for k, v in json.loads(result.stdout)[deployment]["env"].items()}


def test_the_quickstart_renders_with_overrides_and_defaults() -> None:
    result = run("-f", QUICKSTART, "-o", "json", "--show-secrets")
    assert result.exit_code == 0, result.output
    prod = env_of(result, "airflow-prod/prod")["AIRFLOW_CONN_WAREHOUSE"]
    staging = env_of(result, "airflow-staging/staging")["AIRFLOW_CONN_WAREHOUSE"]
    assert (prod["host"], prod["password"], "schema" in prod) == ("prod.db.internal", "quickstart-prod-password", False)
    assert (staging["host"], staging["password"], staging["schema"]) == (
        "dev.db.internal",
        "quickstart-first-password",
        "analytics",
    )


@pytest.mark.parametrize("output", [(), ("-o", "json")], ids=["table", "json"])
def test_what_comes_from_a_source_is_masked(tmp_path: Path, output: tuple[str, ...]) -> None:
    result = run("-f", write(tmp_path, SOURCE + CONNECTION + DEPLOYMENT), *output)
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert "planted-host-77aa" not in result.output, "a host from a source is masked as well"
    assert "***" in result.output


def test_each_field_says_where_it_came_from(tmp_path: Path) -> None:
    result = run("-f", write(tmp_path, SOURCE + CONNECTION + DEPLOYMENT), "-o", "json")
    fields = json.loads(result.stdout)["team/prod"]["env"]["AIRFLOW_CONN_DB"]["fields"]
    assert {n: f["from"] for n, f in fields.items()} == {
        "type": "Connection",
        "login": "Connection",
        "password": "Secret s",
        "host": "Secret s",
    }


def test_show_secrets_is_refused_without_json(tmp_path: Path) -> None:
    result = run("-f", write(tmp_path, SOURCE + CONNECTION + DEPLOYMENT), "--show-secrets")
    assert result.exit_code == 2
    assert "-o json" in result.output


def test_a_source_that_is_not_among_the_files_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    result = run("-f", write(tmp_path, CONNECTION + DEPLOYMENT), "-o", "json", "--show-secrets")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["team/prod"]
    assert found["env"] == {}
    assert [(p["id"], p["reason"]) for p in found["problems"]] == [("db", "SourceMissing")]


def test_a_workspace_that_does_not_admit_is_a_problem(tmp_path: Path) -> None:
    deployment = DEPLOYMENT.replace("namespace: team}", "namespace: other}\nspec: {workspaces: [{namespace: team}]}")
    result = run("-f", write(tmp_path, SOURCE + CONNECTION + deployment), "-o", "json", "--show-secrets")
    found = json.loads(result.stdout)["other/prod"]
    assert (found["env"], [p["reason"] for p in found["problems"]]) == ({}, ["NotAdmitted"])


def test_creation_timestamps_decide_between_equals(tmp_path: Path) -> None:
    def connection(name: str, created: str) -> str:
        return (
            "apiVersion: jetbridge.dev/v1alpha1\nkind: Connection\n"
            f"metadata: {{name: {name}, namespace: team, creationTimestamp: {created}}}\n"
            f"spec: {{connectionId: same, type: http, host: {name}, sharing: LinkedToAll}}\n---\n"
        )

    text = connection("a", "2026-02-01T00:00:00Z") + connection("b", "2026-01-01T00:00:00Z") + DEPLOYMENT
    result = run("-f", write(tmp_path, text), "-o", "json", "--show-secrets")
    assert env_of(result, "team/prod")["AIRFLOW_CONN_SAME"]["host"] == "b"


def test_several_files_and_folders_count_as_one_world(tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    write(folder, SOURCE + CONNECTION)
    result = run("-f", folder, "-f", write(tmp_path, DEPLOYMENT), "-o", "json", "--show-secrets")
    assert list(env_of(result, "team/prod")) == ["AIRFLOW_CONN_DB"]


def test_one_deployment_can_be_asked_for() -> None:
    result = run("-f", QUICKSTART, "-d", "airflow-prod/prod", "-o", "json")
    assert list(json.loads(result.stdout)) == ["airflow-prod/prod"]


BAD = {
    "an unknown field": (CONNECTION.replace("login: me", "logn: me"), "Connection team/db: spec.logn"),
    "a wrong value": (CONNECTION.replace("login: me", "port: 99999"), "Connection team/db: spec.port"),
    "a reserved id": (CONNECTION.replace("login: me", "connectionId: airflow_db"), "Connection team/db: spec"),
    "a null in extra": (CONNECTION.replace("login: me", "extra: {a: null}"), "Connection team/db: spec"),
    "a snake_case field": (CONNECTION.replace("secretRef", "secret_ref"), "Connection team/db: spec.secret_ref"),
    "a missing mode": (
        (
            "apiVersion: jetbridge.dev/v1alpha1\nkind: ConnectionLink\nmetadata: {name: l, namespace: team}\n"
            "spec: {connectionRef: {name: db}, deploymentRef: {name: prod}}\n"
        ),
        "ConnectionLink team/l: spec.mode",
    ),
    "a workspace of another name": (
        (
            "apiVersion: jetbridge.dev/v1alpha1\nkind: Workspace\nmetadata: {name: w, namespace: team}\n"
            "spec: {deployments: {namespaces: {from: All}}}\n"
        ),
        "Workspace team/w: metadata.name",
    ),
    "an unknown kind": (
        "apiVersion: jetbridge.dev/v1alpha1\nkind: Conection\nmetadata: {name: x}\n",
        "no kind Conection",
    ),
    "another version": (
        "apiVersion: jetbridge.dev/v9\nkind: Connection\nmetadata: {name: x}\n",
        "expected jetbridge.dev",
    ),
    "no name": ("apiVersion: jetbridge.dev/v1alpha1\nkind: Connection\nmetadata: {}\n", "metadata.name is required"),
    "no kind": ("apiVersion: v1\nmetadata: {name: x}\n", "apiVersion and kind are required"),
    "no mapping": ("- a\n- b\n", "a resource is a mapping"),
    "no YAML": ("a: [b\n", "this is not valid YAML"),
    "data that is no base64": (
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: team, labels: {jetbridge.dev/source: 'true'}}\n"
            f"data: {{password: {PASSWORD}!}}\n"
        ),
        "Secret team/s: data.password is not base64",
    ),
    "the same object twice": (CONNECTION + CONNECTION, "stands in"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_file_object_and_field_and_exits_1(tmp_path: Path, case: str) -> None:
    text, words = BAD[case]
    path = write(tmp_path, text + "\n---\n" + DEPLOYMENT)
    result = run("-f", path)
    assert result.exit_code == 1, result.output
    assert words in result.stderr, f"expected {words!r} in the message"
    assert str(path) in result.stderr, "the message names the file"
    assert PASSWORD not in result.output


def test_an_object_that_is_refused_holds_up_no_other(tmp_path: Path) -> None:
    good = CONNECTION.replace("name: db", "name: good").replace("secretRef: {name: s}, ", "")
    bad = CONNECTION.replace("login: me", "port: 99999")
    result = run("-f", write(tmp_path, SOURCE + good + bad + DEPLOYMENT), "-o", "json", "--show-secrets")
    assert result.exit_code == 1
    assert list(json.loads(result.stdout)["team/prod"]["env"]) == ["AIRFLOW_CONN_GOOD"]


def test_a_file_that_is_not_there_exits_1(tmp_path: Path) -> None:
    result = run("-f", tmp_path / "none.yaml")
    assert (result.exit_code, "no such file" in result.stderr) == (1, True)


def test_an_empty_world_exits_1(tmp_path: Path) -> None:
    result = run("-f", write(tmp_path, SOURCE))
    assert (result.exit_code, "no AirflowDeployment" in result.stderr) == (1, True)


def test_a_uri_deployment_renders_uris(tmp_path: Path) -> None:
    text = (
        SOURCE + CONNECTION + DEPLOYMENT.replace("---", "spec: {deliver: {env: {format: URI, secretName: other}}}\n---")
    )
    result = run("-f", write(tmp_path, text), "-o", "json", "--show-secrets")
    value = json.loads(result.stdout)["team/prod"]["env"]["AIRFLOW_CONN_DB"]
    assert value.startswith("postgres://me:"), "URI form"
