from __future__ import annotations

import time

import pytest

from flaskware_tools import tutorial
from flaskware_tools.tutorial import follow
from flaskware_tools.tutorial import TutorialError

FILE = """
```{code-block} python
:caption: app/hello.py
:emphasize-lines: 1

print("hello", 3)
```
"""


@pytest.fixture
def read(tmp_path):
    """Follow a page of this text; the folder in which that was done."""

    def read(text):
        page = tmp_path / "1-page.md"
        page.write_text(text, "utf-8")
        folder = tmp_path / "folder"
        folder.mkdir()
        follow([page], folder)
        return folder

    return read


def test_a_file_is_written_as_it_is_shown(read):
    folder = read(FILE + FILE.replace("hello.py", "two.py").replace("3", "4"))
    assert (folder / "app/hello.py").read_text() == 'print("hello", 3)\n'
    assert (folder / "app/two.py").read_text() == 'print("hello", 4)\n'


def test_the_files_can_be_written_without_the_commands(tmp_path):
    page = tmp_path / "1-page.md"
    page.write_text(f"{FILE}\n```console\n$ exit 3\n```\n", "utf-8")
    follow([page], tmp_path, commands=False)
    assert (tmp_path / "app/hello.py").read_text() == 'print("hello", 3)\n'


def test_what_a_command_prints_is_as_the_page_says(read):
    read(f"{FILE}\n```console\n$ python app/hello.py\nhello …\n```\n")


def test_a_line_that_is_not_printed_is_named(read):
    with pytest.raises(TutorialError, match="does not print 'hello 4'"):
        read(f"{FILE}\n```console\n$ python app/hello.py\nhello 4\n```\n")


def test_lines_in_another_order_are_not_what_the_page_says(read):
    with pytest.raises(TutorialError, match="does not print 'a'"):
        read("```console\n$ printf 'a\\nb\\n'\nb\na\n```\n")


def test_a_command_that_fails_is_told(read):
    with pytest.raises(TutorialError, match="exits with 3"):
        read("```console\n$ exit 3\n```\n")


def test_a_failure_that_the_page_shows_is_as_it_should_be(read):
    read("```console\n$ echo 'Error: no' && exit 3\nError: no\n```\n")


def test_what_is_not_run_is_not_run(read):
    read("<!-- not run: it fails -->\n```console\n$ exit 3\n```\n")


def test_a_command_that_does_not_end_is_stopped_with_all_that_it_started(
    read, tmp_path, monkeypatch
):
    monkeypatch.setattr(tutorial, "TIMEOUT", 1)
    with pytest.raises(TutorialError, match="does not end"):
        read("```console\n$ (sleep 3; touch ../late) & sleep 60\n```\n")
    time.sleep(3)
    assert not (tmp_path / "late").exists()
