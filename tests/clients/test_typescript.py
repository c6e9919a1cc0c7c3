"""The TypeScript client: generated from the OpenAPI file, compiled, and its README's program."""

import re
import shutil
from pathlib import Path

import httpx2
import pytest

from service.worker import Worker
from tests.clients.test_bump_client import while_working
from tests.clients.test_openai_node import run
from tests.conftest import ApiKeyMaker
from tests.faults.processes import ApiProcess
from tests.integration.api.calls import write_profile

# npm and the compiler take most of a minute.
pytestmark = pytest.mark.slow

CLIENTS = Path(__file__).parents[2] / "clients"
PROGRAM = re.findall(
    r"^```ts\n(.*?)^```", (CLIENTS / "typescript/README.md").read_text(), re.DOTALL | re.MULTILINE
)[0]
COMPILE = (
    *("npx", "tsc", "--target", "ES2022", "--module", "NodeNext", "--strict"),
    *("--noUncheckedIndexedAccess", "--skipLibCheck", "--types", "node"),
)
BROKEN = """
import { createBump, personalizeStream, ProblemError, unwrap } from "bump-client";
const bump = createBump({ baseUrl: "http://127.0.0.1:8000", apiKey: process.env.BUMP_API_KEY });
const types: string[] = [];
const note = (error: unknown) => { types.push((error as ProblemError).problem.type); };
const path = { user_id: "nobody" };
await unwrap(bump.GET("/v1/users/{user_id}/profile", { params: { path } })).catch(note);
try {
  for await (const _ of personalizeStream(bump, { user_id: "ana", input: "break off" }));
} catch (error) { note(error); }
console.log(types.join(" "));
"""
WRONG = """
import { createBump } from "bump-client";
createBump().POST("/v1/interactions", { body: { user: "ada" } });
"""


@pytest.fixture(scope="module")
async def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the client's folder, installed by its lock file, generated and compiled."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node and npm are not on this machine")
    clients = tmp_path_factory.mktemp("clients")
    shutil.copy(CLIENTS / "openapi.json", clients)
    folder = clients / "typescript"
    made = shutil.ignore_patterns("node_modules", "dist", "schema.ts")
    shutil.copytree(CLIENTS / "typescript", folder, ignore=made)
    status, output = await run("npm", "ci", "--ignore-scripts", "--loglevel=error", cwd=folder)
    if status:
        pytest.skip(f"npm could not install the client: {output[-300:]}")
    status, output = await run("npm", "run", "build", cwd=folder)
    assert status == 0, output
    return folder


async def compiled(program: str, api: ApiProcess, key: str, package: Path) -> None:
    """The program as `program.js`, in the package itself, which may import itself by name."""
    text = program.replace("http://127.0.0.1:8000", api.url).replace(
        "process.env.BUMP_API_KEY", f'"{key}"'
    )
    assert text != program
    (package / "program.ts").write_text(text)
    status, output = await run(*COMPILE, "program.ts", cwd=package)
    assert status == 0, output


async def test_the_readmes_program_gets_a_profile_and_a_streamed_answer(
    package: Path, clients_api: ApiProcess, make_key: ApiKeyMaker, worker: Worker
) -> None:
    await compiled(PROGRAM, clients_api, await make_key(), package)
    status, output = await while_working(worker, run("node", "program.js", cwd=package))
    assert status == 0, output
    profile, answer = output.rsplit("\n", 1)
    assert "running" in profile
    assert answer.startswith("word0 word1 ")


async def test_problems_are_thrown_with_their_stable_types(
    package: Path,
    clients_api: ApiProcess,
    client: httpx2.AsyncClient,
    make_key: ApiKeyMaker,
    worker: Worker,
) -> None:
    await write_profile(client, worker)
    await compiled(BROKEN, clients_api, await make_key(), package)
    status, output = await run("node", "program.js", cwd=package)
    assert status == 0, output
    base = "https://bump.dev/problems"
    assert output.split() == [f"{base}/user-not-found", f"{base}/downstream-failed"]


async def test_what_the_api_would_not_take_does_not_compile(package: Path) -> None:
    (package / "wrong.ts").write_text(WRONG)
    status, output = await run(*COMPILE, "--noEmit", "wrong.ts", cwd=package)
    assert status != 0
    assert "user_id" in output
