"""The tables of ``agora describe``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.view import DASH

Json = Mapping[str, Any]


def print_description(console: Console, found: Json) -> None:
    """Print what was found at an address."""
    console.print(f"{found['address']}  {found['health']}", markup=False)
    _print(console, "services", ("name",), ((name,) for name in found["services"]))
    for environment in found.get("environments", []):
        _environment(console, environment)
    if "agent_service" in found:
        held = found["agent_service"].get("policies", [])
        lines = ((p["policy_id"], p["kind"], _version(p), "yes" if p["serving"] else "") for p in held)
        _print(console, "policies in memory", ("policy", "kind", "version", "serves"), lines)
    if "policies" in found:
        columns = ("policy", "version", "bytes", "learned from", "reports")
        _print(console, "policies in the registry", columns, (_entry(entry) for entry in found["policies"]))


def _environment(console: Console, environment: Json) -> None:
    name = environment["name"]
    if "refused" in environment:
        what = "needs settings" if environment["needs_settings"] else "cannot be described"
        console.print(f"environment {name} {what}: {environment['refused']}", markup=False, soft_wrap=True)
        if settings := list(_settings(environment["config_schema"])):
            _print(console, f"settings of {name}", ("key", "default", "meaning"), settings)
        return
    rows = (
        (a["id"], _space(a.get("observation_space", {})), _space(a.get("action_space", {})))
        for a in environment["agents"]
    )
    _print(console, f"environment {name} as it is without settings", ("agent", "observes", "decides"), rows)
    config = environment["config"].items()
    _print(console, f"settings of {name}", ("key", "default"), ((k, str(v)) for k, v in config))


def _settings(schema: Json) -> Iterable[tuple[str, ...]]:
    """The members of a JSON schema; those without a default are asked for."""
    for key, member in schema.get("properties", {}).items():
        default = str(member["default"]) if "default" in member else "needed"
        yield key, default if key not in schema.get("required", ()) else "needed", member.get("description", "")


def _print(console: Console, title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


def _entry(entry: Json) -> tuple[str, ...]:
    manifest, lineage = entry["manifest"], entry["manifest"].get("lineage", {})
    reports = (f"{r['service']}: {r['outcome'].removeprefix('REPORT_OUTCOME_').lower()}" for r in entry["reports"])
    learned = str(lineage.get("environment_steps", DASH))
    return manifest["policy_id"], _version(manifest), str(manifest["size_bytes"]), learned, "\n".join(reports)


def _version(holder: Json) -> str:
    held = holder.get("version", {})
    return f"{held.get('epoch', 0)}.{held.get('step', 0)}"


def _space(space: Json) -> str:
    """A space in a few words: its kind, and the shape or size where it states one."""
    kind = next(iter(space), "nothing")
    body: Json = space.get(kind, {})
    match kind:
        case "dict":
            return "\n".join(f"{member['key']}: {_space(member['space'])}" for member in body["members"])
        case "tuple":
            return "\n".join(_space(member) for member in body["members"])
        case "discrete":
            return f"one of {body['n']}"
        case "multi_discrete":
            return f"one of each {_shape(body['nvec'])}"
        case "box":
            shape = body["shape"] or body["low"]["shape"]
            return f"{body['low']['data_type'].removeprefix('DATA_TYPE_').lower()} {_shape(shape)}"
        case _:
            return f"{kind} {_shape(body.get('shape', []))}"


def _shape(axes: Iterable[str]) -> str:
    """JSON has 64-bit integers as text."""
    return "×".join(str(axis) for axis in axes)
