"""A digest of the code and data that a result depends on, so that unfinished work is never resumed with other ones.

The package's version alone does not change with every edit. Comments and docstrings do not count.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import dial_core


def code_digest(code: Mapping[str, Path], data: Iterable[Path]) -> str:
    """12 hex digits of modules (name -> file) and of data files, which count by their names and bytes."""
    digest = hashlib.sha256()
    for name, path in sorted(code.items()):
        digest.update(name.encode() + canonical(without_docstrings(path)).encode())
    for path in data:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def code_of(module: str) -> dict[str, Path]:
    """Every module of the package that `module` imports, itself included, directly or not: name -> file."""
    root = Path(dial_core.__file__).parent.parent
    found: dict[str, Path] = {}
    left = [module]
    while left:
        name = left.pop()
        path = root.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in found or not path.is_file():
            continue
        found[name] = path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                left += [alias.name for alias in node.names if alias.name.startswith("dial_core")]
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dial_core"):
                left += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def without_docstrings(path: Path) -> ast.Module:
    """The syntax tree of a file without its docstrings (and, as any, without its comments)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


def canonical(node: object) -> str:
    """Returns a syntax tree as text that is the same under every version of Python that can parse its source.

    Fields that hold nothing are left out: versions add such fields to nodes (`type_params` in 3.12), and `ast.dump` of 3.13 omits them.
    """
    if isinstance(node, ast.AST):
        fields = [f"{name}={canonical(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(canonical, node))}]"
    return ascii(node)  # not repr: which characters it escapes depends on the version's Unicode tables
