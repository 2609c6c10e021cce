"""compose.yaml is a Compose file by the specification's schema, and names only what the project has.

`compose-spec.json` is the schema as the check-jsonschema package 0.39.0 carries it, under the licence beside it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {"site": SERVICES["site"], "worker": SERVICES["worker"]}
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


def test_it_follows_the_compose_schema() -> None:
    problems = [
        f"{list(error.instance_path)}: {error.message}"
        for error in jsonschema_rs.validator_for(SCHEMA).iter_errors(FILE)
    ]
    assert problems == []


def test_the_schema_would_find_a_mistake() -> None:
    wrong = {"services": {"site": {"comand": ["bin/up"]}}}
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid(wrong)


def test_it_has_the_site_its_servers_and_ollama_only_on_request() -> None:
    assert set(SERVICES) == {"site", "worker", "postgres", "valkey", "ollama"}
    assert SERVICES["ollama"]["profiles"] == ["gpu"]
    assert not any("profiles" in service for name, service in SERVICES.items() if name != "ollama")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_tells_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting_of_the_site(name: str) -> None:
    known = set(re.findall(r'env\.\w+\(\s*"(\w+)"', (ROOT / "r1web/settings.py").read_text()))
    assert set(OURS[name]["environment"]) <= known


def test_the_site_starts_by_the_command_of_the_readme() -> None:
    from r1web.supervisor import arguments

    program, *words = OURS["site"]["command"]
    assert (ROOT / program).exists()
    assert arguments.parse(words).host == "0.0.0.0"


def test_a_further_runner_starts_as_the_supervisor_starts_it() -> None:
    written = (ROOT / "r1web/supervisor/programs.py").read_text()
    own = re.search(r'"celery", ("-A".*?"runner@%h")', written, re.DOTALL)
    assert own
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\bstreams\b', re.sub(r"#.*", "", own[1]))]
    assert OURS["worker"]["command"][1:] == ["250" if word == "streams" else word for word in words]


def test_every_runner_reaches_the_engine_that_the_site_starts() -> None:
    """It listens at the name of the service in which it runs, not on that container's loopback."""
    assert OURS["site"]["environment"]["R1WEB_ENGINE_HOST"] == "site"


def test_the_image_gets_every_room_and_never_the_data_folder() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", FILE["x-site"]["build"]["dockerfile_inline"], re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert all(any(ROOT.glob(source.rstrip("/"))) for source in sources)
    packages = {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")} - {"tests/", "bench/"}
    assert packages <= sources
    assert not sources & {".", "./", "var", "var/"}


def test_no_password_is_written_down() -> None:
    """Without what the environment puts in, passwords and the passwords in addresses are empty."""
    variables = {key: value for service in SERVICES.values() for key, value in service.get("environment", {}).items()}
    bare = {key: re.sub(r"\$\{[^}]*\}", "", value) for key, value in variables.items()}
    passwords = {key: value for key, value in bare.items() if "PASSWORD" in key or "AUTH" in key}
    assert passwords and not any(passwords.values())
    assert all(":@" in bare[key] for key in ("DATABASE_URL", "REDIS_URL"))
