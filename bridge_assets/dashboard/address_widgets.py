"""Widgets whose value is in the address of the page, so that what a reader chose can be shared.

The address is the truth: a widget shows what it says, and a change of the widget changes the address. Streamlit's own
`bind="query-params"` refuses to open a page whose address has a parameter of the same name, such as the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

#: Changes of a filter go back to the first page.
PAGE = "page"


def choice(
    label: str, options: Sequence[T], name: str, *, format_func: Callable[[T], str] = str, kind: str = "selectbox"
) -> T:
    """A selectbox, or a `segmented_control`; the first option is the default and is left out of the address.

    Parameters
    ----------
    label : str
    options : sequence
        Their `str` is what the address holds.
    name : str
        Of the parameter.
    format_func : callable
        An option as a reader sees it.
    kind : {"selectbox", "segmented_control"}
    """
    import streamlit as st

    by_text = {str(option): option for option in options}
    key = f"address-{name}"
    st.session_state[key] = by_text.get(st.query_params.get(name, ""), options[0])

    def changed() -> None:
        _write(name, str(st.session_state[key]), str(options[0]))

    more: dict[str, Any] = {"required": True} if kind == "segmented_control" else {}
    chosen = getattr(st, kind)(label, options, key=key, format_func=format_func, on_change=changed, **more)
    return options[0] if chosen is None else chosen


def text(label: str, name: str, **arguments: Any) -> str:
    """A text field; empty text is left out of the address."""
    import streamlit as st

    key = f"address-{name}"
    st.session_state[key] = st.query_params.get(name, "")
    found = st.text_input(
        label, key=key, on_change=lambda: _write(name, (st.session_state[key] or "").strip(), ""), **arguments
    )
    return found or ""


def number(name: str, default: int = 1) -> int:
    """A whole number of the address, such as a page; the default for anything else."""
    import streamlit as st

    value = st.query_params.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else default


def _write(name: str, value: str, default: str) -> None:
    import streamlit as st

    if value == default:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value
    st.query_params.pop(PAGE, None)
