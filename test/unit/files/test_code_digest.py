import ast

import pytest

from dial_core.files.code_digest import canonical, code_digest, without_docstrings


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


SOURCE = '''"""A module."""
from dataclasses import dataclass

@dataclass(frozen=True)
class Point:
    """A point."""

    x: float = 0.5

    async def far(self, *others, limit=None, **more):
        """Whether."""
        return [f"{other!r:>4} \U0001fae9" for other in others if other[1:] != {**more}] or ...

def nothing(a, /, b, *, c):
    """Nothing."""
'''


def test_a_digest_does_not_depend_on_the_version_of_python(tmp_path):
    """The number is that that every version of Python finds."""
    (tmp_path / "f.py").write_text(SOURCE, encoding="utf-8")
    assert code_digest({"f": tmp_path / "f.py"}, []) == "822c5514632f"


@pytest.mark.parametrize("empty", [[], None])
def test_a_field_that_a_later_version_adds_to_nodes_changes_nothing(empty):
    tree = ast.parse("def f():\n    return None")
    before = canonical(tree)
    tree.body[0]._fields = (*tree.body[0]._fields, "type_params")
    tree.body[0].type_params = empty
    assert canonical(tree) == before


def test_docstrings_of_asynchronous_functions_do_not_count(tmp_path):
    digests = []
    for words in ("One.", "Two."):
        (tmp_path / "f.py").write_text(f'async def f():\n    """{words}"""\n    return 1\n')
        digests.append(code_digest({"f": tmp_path / "f.py"}, []))
    assert digests[0] == digests[1]
