"""CustomResourceDefinitions from the models: `python -m jetbridge.api.crd --out crds [--check]`.

Kubernetes takes only *structural* schemas, a small part of the JSON Schema that pydantic writes. What can't be carried
over faithfully is refused here, when the CRDs are made, and never left out silently.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from jetbridge.api.common import GROUP, VERSION, ApiModel, PrinterColumn
from jetbridge.api.kinds import KINDS, Kind

Schema = dict[str, Any]

CATEGORY = "jetbridge"
HEADER = "# Generated from operator/jetbridge/api by `make crds`; do not edit.\n"

# Deeper than any model of ours: what reaches it refers to itself.
_MAX_DEPTH = 16

# Left out on purpose: `default`, since what the API server fills in is drift to GitOps tools (defaults are filled in at
# run time), and `title`, which repeats the field's name.
_DROPPED = frozenset({"default", "title"})

# What a structural schema takes, by type, and what takes its place or is handled apart below.
_KEYWORDS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format", "enum"}),
    "integer": frozenset({"minimum", "maximum", "enum"}),
    "number": frozenset({"minimum", "maximum", "enum"}),
    "boolean": frozenset(),
    "array": frozenset({"minItems", "maxItems", "items"}),
    "object": frozenset(
        {"minProperties", "maxProperties", "properties", "required", "additionalProperties", "propertyNames"}
    ),
}

# The API server ignores formats that it does not know, so they would bound nothing.
_FORMATS = frozenset({"date-time"})

# Written in this order, for who reads the files; pydantic sorts by name.
_RULE_ORDER = ("rule", "message", "fieldPath")
_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "required",
    "properties",
    "items",
    "additionalProperties",
)


class InexpressibleError(Exception):
    """A model says what a CRD can't, or leaves open what it must say; the message names model and field."""


def structural_schema(model: type[ApiModel]) -> Schema:
    """The model as a Kubernetes structural schema.

    Raises:
        InexpressibleError: for what a structural schema can't say; for a string, list or map without a bound; for a
            field or model without a description; for a model that contains itself.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _Converter(model.__name__, raw.pop("$defs", {})).node(raw, "", described=True)


class _Converter:
    """Converts the nodes of one model's JSON Schema, depth first. `path` is where a node stands, for errors."""

    def __init__(self, model: str, definitions: Mapping[str, Schema]) -> None:
        self._model = model
        self._definitions = definitions

    def node(self, raw: Schema, path: str, *, described: bool, depth: int = 0) -> Schema:
        """One node. `described`: whether it needs a description of its own, as fields do and plain list items don't."""
        if depth > _MAX_DEPTH:
            self._refuse(path, "contains itself, or is nested too deep")
        raw = self._plain(raw, path)
        kind = raw.get("type")
        if not isinstance(kind, str) or kind not in _KEYWORDS:
            self._refuse(path, f"has no single type that a structural schema knows ({kind!r})")
        allowed = _KEYWORDS[kind] | {"type", "description"}
        unknown = {key for key in raw if key not in allowed and not key.startswith("x-kubernetes-")}
        if unknown:
            self._refuse(path, f"a structural schema can't express {', '.join(sorted(unknown))}")
        # A folded docstring's line breaks are the source's, not the text's.
        description = " ".join(str(raw.get("description", "")).split())
        if described and not description:
            self._refuse(path, "has no description")
        out = {key: value for key, value in raw.items() if key != "description"}
        if description:
            out["description"] = description
        if kind == "string":
            self._bounded_string(out, path)
        elif kind == "array":
            self._array(out, path, depth)
        elif kind == "object":
            self._object(out, path, depth)
        if rules := out.get("x-kubernetes-validations"):
            out["x-kubernetes-validations"] = [_ordered(rule, _RULE_ORDER) for rule in rules]
        return _ordered(out, _ORDER)

    def _plain(self, raw: Schema, path: str) -> Schema:
        """Without `$ref`, `anyOf [X, null]`, `const` and what is dropped; what stands beside a reference wins."""
        raw = dict(raw)
        while "$ref" in raw or "anyOf" in raw:
            if "$ref" in raw:
                inner = self._definitions[raw.pop("$ref").removeprefix("#/$defs/")]
            else:
                branches = [b for b in raw.pop("anyOf") if b.get("type") != "null"]
                if len(branches) != 1:
                    self._refuse(path, "a structural schema can't express a choice of types")
                inner = branches[0]
            raw = {**inner, **raw}
        if "const" in raw:
            raw["enum"] = [raw.pop("const")]
        return {key: value for key, value in raw.items() if key not in _DROPPED}

    def _bounded_string(self, out: Schema, path: str) -> None:
        if "format" in out and out["format"] not in _FORMATS:
            self._refuse(path, f"the API server does not check the format {out['format']}")
        if not out.keys() & {"maxLength", "enum", "format"}:
            self._refuse(path, "is a string without a bound (maxLength, enum or format)")

    def _array(self, out: Schema, path: str, depth: int) -> None:
        if "maxItems" not in out:
            self._refuse(path, "is a list without a bound (maxItems)")
        if not out.get("items"):
            self._refuse(path, "is a list of anything")
        out["items"] = self.node(out["items"], f"{path}[]", described=False, depth=depth + 1)

    def _object(self, out: Schema, path: str, depth: int) -> None:
        if "properties" in out:
            if "additionalProperties" in out:
                self._refuse(path, "a structural schema can't express properties beside additionalProperties")
            if "description" not in out:
                self._refuse(path, "has no description")
            self._properties(out, path, depth)
            return
        if "additionalProperties" not in out:
            self._refuse(path, "is an object that says nothing of its content")
        if "maxProperties" not in out:
            self._refuse(path, "is a map without a bound (maxProperties)")
        values = out.pop("additionalProperties")
        if values is not True and self._is_anything(values):
            values = True
        if values is True:
            if not out.get("x-kubernetes-preserve-unknown-fields"):
                self._refuse(path, "is a map of anything, without x-kubernetes-preserve-unknown-fields")
        elif not isinstance(values, dict):
            self._refuse(path, f"a structural schema can't express additionalProperties: {values!r}")
        else:
            out["additionalProperties"] = self.node(values, f"{path}{{}}", described=False, depth=depth + 1)
        self._keys(out, path)

    def _properties(self, out: Schema, path: str, depth: int) -> None:
        properties: dict[str, Schema] = out.pop("properties")
        for name in out.get("required", ()):
            if any(branch.get("type") == "null" for branch in properties[name].get("anyOf", ())):
                self._refuse(f"{path}.{name}", "is required and may be null: kubectl apply drops nulls")
        if properties:
            out["properties"] = {
                name: self.node(raw, f"{path}.{name}", described=True, depth=depth + 1)
                for name, raw in properties.items()
            }

    def _is_anything(self, raw: Any) -> bool:
        return isinstance(raw, dict) and not self._definitions.get(raw.get("$ref", "").removeprefix("#/$defs/"), raw)

    def _keys(self, out: Schema, path: str) -> None:
        """A structural schema says nothing of a map's keys; the bounds of their length become a CEL rule."""
        keys = dict(out.pop("propertyNames", {}))
        keys.pop("type", None)
        low, high = keys.pop("minLength", 0), keys.pop("maxLength", None)
        if keys:
            self._refuse(path, f"a structural schema can't express {', '.join(sorted(keys))} of a map's keys")
        if high is not None:
            rule = {
                "rule": f"self.all(key, size(key) >= {low} && size(key) <= {high})",
                "message": f"a key has {low} to {high} characters",
            }
            out["x-kubernetes-validations"] = [*out.get("x-kubernetes-validations", ()), rule]
        elif low:
            self._refuse(path, "its keys have a least length and no greatest")

    def _refuse(self, path: str, why: str) -> NoReturn:
        raise InexpressibleError(f"{self._model}{path}: {why}")


