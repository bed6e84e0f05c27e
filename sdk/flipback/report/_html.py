"""Elements of a page; whatever is not markup already is escaped."""

import html


_VOID = frozenset({"meta", "wbr"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


NOTHING = Markup("")


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Return an element.

    Args:
        name: Of the element.
        children: What is in it; what is no `Markup` is escaped.
        attributes: In their order; one that is None is left out. A trailing
            underscore is dropped and others become hyphens: `class_`, `aria_label`.
    """
    spelled = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{spelled}>")
    return Markup(f"<{name}{spelled}>{joined(*children)}</{name}>")


def joined(*parts: str) -> Markup:
    """Return parts one after the other."""
    return Markup("".join(map(escaped, parts)))


def breakable(name: str) -> Markup:
    """Return a name that may be broken after each `=`."""
    first, *rest = name.split("=")
    return joined(first, *(joined("=", tag("wbr"), part) for part in rest))


def escaped(text: str) -> Markup:
    """Return text as it may stand anywhere in a page; markup stays as it is.

    Characters that show nothing, or that turn the direction of others around, appear
    as escapes.
    """
    if isinstance(text, Markup):
        return text
    return Markup(html.escape("".join(map(_visible, text))))


def _visible(char: str) -> str:
    if char.isprintable() or char in "\n\t":
        return char
    return char.encode("unicode_escape").decode()


def _attribute(key: str, value: str | float) -> str:
    name = key.removesuffix("_").replace("_", "-")
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{escaped(text)}"'
