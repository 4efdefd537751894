import ast

from dial_core.files.code_digest import code_digest, without_docstrings


def test_an_edit_of_a_comment_or_a_docstring_changes_nothing_and_one_of_the_code_does(tmp_path):
    texts = ('def f():\n    """One."""\n    return 1  # this\n', 'def f():\n    """Two."""\n    return 1\n', "def f():\n    return 2\n")
    dumps = []
    for text in texts:
        (tmp_path / "f.py").write_text(text)
        dumps.append(ast.dump(without_docstrings(tmp_path / "f.py")))
    assert dumps[0] == dumps[1] != dumps[2]


def test_a_digest_is_of_the_code_and_of_every_byte_of_the_data(tmp_path):
    code, data = tmp_path / "f.py", tmp_path / "f.yaml"
    digests = []
    for text, values in (("x = 1", "a: 1"), ("x = 1  # one", "a: 1"), ("x = 2", "a: 1"), ("x = 1", "a: 1 # one")):
        code.write_text(text)
        data.write_text(values)
        digests.append(code_digest({"f": code}, [data]))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
