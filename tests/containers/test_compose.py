"""compose.yaml: held to the specification's schema, and to what docs/containers.md promises.

There is no container engine where the tests run, so that they read it and cannot run it.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile import read_stages

from digitflow.cli import command_line

_OURS = ("prefect", "flows", "api")


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict[str, Any]:
    return yaml.safe_load((repository / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return compose["services"]


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Return what is mounted, by its place in the container."""
    volumes = (each.replace(":-", "-").split(":") for each in service.get("volumes", []))
    return {place: source for source, place, *_ in volumes}


def test_it_is_of_the_specifications_schema(repository: Path, tool: Callable[[str], str]):
    done = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
        cwd=repository,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_asks_for_what_the_example_of_an_environment_names(repository: Path):
    text = (repository / "compose.yaml").read_text()
    asked = dict(re.findall(r"\$\{(\w+)(:[?-])?", text))
    example = (repository / ".env.example").read_text()
    given = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))

    assert set(asked) == set(given)
    for name, value in given.items():
        # No secret has a default, here or there: without one, nothing starts.
        is_secret = name.endswith(("PASSWORD", "TOKEN"))
        assert (f"${{{name}:?" in text) == is_secret
        assert not (is_secret and value)


def test_nothing_is_to_be_reached_from_elsewhere(services: dict[str, dict[str, Any]]):
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}

    assert published == {
        "prefect": ["127.0.0.1:4200:4200"],
        "api": ["127.0.0.1:8000:8000"],
    }
    assert all("network_mode" not in each for each in services.values())


def test_the_database_is_out_of_the_api_s_reach(compose: dict[str, Any]):
    services = compose["services"]

    assert compose["networks"]["storage"] == {"internal": True}
    assert services["database"]["networks"] == ["storage"]
    assert [name for name in _OURS if "storage" in services[name].get("networks", [])] == [
        "prefect"
    ]


@pytest.mark.parametrize("name", _OURS)
def test_a_service_of_ours_can_change_nothing_but_its_volumes(
    services: dict[str, dict[str, Any]], repository: Path, name: str
):
    service = services[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service  # the image's own
    target = service["build"]["target"]
    assert service["image"] == f"digitflow:{target}"
    assert target in read_stages(repository / "Dockerfile")


def test_images_have_tags_and_no_registry(services: dict[str, dict[str, Any]]):
    images = {each["image"] for each in services.values()}

    assert images == {"postgres:17-bookworm", "digitflow:full", "digitflow:light"}


def test_who_waits_for_a_service_waits_until_it_is_healthy(services: dict[str, dict[str, Any]]):
    waits = {name: each.get("depends_on", {}) for name, each in services.items()}

    assert waits == {
        "database": {},
        "prefect": {"database": {"condition": "service_healthy"}},
        "flows": {"prefect": {"condition": "service_healthy"}},
        "api": {},  # its image says when it is healthy
    }
    assert all("test" in services[name]["healthcheck"] for name in ("database", "prefect"))


def test_volumes_are_declared_and_used(compose: dict[str, Any]):
    used = {source for each in compose["services"].values() for source in mounts(each).values()}

    named = {source for source in used if not source.startswith((".", "$"))}
    assert named == set(compose["volumes"])


def test_every_volume_of_an_image_has_a_name(services: dict[str, dict[str, Any]], repository: Path):
    stages = read_stages(repository / "Dockerfile")
    for name in ("flows", "api"):
        places = yaml.safe_load(stages[services[name]["build"]["target"]].last("VOLUME"))
        assert set(places) <= set(mounts(services[name]))


def test_settings_of_prefect_are_ones_that_it_knows(services: dict[str, dict[str, Any]]):
    from prefect.settings import Settings

    known = {name.upper() for name in _names_of(Settings())}
    given = {
        variable
        for name in ("prefect", "flows")
        for variable in services[name]["environment"]
        if variable.startswith("PREFECT_")
    }

    assert given
    assert given <= known


def _names_of(settings: Any, prefix: str = "PREFECT_") -> set[str]:
    names = set()
    for field in type(settings).model_fields:
        value = getattr(settings, field)
        if hasattr(type(value), "model_fields"):
            names |= _names_of(value, f"{prefix}{field}_")
        else:
            names.add(f"{prefix}{field}")
    return names


def test_nothing_is_told_to_third_parties(services: dict[str, dict[str, Any]]):
    for name in ("prefect", "flows"):
        assert services[name]["environment"]["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert services[name]["environment"]["DO_NOT_TRACK"] == "1"


def test_flows_talk_to_the_server_by_its_password(services: dict[str, dict[str, Any]]):
    server, flows = services["prefect"]["environment"], services["flows"]["environment"]

    assert flows["PREFECT_API_URL"] == "http://prefect:4200/api"
    # Interpolated alike, but for what is said where it is missing.
    password = server["PREFECT_SERVER_API_AUTH_STRING"].replace(
        ":?set it in .env, as .env.example says", ""
    )
    assert flows["PREFECT_API_AUTH_STRING"] == password == "admin:${PREFECT_PASSWORD}"


def test_the_nightly_job_finds_its_inbox_and_a_place_for_its_dataset(
    services: dict[str, dict[str, Any]], repository: Path
):
    deployments = yaml.safe_load((repository / "prefect.yaml").read_text())["deployments"]
    nightly = deployments[0]["parameters"]
    served_from = Path("/digits")  # the WORKDIR of both images
    places = mounts(services["flows"])

    assert str(served_from / nightly["inbox"]) in places
    # Unfinished parts lie beside a dataset: not the dataset is mounted, but what holds it.
    assert str(served_from / nightly["output"]) not in places
    assert str((served_from / nightly["output"]).parent) in places


def test_runs_of_a_killed_container_are_known_by_a_name_that_stays(
    services: dict[str, dict[str, Any]],
):
    assert services["flows"]["hostname"] == "flows"


def test_the_api_has_longer_to_end_than_it_takes(services: dict[str, dict[str, Any]]):
    drain = command_line().parse_args(["serve"]).drain

    assert services["api"]["stop_grace_period"] == "30s"
    assert drain < 30