def _ordered(mapping: Schema, order: tuple[str, ...]) -> Schema:
    """The mapping with its keys in this order, then the others by name."""
    rank = {key: place for place, key in enumerate(order)}
    return {key: mapping[key] for key in sorted(mapping, key=lambda k: (rank.get(k, len(rank)), k))}


def definition(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind.

    Raises:
        InexpressibleError: as `structural_schema`.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": structural_schema(kind.model)},
                }
            ],
        },
    }


def _column(column: PrinterColumn) -> Schema:
    return column.model_dump(by_alias=True, exclude={"priority"} if column.priority == 0 else None)


class _Dumper(yaml.SafeDumper):
    """Block style, lists indented below their key, and every node written out where it stands."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - lists are indented
        super().increase_indent(flow, False)

    def ignore_aliases(self, _: Any) -> bool:
        return True


def file_name(kind: Kind) -> str:
    """Where a kind's CRD is written, below `crds/`."""
    return f"{GROUP}_{kind.plural}.yaml"


def files(kinds: Iterable[Kind] = KINDS) -> dict[str, str]:
    """What `crds/` must hold: the text of each file by its name; the same models give the same bytes."""
    return {
        file_name(kind): HEADER
        + yaml.dump(definition(kind), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
        for kind in kinds
    }


def differences(out: Path) -> list[str]:
    """How the files in `out` differ from what the models give, one line each; empty when they are fresh."""
    wanted = files()
    found = {path.name: path for path in out.glob(f"{GROUP}_*.yaml")}
    lines = [f"{out / name}: missing" for name in sorted(wanted.keys() - found.keys())]
    lines += [f"{found[name]}: no kind of this name" for name in sorted(found.keys() - wanted.keys())]
    lines += [
        f"{found[name]}: stale"
        for name in sorted(wanted.keys() & found.keys())
        if found[name].read_text(encoding="utf-8") != wanted[name]
    ]
    return lines


def write(out: Path) -> None:
    """Makes `out` hold what the models give, and no CRD of a kind that is gone."""
    out.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for path in out.glob(f"{GROUP}_*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (out / name).write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Writes the CRDs, or with `--check` says how those written differ. The exit status."""
    parser = argparse.ArgumentParser(prog="python -m jetbridge.api.crd", description="Generates the CRDs.")
    parser.add_argument("--out", type=Path, default=Path("crds"), help="the folder of the CRDs (crds)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    options = parser.parse_args(arguments)
    try:
        if not options.check:
            write(options.out)
            return 0
        found = differences(options.out)
    except InexpressibleError as error:
        print(error, file=sys.stderr)
        return 1
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("The CRDs differ from the models: run `make crds`.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
