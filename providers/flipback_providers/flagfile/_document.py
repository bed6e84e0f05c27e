"""The flag file as JSON: parsing, shared evaluators, digests, writing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from flipback.errors import ConfigError, Mistake


Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]
REF = "$ref"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed flag file; `root` is everything in it, in the file's order."""

    file: str
    root: JsonObject

    @property
    def flags(self) -> JsonObject:
        """Return the flags by key, as written; empty where the file has none."""
        return _member(self.root, "flags")

    @property
    def evaluators(self) -> JsonObject:
        """Return the pieces of targeting that flags refer to by `$ref`."""
        return _member(self.root, "$evaluators")

    @property
    def metadata(self) -> JsonObject:
        """Return the metadata that all flags of the file share."""
        return scalars(self.root.get("metadata"))

    def render(self) -> bytes:
        """Return the file's new content, indented by 2."""
        text = json.dumps(self.root, indent=2, ensure_ascii=False) + "\n"
        try:
            return text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, legal in JSON
            return (json.dumps(self.root, indent=2) + "\n").encode()


def parse(content: bytes, *, file: str) -> Document:
    """Parse a flag file.

    Raises:
        ConfigError: It is no JSON object, or `flags` or `$evaluators` is none.
    """
    try:
        root: Json = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _broken(file, place, f"is no JSON ({error.msg})") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise _broken(file, "content", f"cannot be decoded ({error})") from error
    if not isinstance(root, dict):
        raise _broken(file, "content", "is no JSON object")
    for name in ("flags", "$evaluators"):
        if not isinstance(root.get(name, {}), dict):
            raise _broken(file, name, "is no JSON object")
    return Document(file=file, root=root)


def scalars(metadata: Json) -> JsonObject:
    """Return what OpenFeature takes as flag metadata: strings, numbers, booleans."""
    if not isinstance(metadata, dict):
        return {}
    return {
        name: value
        for name, value in metadata.items()
        if name and isinstance(value, bool | int | float | str)
    }


def expand(node: Json, evaluators: Mapping[str, Json]) -> Json:
    """Return a copy of targeting with every `$ref` replaced by what it names.

    A reference to nothing, or in a circle, is left as it is: no operator has that
    name, so validation finds it.
    """
    name = reference(node)
    if name is not None and name in evaluators:
        others = {key: value for key, value in evaluators.items() if key != name}
        return expand(evaluators[name], others)
    if isinstance(node, dict):
        return {key: expand(value, evaluators) for key, value in node.items()}
    if isinstance(node, list):
        return [expand(value, evaluators) for value in node]
    return node


def reference(node: Json) -> str | None:
    """Return which evaluator this node stands for, None if it is no reference."""
    if not isinstance(node, dict) or len(node) != 1:
        return None
    name = node.get(REF)
    return name if isinstance(name, str) else None


def digest(flag: Json, evaluators: Mapping[str, Json]) -> str:
    """Return 16 hexadecimal digits of a flag and the evaluators that it refers to.

    Order of keys and white space do not count, nor does any other flag.
    """
    used: JsonObject = {name: evaluators[name] for name in _used(flag, evaluators)}
    text = json.dumps([flag, used], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _used(node: Json, evaluators: Mapping[str, Json]) -> set[str]:
    name = reference(node)
    if name is not None and name in evaluators:
        others = {key: value for key, value in evaluators.items() if key != name}
        return {name} | _used(evaluators[name], others)
    if isinstance(node, dict):
        node = list(node.values())
    if not isinstance(node, list):
        return set()
    return {name for value in node for name in _used(value, evaluators)}


def _member(root: JsonObject, name: str) -> JsonObject:
    member = root.get(name, {})
    return member if isinstance(member, dict) else {}


def _broken(file: str, key: str, problem: str) -> ConfigError:
    remedy = "repair it, or put the last good file back"
    return ConfigError(
        [Mistake(file=file, table="", key=key, problem=problem, remedy=remedy)]
    )
