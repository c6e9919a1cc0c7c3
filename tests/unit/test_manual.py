"""`bump --help`, and what holds for every command."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from service.__main__ import app
from service.cli.manual import SECTIONS

# They run until they are stopped, or print what is no result: text for people, or a document.
_TRAININGS = {"llm", "extractive", "downstream"}
_WITHOUT_JSON = {"up", "serve", "worker", "migrate", "mcp", "openapi", *_TRAININGS}


def leaves(group: Any) -> Iterator[Any]:
    """Every command that is no group of others."""
    for command in group.commands.values():
        if hasattr(command, "commands"):
            yield from leaves(command)
        else:
            yield command


COMMANDS = list(leaves(get_command(app)))


def test_every_command_stands_in_one_section() -> None:
    listed = Counter(name for names in SECTIONS.values() for name in names)
    assert set(listed) == set(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(listed.values()) == {1}


def test_help_says_what_each_is_for_and_what_the_status_means() -> None:
    said = CliRunner().invoke(app, ["--help"]).stdout
    for title, names in SECTIONS.items():
        section = said.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        assert all(re.search(rf"^  {name} +\w", section, re.MULTILINE) for name in names)
    assert "Status 0: done." in " ".join(said.split())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_and_option_says_what_it_is(command: Any) -> None:
    assert command.help
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_with_a_result_gives_it_as_json(command: Any) -> None:
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert ("--json" in flags) == (command.name not in _WITHOUT_JSON)


def test_a_shell_learns_the_commands() -> None:
    environment = {"_BUMP_COMPLETE": "complete_bash", "COMP_WORDS": "bump do", "COMP_CWORD": "1"}
    done = CliRunner().invoke(app, [], prog_name="bump", env=environment)
    assert done.stdout.split() == ["doctor"]
