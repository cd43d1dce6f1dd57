"""Tests of the lint rules for words and names: the checkout follows the rules, and the rules find each violation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.lint import tracked
from tools.word_rules import (
    TEST_NAME_MAX,
    TEST_NAME_WORDS,
    WORDS,
    find_docstring_verbs,
    find_test_name_problems,
    find_word_problems,
    find_words,
)


def test_the_tree_follows_the_word_rules() -> None:
    assert find_word_problems(tracked()) == []


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_found(word: str) -> None:
    text = f"First line.\n{word.capitalize()} starts a line, and {word}."
    assert list(find_words(text)) == [(2, word.capitalize()), (2, word)]


@pytest.mark.parametrize(
    "text", ["`nobody`", "user: 'nobody'", "nobody:x:65534:", "chown=nobody", "nobody (65534)", "a renewal", "manewt"]
)
def test_unix_account_is_accepted(text: str) -> None:
    assert list(find_words(text)) == []


@pytest.mark.parametrize("opening", ["Give", "Gives", "Tell", "Take", "Make", "Have", "Say", "give"])
def test_a_docstring_verb_is_found(opening: str) -> None:
    source = f'class Lab:\n    def f(self):\n        """{opening} the lab."""\n'
    assert list(find_docstring_verbs(source)) == [(3, opening)]


@pytest.mark.parametrize("opening", ["Return", "Taken", "Havens", "A say"])
def test_other_docstring_opening_is_accepted(opening: str) -> None:
    assert list(find_docstring_verbs(f'"""{opening} the lab."""')) == []


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_long_test_name_is_found(keyword: str) -> None:
    name = "test_".ljust(TEST_NAME_MAX, "x")
    message = f"test name has {TEST_NAME_MAX + 1} characters, wanted up to 60"
    assert list(find_test_name_problems(f"{keyword} {name}x(): ...")) == [(1, message)]
    assert list(find_test_name_problems(f"{keyword} {name}(): ...")) == []


@pytest.mark.parametrize("word", TEST_NAME_WORDS)
def test_a_word_in_a_test_name_is_found(word: str) -> None:
    names = [f"test_{word}_logs_in", f"test_home_of_{word}s_lab", f"test_login_of_{word}"]
    source = "\n".join(f"def {name}(): ..." for name in names)
    found = list(find_test_name_problems(f"class TestLogin:\n    def test_{word}(self): ...\n{source}"))
    assert [number for number, _ in found] == [3, 4, 5, 2]
    assert all(message.startswith(f"found {word!r} in a test name") for _, message in found)


@pytest.mark.parametrize("name", ["test_a_newer_lab", "test_manewt", "nobody_logs_in", "check_meanwhile"])
def test_another_name_is_accepted(name: str) -> None:
    assert list(find_test_name_problems(f"def {name}(): ...")) == []


def test_messages_name_the_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text('"""Tell nobody."""\ndef test_anew(): ...\n')
    (tmp_path / "requirements.txt").write_text("nobody==1.0\n")
    problems = find_word_problems([Path("lab.py"), Path("requirements.txt")], tmp_path)
    assert [problem.split(",")[0] for problem in problems] == [
        "lab.py:1: found 'nobody'",
        "lab.py:1: docstring starts with 'Tell'",
        "lab.py:2: found 'anew' in a test name",
    ]
