"""Files as lines: ends of lines, bytes that do not fit, sizes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateways.importer.findings import Findings
from rookery.gateways.importer.source import LONGEST_LINE, Source
from rookery.kernel.errors import Invalid


def read(folder: Path, data: bytes, encoding: str = "utf-8") -> tuple[list[str], Findings]:
    path = folder / "file"
    path.write_bytes(data)
    findings = Findings()
    source = Source(path, encoding, findings)
    try:
        return list(source.lines()), findings
    finally:
        source.close()


def test_every_kind_of_line_end_becomes_lf(tmp_path):
    lines, _ = read(tmp_path, b"a\r\nb\rc\n\n\rd")
    assert lines == ["a\n", "b\n", "c\n", "\n", "\n", "d\n"]


def test_undecodable_bytes_become_replacement_characters_and_are_told_of_by_line(tmp_path):
    lines, findings = read(tmp_path, b"fine\ncaf\xe9 \xe4\xf3_\n\xef\xbf\xbd as written\n\xe2\x80\n")
    assert lines == ["fine\n", "caf\ufffd \ufffd\ufffd_\n", "\ufffd as written\n", "\ufffd\n"]
    assert (findings.undecodable, findings.undecodable_lines, findings.first_undecodable) == (4, 2, [2, 4])


@given(st.lists(st.one_of(st.binary(), st.sampled_from([b"\r", b"\n", b"\r\n", b"\xe2\x80", "日本 😀".encode()]))))
def test_any_bytes_are_read_as_python_would_replace_them(tmp_path_factory, parts):
    data = b"".join(parts)
    lines, findings = read(tmp_path_factory.getbasetemp(), data)
    expected = data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(lines)
    assert text == (expected if not expected or expected.endswith("\n") else expected + "\n")
    assert findings.undecodable == expected.count("\ufffd") - data.count("\ufffd".encode())


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfa\n")[0] == ["a\n"]
    assert read(tmp_path, "a\n".encode("utf-16"), "utf-16")[0] == ["a\n"]


def test_other_encodings_are_read(tmp_path):
    assert read(tmp_path, "naïve café\n".encode("latin-1"), "latin-1")[0] == ["naïve café\n"]
    assert read(tmp_path, "日本\r\n".encode("shift_jis"), "shift_jis")[0] == ["日本\n"]


def test_characters_across_the_chunks_of_a_big_file_stay_whole(tmp_path):
    text = "é日😀\r\n" * 200_000
    lines, findings = read(tmp_path, text.encode())
    assert lines == ["é日😀\n"] * 200_000
    assert findings == Findings()


def test_a_line_without_end_is_left_out_and_the_next_one_kept(tmp_path):
    lines, findings = read(tmp_path, b"a\n" + b"x" * (3 * LONGEST_LINE) + b"\nb\n")
    assert lines == ["a\n", "b\n"]
    assert [bad.line for bad in findings.first_bad] == [2]


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "rot13", "base64", "\0"])
def test_what_is_no_encoding_of_text_is_refused(tmp_path, encoding):
    with pytest.raises(Invalid, match="no encoding"):
        read(tmp_path, b"", encoding)


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(Invalid, match="nowhere"):
        Source(tmp_path / "nowhere", "utf-8", Findings())
    with pytest.raises(Invalid, match="directory"):
        Source(tmp_path, "utf-8", Findings())
