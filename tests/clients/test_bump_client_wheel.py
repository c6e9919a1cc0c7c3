"""The client's package, as somebody installs it who has nothing else of Bump."""

import asyncio
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import bump_client

PROJECT = Path(bump_client.__file__).parents[1]


@pytest.fixture(scope="module")
async def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sources, without a download."""
    folder = tmp_path_factory.mktemp("wheel")
    build = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await build.communicate()
    assert build.returncode == 0, output.decode()
    (found,) = folder.glob("*.whl")
    return found


def test_it_holds_the_package_with_its_types_and_its_licence(wheel: Path) -> None:
    files = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(PROJECT)) for path in (PROJECT / "bump_client").glob("*.py")}
    information = f"bump_client-{bump_client.__version__}.dist-info"
    assert files == {
        *sources,
        "bump_client/py.typed",
        *(f"{information}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")),
    }


def test_it_needs_two_libraries(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
    document = HeaderParser().parsestr(archive.read(metadata).decode())
    needed = [requirement.split("<")[0] for requirement in document.get_all("Requires-Dist") or []]
    assert needed == ["httpx2", "pydantic"]
    assert document["License-Expression"] == "Apache-2.0"


async def test_its_code_runs_without_the_service(wheel: Path, tmp_path: Path) -> None:
    program = "import sys, bump_client; assert not {'service', 'fastapi'} & set(sys.modules)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import sys; sys.path.insert(0, {str(wheel)!r}); {program}",
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
