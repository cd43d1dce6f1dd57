"""Tests of the rules for words: the checkout follows them, and each violation is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.lint import tracked
from tools.word_rules import WORDS, find_docstring_verbs, find_word_problems, find_words


def test_the_tree_follows_the_word_rules() -> None:
    assert find_word_problems(tracked()) == []


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_found(word: str) -> None:
    text = f"First line.\n{word.capitalize()} starts a line, and {word}."
    assert list(find_words(text)) == [(2, word.capitalize()), (2, word)]


@pytest.mark.parametrize(
    "text", ["`nobody`", "user: 'nobody'", "nobody:x:65534:", "chown=nobody", "nobody (65534)", "a renewal", "manewt"]
)
def test_the_unix_account_is_no_pronoun(text: str) -> None:
    assert list(find_words(text)) == []


@pytest.mark.parametrize("opening", ["Give", "Gives", "Tell", "Take", "Make", "Have", "Say", "give"])
def test_a_docstring_verb_is_found(opening: str) -> None:
    source = f'class Lab:\n    def f(self):\n        """{opening} the lab."""\n'
    assert list(find_docstring_verbs(source)) == [(3, opening)]


@pytest.mark.parametrize("opening", ["Return", "Taken", "Havens", "A say"])
def test_another_opening_is_accepted(opening: str) -> None:
    assert list(find_docstring_verbs(f'"""{opening} the lab."""')) == []


def test_messages_name_the_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text('"""Tell nobody."""\n')
    (tmp_path / "requirements.txt").write_text("nobody==1.0\n")
    problems = find_word_problems([Path("lab.py"), Path("requirements.txt")], tmp_path)
    assert [problem.split(",")[0] for problem in problems] == [
        "lab.py:1: found 'nobody'",
        "lab.py:1: docstring starts with 'Tell'",
    ]
