"""Check that texts use plain words, that docstrings start with a plain verb, and that test names are short phrases.

A pronoun such as the first entry of `WORDS` hides the actor of a sentence: name the hub, the user or an administrator.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = ("somebody", "nobody", "anybody", "whoever", "anew", "meanwhile", "thereof")
DOCSTRING_VERBS = ("give", "tell", "take", "make", "have", "say")
# The Unix account `nobody` is a name: in quotes, in a path or a line of /etc/passwd, or before its number.
WORD = re.compile(rf"(?<![\w`'\"/:=-])(?:{'|'.join(WORDS)})(?![\w`'\"/:=-]| \()", re.IGNORECASE)
OPENING = re.compile(rf"(?:{'|'.join(DOCSTRING_VERBS)})s?\b", re.IGNORECASE)
TEST_NAME_MAX = 60
TEST_NAME_WORDS = (*WORDS, "everybody", "someone")
TEST_NAME_WORD = re.compile(rf"_({'|'.join(TEST_NAME_WORDS)})s?(?=_|$)")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Texts of others, generated files, and the two files that quote the words.
SKIPPED_NAMES = {"LICENSE", "requirements.txt", "package-lock.json", "go.sum", "word_rules.py", "test_word_rules.py"}
SKIPPED_SUFFIXES = {".png", ".woff2", ".gz"}


def find_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the word for each word of `WORDS` in a text."""
    for number, line in enumerate(text.splitlines(), start=1):
        for match in WORD.finditer(line):
            yield number, match[0]


def find_docstring_verbs(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the first word for each docstring that starts with a verb of `DOCSTRING_VERBS`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, DOCUMENTED) or not (docstring := ast.get_docstring(node)):
            continue
        if match := OPENING.match(docstring):
            yield node.body[0].lineno, match[0]


def find_test_name_problems(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and a message for each test name that is too long or contains a forbidden word."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
            continue
        if len(node.name) > TEST_NAME_MAX:
            yield node.lineno, f"test name has {len(node.name)} characters, wanted up to {TEST_NAME_MAX}"
        for match in TEST_NAME_WORD.finditer(node.name):
            yield node.lineno, f"found {match[1]!r} in a test name, name the actor or use a plain word"


def check_file(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Yield a message for each word, docstring and test name of a file that breaks a rule."""
    text = (root / path).read_text()
    for number, word in find_words(text):
        yield f"{path}:{number}: found {word!r}, name the actor or use a plain word"
    if path.suffix == ".py":
        for number, verb in find_docstring_verbs(text):
            yield f"{path}:{number}: docstring starts with {verb!r}, use Return, Check, Create, Send, ..."
        for number, problem in find_test_name_problems(text):
            yield f"{path}:{number}: {problem}"


def find_word_problems(files: Iterable[Path], root: Path = ROOT) -> list[str]:
    """Return a message for each word, docstring and test name in the files that breaks a rule.

    Parameters
    ----------
    files
        Paths relative to `root`. Locks, licences and binary files are skipped.
    root
        The top folder of the checkout.
    """
    texts = [path for path in files if path.name not in SKIPPED_NAMES and path.suffix not in SKIPPED_SUFFIXES]
    return [message for path in sorted(texts) for message in check_file(path, root)]
