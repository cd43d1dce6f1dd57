"""Variants of site.example.toml with its commented settings."""

from __future__ import annotations

import re

from tools.components import ROOT

TEXT = (ROOT / "site.example.toml").read_text()
SETTING = re.compile(r"# (\w+ = .+|\[\[?[\w.]+\]\]?)$")
ALTERNATIVE = re.compile(r"#or ((\w+) = .+)$")
KEY = re.compile(r"(?:# )?(\w+) = ")


def with_defaults() -> str:
    """Return the example with all commented settings uncommented."""
    return "\n".join(SETTING.sub(r"\1", line) for line in TEXT.splitlines())


def with_alternatives() -> str:
    """Return the example with each alternative in place of the setting that it replaces."""
    lines: list[str] = []
    for line in TEXT.splitlines():
        if alternative := ALTERNATIVE.match(line):
            before = [number for number, old in enumerate(lines[-4:], len(lines) - len(lines[-4:])) if old]
            for number in before:
                if (found := KEY.match(lines[number])) and found[1] == alternative[2]:
                    lines[number] = ""
            line = alternative[1]
        lines.append(line)
    text = "\n".join(SETTING.sub(r"\1", line) for line in lines)
    # In this variant the menu is a file: remove the tables.
    return re.sub(r"^\[\[labs\..+?(?=^\[\w|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
