"""The deployment files use what exists: settings, commands, files, and the current version."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import __version__
from service.config import Settings

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "base"
EXAMPLE = ROOT / "deploy" / "overlays" / "example"
COMPOSE_FILES = ("docker-compose.yml", "docker-compose.gpu.yml")
PREFIX = "BUMP_"

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders deploy/, is not installed"
)


def rendered(directory: Path) -> list[dict[str, Any]]:
    command = ["kubectl", "kustomize", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def of_kind(resources: Iterable[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [resource for resource in resources if resource["kind"] in kinds]


def pods(resources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r["spec"]["template"]["spec"] for r in of_kind(resources, "Deployment", "Job")]


def containers(resources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [container for pod in pods(resources) for container in pod["containers"]]


def variables(resources: list[dict[str, Any]]) -> Iterator[str]:
    for resource in of_kind(resources, "ConfigMap", "Secret"):
        yield from resource["data"]
    for container in containers(resources):
        yield from (variable["name"] for variable in container.get("env", ()))


def compose(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return document


def bump_services() -> Iterator[dict[str, Any]]:
    """Those that run our image, with what the GPU file adds to them."""
    base, gpu = (compose(name)["services"] for name in COMPOSE_FILES)
    for name, service in base.items():
        if "build" in service:
            added = gpu.get(name, {}).get("environment", {})
            yield {**service, "environment": {**service["environment"], **added}}


def interpolated(value: str) -> str:
    """`${NAME:-default}` becomes the default, `${NAME:?message}` some value."""
    with_defaults = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
    return re.sub(r"\$\{\w+:\?[^}]*\}", "secret", with_defaults)


def unknown_settings(names: Iterable[str]) -> set[str]:
    return set(names) - {PREFIX + field.upper() for field in Settings.model_fields}


def read_settings(values: Mapping[str, str]) -> Settings:
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in values.items()}
    return Settings.model_validate(fields)


def assert_is_command(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "service", *arguments, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"bump {' '.join(arguments)}: {done.stderr}"


def dockerfile(instruction: str) -> list[str]:
    """The arguments of each such instruction, in order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{instruction} (.+)$", text, re.MULTILINE)


@needs_kubectl
@pytest.mark.parametrize("directory", [BASE, EXAMPLE], ids=["base", "example"])
def test_kustomization_sets_only_settings_that_exist(directory: Path) -> None:
    assert unknown_settings(variables(rendered(directory))) == set()


@needs_kubectl
def test_kustomization_sets_values_that_are_accepted() -> None:
    for config in of_kind(rendered(EXAMPLE), "ConfigMap"):
        assert read_settings(config["data"]).log_level == config["data"]["BUMP_LOG_LEVEL"]


@needs_kubectl
def test_kustomization_runs_commands_that_exist() -> None:
    for container in containers(rendered(BASE)):
        assert_is_command(container["args"])


@needs_kubectl
def test_kustomization_runs_this_version() -> None:
    assert {c["image"] for c in containers(rendered(BASE))} == {f"bump:{__version__}"}


@needs_kubectl
def test_only_the_migration_sees_the_owner_of_the_database() -> None:
    jobs = [job for job in of_kind(rendered(EXAMPLE), "Deployment", "Job") if "owner" in str(job)]
    assert [job["metadata"]["name"] for job in jobs] == ["bump-migrate"]


@needs_kubectl
def test_pods_meet_the_restricted_security_standard() -> None:
    for pod in pods(rendered(BASE)):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@needs_kubectl
def test_api_pod_outlives_its_drain() -> None:
    [api] = [pod for pod in pods(rendered(BASE)) if "serve" in pod["containers"][0]["args"]]
    _, pause = api["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    drain = Settings.model_fields["drain_timeout"].default
    assert api["terminationGracePeriodSeconds"] >= float(pause) + drain


def test_compose_sets_only_settings_that_exist() -> None:
    names = {name for service in bump_services() for name in service["environment"]}
    assert unknown_settings(names) == set()


def test_compose_sets_values_that_are_accepted() -> None:
    for service in bump_services():
        given = {name: value for name, value in service["environment"].items() if value}
        settings = read_settings({name: interpolated(value) for name, value in given.items()})
        assert settings.database_url and settings.redis_url


def test_compose_runs_commands_that_exist() -> None:
    for service in bump_services():
        assert_is_command(service["command"])


def test_compose_publishes_on_loopback_only() -> None:
    services = [service for name in COMPOSE_FILES for service in compose(name)["services"].values()]
    ports = [port for service in services for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_mounts_files_that_exist() -> None:
    mounts = [
        volume.split(":")[0]
        for service in compose("docker-compose.yml")["services"].values()
        for volume in service.get("volumes", ())
    ]
    paths = [mount for mount in mounts if mount.startswith("./")]
    assert paths
    assert all((ROOT / path).is_file() for path in paths)


def test_image_is_built_from_files_that_exist() -> None:
    copies = [copy for copy in dockerfile("COPY") if not copy.startswith("--from")]
    sources = [source for copy in copies for source in copy.split()[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_image_build_sees_what_it_copies() -> None:
    seen = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copies = [copy for copy in dockerfile("COPY") if not copy.startswith("--from")]
    assert {source.split("/")[0] for copy in copies for source in copy.split()[:-1]} == seen


def test_image_starts_a_command_that_exists() -> None:
    assert dockerfile("ENTRYPOINT") == ['["bump"]']
    assert_is_command(yaml.safe_load(dockerfile("CMD")[-1]))


def test_image_runs_as_a_numeric_user_other_than_root() -> None:
    user = re.fullmatch(r"(\d+):\d+", dockerfile("USER")[-1])
    assert user and int(user[1]) > 0
