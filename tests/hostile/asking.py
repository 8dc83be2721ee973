"""Commands as a user gives them, in this process or in one of their own, and what they answer."""

from __future__ import annotations

import importlib
import sys

import pytest

from neutral.errors import InputError
from tests import starting


def refused(monkeypatch, script: str, *arguments) -> str:
    """The one line with which a command refuses its input."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    with pytest.raises(InputError) as caught:
        importlib.import_module(f"scripts.{script}").main()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def done(monkeypatch, capsys, script: str, *arguments) -> str:
    """What a command that has nothing to refuse prints."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    importlib.import_module(f"scripts.{script}").main()
    return capsys.readouterr().out


def exit_of(script: str, *arguments) -> tuple[int, list[str], str]:
    """Exit code, lines on stderr and stdout of a process."""
    result = starting.run(script, *arguments)
    return result.returncode, result.stderr.splitlines(), result.stdout
