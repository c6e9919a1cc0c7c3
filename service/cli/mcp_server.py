"""`bump mcp`."""

from typing import Annotated

import typer

from service.cli.options import fail
from service.commands.printing import err


def mcp(
    url: Annotated[
        str, typer.Option(envvar="BUMP_API_URL", help="Where Bump's API is.")
    ] = "http://127.0.0.1:8000",
    allow_writes: Annotated[
        bool, typer.Option("--allow-writes", help="Offer a tool that adds interactions.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            help="Speak streamable HTTP at 127.0.0.1:PORT/mcp, to every program of this machine.",
        ),
    ] = None,
) -> None:
    """Offer profiles to assistants by the Model Context Protocol. Read-only as it comes.

    The API key comes from BUMP_API_KEY: the tools can do what its scopes allow, and no more
    (`bump keys create --scope read --scope personalize`; `ingest` too for --allow-writes).
    Without --port it speaks on standard input and output, as an assistant that starts it expects.
    """
    import os

    try:
        from service.commands.mcp_server import serve_mcp
    except ModuleNotFoundError as error:
        fail(f"This needs {error.name}: pip install 'bump-service[mcp]'")
    if port is not None:
        err.print(f"MCP at http://127.0.0.1:{port}/mcp, for {url}", soft_wrap=True)
    serve_mcp(url, os.environ.get("BUMP_API_KEY"), allow_writes=allow_writes, port=port)
