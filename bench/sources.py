"""Of which code a figure speaks: what a measurement imports and starts, as a hash that outlives moving files.

A result is worth what the code was when it was taken. So it keeps a hash of the code that it measures, and counts as
*stale* as soon as that code's hash is another one. What counts:

- the measurement's own module, and what it imports, file by file, at any depth;
- what it starts: a module whose dotted name stands in a string ("trainer.registry"), and in ``LAUNCHING`` folders also
  a package by its bare name ("env_server");
- the data of those packages: ``data/``, ``templates/``, ``static/``;
- files that the measurement names in ``ALSO``, globs from the project's root: experiments, stored policies, scripts.

Code is hashed as the syntax trees of its top-level statements, in no order, without imports, docstrings, comments and
names of modules. A file that only moves, or is cut in two, is the same code; a changed number or text is another.

Whole packages are started, but few of their games: a table in which games or commands are looked up by name would make
a market's change one of every measurement. So a table counts only where its own module is imported or started, not
where a module below it is, and a measurement says in ``WITHOUT`` which names its processes never look up. What it
forgets there makes its result stale too often, and never too seldom. What is not seen: versions of libraries, the
interpreter, the machine. The result has the last two beside its figures.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
LAUNCHING: Final = ("bench", "deploy", "experiments", "tests")
"""Folders whose code starts packages by their names; elsewhere "trainer" may be a role as well."""
BESIDE: Final = ("data", "templates", "static")
"""Folders of a package whose files it reads."""
_MODULE: Final = re.compile(r"(?:\w+=)?((?:[A-Za-z_]\w*)(?:\.[A-Za-z_]\w*)*)(?::\w+)?")
_PREFIX: Final = re.compile(r"(?:[A-Za-z_]\w*\.)+\w*")
_NOWHERE: Final = ("ctx", "kind", "type_comment", "type_ignores")
"""Fields of syntax trees that say nothing of what a program does."""


@dataclass(frozen=True)
class Measured:
    """What a measurement speaks of.

    Attributes:
        digest: hexadecimal SHA-256 of all of it.
        files: that it came from, sorted.
    """

    digest: str
    files: tuple[Path, ...]


class _Lead(NamedTuple):
    """A file, and whether its tables are meant or all else."""

    path: Path
    tables: bool


@dataclass(frozen=True)
class _Part:
    """A top-level statement, or an entry of a table.

    Attributes:
        key: of the entry, None for a statement.
        digest: of its tree, empty for one that only imports or explains.
        leads: to what it imports or starts.
    """

    key: str | None
    digest: str
    leads: frozenset[_Lead]


class Sources:
    """The code below a folder; every file is read once."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._parts: dict[Path, tuple[_Part, ...]] = {}

    def measured(self, module: str, also: Sequence[str] = (), without: Sequence[str] = ()) -> Measured:
        """What a measurement speaks of.

        Args:
            module: its dotted name.
            also: globs of further files, from the root.
            without: keys of tables whose entries are never looked up.

        Raises:
            ValueError: ``also`` names no file, ``without`` no entry of a table, or there is no such module.
        """
        waiting = [*self._module(module, start=False), *(_Lead(path, False) for path in self._named(also))]
        if not any(lead.path.name != "__init__.py" for lead in waiting):
            raise ValueError(f"{module}: expected a module below {self._root}, got none")
        seen: set[_Lead] = set()
        digests: list[str] = []
        skipped: set[str] = set()
        while waiting:
            lead = waiting.pop()
            if lead in seen:
                continue
            seen.add(lead)
            for part in self._read(lead.path):
                if (part.key is not None) != lead.tables:
                    continue
                if part.key in without:
                    skipped.add(str(part.key))
                    continue
                digests.append(part.digest)
                waiting += part.leads
            waiting += _data(lead.path)
        self._all_used(module, without, skipped)
        return Measured(
            _hash("\n".join(sorted(filter(None, digests))).encode()), tuple(sorted({lead.path for lead in seen}))
        )

    @staticmethod
    def _all_used(module: str, without: Sequence[str], skipped: set[str]) -> None:
        unknown = sorted(set(without) - skipped)
        if unknown:
            raise ValueError(f"{module}.WITHOUT: expected keys of tables that it comes by, got {', '.join(unknown)}")

    def _named(self, also: Sequence[str]) -> Iterator[Path]:
        for pattern in also:
            found = [path for path in self._root.glob(pattern) if path.is_file()]
            if not found:
                raise ValueError(f"ALSO: expected files below {self._root}, got none for {pattern!r}")
            yield from found

    def _read(self, path: Path) -> tuple[_Part, ...]:
        if path not in self._parts:
            content = path.read_bytes()
            if path.suffix == ".py":
                self._parts[path] = tuple(self._take_apart(ast.parse(content, str(path)), path))
            else:
                self._parts[path] = (_Part(None, _hash(content), frozenset()),)
        return self._parts[path]

    def _take_apart(self, tree: ast.Module, path: Path) -> Iterator[_Part]:
        for statement in tree.body:
            table = getattr(statement, "value", None)
            if isinstance(table, ast.Dict) and table.keys and all(_is_text(key) for key in table.keys):
                for key, value in zip(table.keys, table.values, strict=True):
                    yield self._part(ast.Tuple([key, value]), path, str(key.value))  # type: ignore[union-attr, list-item]
                table.keys, table.values = [], []
            if not _is_for_types(statement):
                yield self._part(statement, path)

    def _part(self, node: ast.AST, path: Path, key: str | None = None) -> _Part:
        leads = frozenset(self._leads(node, path))
        return _Part(key, "" if _says_nothing(node) else _hash(self._text(node).encode()), leads)

    def _leads(self, node: ast.AST, path: Path) -> Iterator[_Lead]:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import):
                for alias in inner.names:
                    yield from self._module(alias.name, start=False)
            elif isinstance(inner, ast.ImportFrom):
                base = self._base(inner, path)
                yield from self._module(base, start=False)
                for alias in inner.names:
                    yield from self._module(f"{base}.{alias.name}", start=False)
            elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                yield from self._started(inner.value, path)
            elif isinstance(inner, ast.JoinedStr):
                yield from self._any_of(inner)

    def _base(self, node: ast.ImportFrom, path: Path) -> str:
        if not node.level:
            return node.module or ""
        folder = path.parents[node.level - 1].relative_to(self._root)
        return ".".join([*folder.parts, *([node.module] if node.module else [])])

    def _started(self, text: str, path: Path) -> Iterator[_Lead]:
        match = _MODULE.fullmatch(text)
        if match is None:
            return
        name, launches = match.group(1), path.relative_to(self._root).parts[0] in LAUNCHING
        bare = (self._root / name / "__main__.py").exists() and name not in LAUNCHING
        if "." in name or (launches and bare):
            yield from self._module(name, start=True)

    def _any_of(self, text: ast.JoinedStr) -> Iterator[_Lead]:
        """Modules whose names a formatted string begins."""
        first = text.values[0] if text.values else None
        if isinstance(first, ast.Constant) and _PREFIX.fullmatch(str(first.value)):
            folder, _, begins = str(first.value).rpartition(".")
            for path in self._root.joinpath(*folder.split(".")).glob(f"{begins}*.py"):
                yield from self._module(f"{folder}.{path.stem}", start=True)

    def _module(self, name: str, *, start: bool) -> Iterator[_Lead]:
        """What runs when a module is imported, or started; nothing if it is not ours."""
        parts = name.split(".") if name else []
        place = self._root.joinpath(*parts)
        found = [place.with_name(f"{place.name}.py"), place / "__init__.py"]
        if start:
            found.append(place / "__main__.py")
        found = [path for path in found if parts and path.is_file()]
        for path in found:
            yield from (_Lead(path, False), _Lead(path, True))
        for count in range(1, len(parts) if found else 0):
            above = self._root.joinpath(*parts[:count], "__init__.py")
            if above.is_file():
                yield _Lead(above, False)

    def _text(self, node: Any) -> str:
        """A tree as text: the same in every version of Python, as ``ast.dump`` is not."""
        if isinstance(node, list):
            return "[" + ",".join(self._text(item) for item in node if not _says_nothing(item)) + "]"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return f"Constant({self._without_module(node.value)!r})"
        if not isinstance(node, ast.AST):
            return repr(node)
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in _NOWHERE)
        told = [f"{name}={self._text(value)}" for name, value in fields if value is not None and value != []]
        return f"{type(node).__name__}({','.join(told)})"

    def _without_module(self, text: str) -> str:
        match = _MODULE.fullmatch(text)
        if match is None or "." not in match.group(1) or not any(self._module(match.group(1), start=True)):
            return text
        return text[: match.start(1)] + text[match.end(1) :]


def _data(path: Path) -> Iterator[_Lead]:
    if path.suffix == ".py":
        for folder in BESIDE:
            yield from (_Lead(found, False) for found in (path.parent / folder).rglob("*") if _is_data(found))


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".py", ".pyc")


def _says_nothing(node: Any) -> bool:
    """Whether a statement is an import, for type checkers only, or a docstring."""
    is_text = isinstance(node, ast.Expr) and _is_text(node.value)
    return is_text or isinstance(node, ast.Import | ast.ImportFrom) or _is_for_types(node)


def _is_for_types(node: Any) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
