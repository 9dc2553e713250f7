"""What a stored result depends on: the configuration, and the code that the configuration names.

`code_of` follows a configuration's `_target_`s to the files that define them and on along the imports, as far as these
lead to the project's own code. So a key changes with the code of the parts that were chosen, and not with that of
parts that were not.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

_PACKAGE = __name__.partition(".")[0]
_INSTALLED = ("site-packages", "dist-packages")


def digest_of(key: Any) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of `key` as canonical JSON.

    Raises:
        TypeError: if `key` holds anything that JSON cannot hold.
    """
    return hashlib.sha256(json.dumps(key, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def plain(config: Any) -> Any:
    """A part of the configuration as resolved dictionaries, lists and values."""
    return OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config


def code_of(*sources: Any) -> str:
    """A digest of what the code behind `sources` *does*: comments, layout and docstrings do not count.

    Part of a key, so that results of older code are not taken for those of newer code. A file is read once a process:
    editing it changes nothing in the code that is already loaded.

    Args:
        *sources: Parts of the configuration, which are searched for `_target_`s at any depth, or names of modules such
            as `unlearnable.training`.

    Raises:
        ValueError: if a named module does not exist.
    """
    digest = hashlib.sha256()
    for name, path in modules_of(*sources).items():
        digest.update(f"{name}\n{_read(path).digest}\n".encode())
    return digest.hexdigest()[:16]


def modules_of(*sources: Any) -> dict[str, Path]:
    """The modules that `code_of` digests: name → file, sorted by name.

    These are the modules that define the targets, and what they import, directly or not, from this package or, for
    plug-ins, from code that is not installed. Installed libraries and the standard library contribute nothing. Imports
    within functions count, those under `if TYPE_CHECKING:` do not. An import of a package's name leads to the module
    that defines the name, not to all that the package's `__init__` imports. No module is imported on the way, so what a
    process has loaded makes no difference; imports by computed names are not seen.

    Args:
        *sources: As for `code_of`.

    Raises:
        ValueError: if a named module does not exist.
    """
    found: dict[str, Path] = {}
    waiting = list(_named(sources))
    while waiting:
        name = waiting.pop()
        path = _find(name)
        if path is not None and name not in found:
            found[name] = path
            waiting += _imports_of(name, path)
    return dict(sorted(found.items()))


def _named(sources: Sequence[Any]) -> Iterator[str]:
    for source in sources:
        if isinstance(source, str):
            if _find(source) is None:
                raise ValueError(f"`sources` must be parts of the configuration or names of modules; got {source!r}.")
            yield source
        else:
            yield from (home for target in _targets(plain(source)) if (home := _home(target)))


def _targets(node: Any) -> Iterator[str]:
    """Each `_target_` in a configuration, and the `path` that `hydra.utils.get_class` and its like are given."""
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if isinstance(target, str):
            yield str(node.get("path")) if target.startswith("hydra.utils.get_") else target
        for entry in node.values():
            yield from _targets(entry)
    elif isinstance(node, list | tuple):
        for entry in node:
            yield from _targets(entry)


@cache
def _home(name: str) -> str | None:
    """The module that defines a dotted name; None if it is not the project's own, or there is no such thing.

    A name that a package's `__init__` imports from elsewhere is followed there.
    """
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if (path := _find(module)) is None:
            continue
        if end < len(parts) and path.name == "__init__.py":
            origin = _read(path).exports(module).get(parts[end])
            if origin is not None and origin != ".".join(parts[: end + 1]):
                return _home(".".join([origin, *parts[end + 1 :]]))
        return module
    return None


@cache
def _imports_of(name: str, path: Path) -> frozenset[str]:
    """The modules that a module imports, as far as they are the project's own."""
    source = _read(path)
    own = [
        target
        for target in source.imports(name)
        # This package imports no plug-in, and asking where torch lies for every file would take its time.
        if name.partition(".")[0] != _PACKAGE or target.partition(".")[0] == _PACKAGE
    ]
    return frozenset(home for target in own if (home := _home(target)))


@cache
def _find(name: str) -> Path | None:
    """The file of a module of the project's own; None for installed ones and those that do not exist."""
    top, *rest = name.split(".")
    for place in _places(top):
        stem = place.joinpath(*rest)
        for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
            if file.is_file():
                return file
    return None


@cache
def _places(top: str) -> tuple[Path, ...]:
    """Where a top-level package or module of the project's own lies, without a suffix; several for namespaces."""
    if top == _PACKAGE:
        return (Path(__file__).parent,)
    if top in sys.stdlib_module_names or not top.isidentifier():
        return ()
    try:
        spec = importlib.util.find_spec(top)  # imports nothing: the name has no dot
    except ValueError:  # `__main__`
        return ()
    if spec is None:
        return ()
    found = spec.submodule_search_locations or ([spec.origin] if spec.origin and spec.has_location else [])
    return tuple(place for name in found if not _installed(place := Path(name).with_suffix("")))


def _installed(place: Path) -> bool:
    return any(part in _INSTALLED for part in place.parts) or any(place.parent.glob("*.dist-info"))


@dataclass(frozen=True)
class _Source:
    """What is read from a file of code.

    Attributes:
        digest: Of its syntax tree.
        tree: The tree, without what does nothing: docstrings and imports for type checkers alone.
        names: The names that it imports for its users, also for type checkers alone: name → (level, module, name there).
        package: Whether it is a package's `__init__`.
    """

    digest: str
    tree: ast.Module
    names: Mapping[str, tuple[int, str, str]]
    package: bool

    def exports(self, name: str) -> dict[str, str]:
        """What the module `name` imports from elsewhere: name → dotted name there."""
        return {
            alias: f"{self._absolute(name, level, module)}.{there}"
            for alias, (level, module, there) in self.names.items()
        }

    def imports(self, name: str) -> set[str]:
        """Dotted names of all that the module `name` imports, and of what it takes from imported packages."""
        found: set[str] = set()
        bound: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found.add(alias.name)
                    top = alias.name.partition(".")[0]
                    bound[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(name, node.level, node.module or "")
                for alias in node.names:
                    dotted = base if alias.name == "*" else f"{base}.{alias.name}"
                    found.add(dotted)
                    bound[alias.asname or alias.name] = dotted
        chains = (_dotted(node) for node in ast.walk(self.tree) if isinstance(node, ast.Attribute))
        for root, _, rest in (chain.partition(".") for chain in chains):
            if root in bound:
                found.add(f"{bound[root]}.{rest}")
        return found

    def _absolute(self, name: str, level: int, module: str) -> str:
        if not level:
            return module
        parts = name.split(".")
        base = parts[: len(parts) - level + self.package]
        return ".".join([*base, module] if module else base)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` as written; an empty root for attributes of anything but a name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


@cache
def _read(path: Path) -> _Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name: (node.level, node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    tree = _WithoutTypes().visit(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return _Source(hashlib.sha256(_text(tree).encode()).hexdigest(), tree, names, path.name == "__init__.py")


def _text(node: Any) -> str:
    """A syntax tree in words that do not depend on Python's version: what is empty is left out, as `ast.dump` does not."""
    if isinstance(node, ast.AST):
        fields = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        return f"{type(node).__name__}({','.join(f'{name}={_text(value)}' for name, value in fields)})"
    return f"[{','.join(map(_text, node))}]" if isinstance(node, list) else repr(node)


class _WithoutTypes(ast.NodeTransformer):
    """Leaves out what is under `if TYPE_CHECKING:`."""

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        return node.orelse if _dotted(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else node
