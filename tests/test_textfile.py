"""Text and YAML from the user: what is read, and the one line for everything that is not."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from riskops.errors import InputError
from riskops.textfile import parse_yaml, read_text, read_yaml


def test_plain_yaml_is_read() -> None:
    text = "a: 1\nb: [1.5, 1e6, -2.5e-3, 1_000_000]\nc: {d: text, e: null, f: true}\ng: 2020-03-01\nh: .inf\n"
    assert parse_yaml(text, name="x") == {
        "a": 1,
        "b": [1.5, 1e6, -2.5e-3, 1_000_000],
        "c": {"d": "text", "e": None, "f": True},
        "g": datetime.date(2020, 3, 1),
        "h": float("inf"),
    }


@pytest.mark.parametrize("word", ["ON", "NO", "yes", "Y", "000001", "12:30", "0x10", "1e", "2020-03-01T10:00"])
def test_words_stay_text(word: str) -> None:
    assert parse_yaml(f"{word}: 1", name="x") == {word: 1}


def test_empty_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "a.yaml") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x\n", "f: line 2 column 4: alias *x is not accepted: write the value out"),
        ("a: 1\nb: {c: 1, c: 2}\n", "f: line 2 column 11: key 'c' is given twice"),
        ("a: [1, 2\n", "f: line 2 column 1: is not YAML: "),
        ("a: !!python/object:os.system x\n", "f: line 1 column 4: is not YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "f: line 2 column 1: is not YAML: but found another document"),
        ("? [1]\n: 2\n", "f: line 1 column 3: is not YAML: found unhashable key"),
        ("a: \x01\n", "f: is not YAML: unacceptable character"),
        ("a: 2020-13-01\n", "f: holds a value that cannot be read: month must be in 1..12"),
        ("a: " + "9" * 5000, "f: holds a value that cannot be read: Exceeds the limit"),
        ("[" * 5_000, "f: is nested too deeply"),
    ],
)
def test_refused_yaml(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, name="f")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_bomb_of_aliases_is_refused_at_its_first() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    with pytest.raises(InputError, match=r"alias \*a0 is not accepted"):
        parse_yaml("\n".join(lines), name="bomb")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yaml: no such file"):
        read_text(tmp_path / "no.yaml")
    with pytest.raises(InputError, match="is a directory, a file was expected"):
        read_text(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        read_text(tmp_path / "file" / "below")
    with pytest.raises(InputError, match="cannot be read: embedded null byte"):
        read_text("a\0b")
    (tmp_path / "latin.yaml").write_bytes("name: Zürich".encode("latin-1"))
    with pytest.raises(InputError, match=r"is not UTF-8 text \(byte 7\)"):
        read_text(tmp_path / "latin.yaml")


def test_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("x" * 11)
    assert read_text(path, 11) == "x" * 11
    with pytest.raises(InputError, match="is larger than the limit of 10 bytes"):
        read_text(path, 10)


def test_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(tmp_path / "a.yaml") == {"a": 1}
