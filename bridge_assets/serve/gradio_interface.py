"""The interface for people: pick a bridge or type one in, and see its risk, what drives it, and its history.

It works on the package of the local endpoint and the tables of the lake, without Dagster. Nothing leaves the machine:
no analytics, no fonts or scripts of another host. `?bridge=25-B16123` in the address opens a bridge.

Belongs here: components, events and the functions for gradio_client (`/search`, `/predict_structure`,
`/predict_record`). Does not belong here: what a page shows (`interface.pages`, `interface.cards`), and answers
(`bridges`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge_assets.data.lake import Lake
from bridge_assets.errors import DeploymentError, MissingExtraError
from bridge_assets.extras import install_command
from bridge_assets.serve.border.access import TOKEN, AccessRules
from bridge_assets.serve.interface import cards
from bridge_assets.serve.interface.inventory import Inventory
from bridge_assets.serve.interface.pages import SLIDERS, OpenedBridge, Pages
from bridge_assets.serve.interface.served import NoAnswer, ServedBridges

if TYPE_CHECKING:
    import gradio as gr

    from bridge_assets.settings import DataSettings

#: Gradio's own port.
DEFAULT_PORT = 7860

_INTRODUCTION = """# How likely is its rating to drop?
Find a bridge by its structure number, the road, the feature crossed, the place, the state or the county, or type one
in. The answer is that of the model that the local endpoint serves."""

_EXAMPLE_RECORD = """# One NBI item a line, by number or name; what is left out is filled in, and said
1 = 25
27 = 1962
29 = 8400
43A = 3
43B = 02
49 = 41.5
58 = 6
59 = 5
60 = 6"""

#: Writes the opened bridge into the address, so that it can be shared.
_SET_ADDRESS = """(key) => {
  const address = new URL(window.location);
  if (key) { address.searchParams.set("bridge", key); } else { address.searchParams.delete("bridge"); }
  window.history.replaceState(null, "", address);
  return key;
}"""


def make_interface(data: DataSettings) -> gr.Blocks:
    """Make the interface; it is served by `launch_interface`, or by Gradio's own `launch` and `mount_gradio_app`.

    Parameters
    ----------
    data : DataSettings
        Where the local endpoint, its models and the lake are. None of them has to exist yet: the page then says which
        asset to run.

    Raises
    ------
    MissingExtraError
        If gradio is not installed.
    """
    gr = _gradio()
    served = ServedBridges(data.endpoint_folder, data.models_folder)
    pages = Pages(Inventory(Lake(data.lake)), served)
    with gr.Blocks(title="Bridge Assets: one bridge", analytics_enabled=False) as blocks:
        gr.Markdown(_INTRODUCTION)
        with gr.Tab("Pick a bridge"):
            words = gr.Textbox(label="Search", placeholder="Number, road, feature, place, state or county 027")
            found = gr.Dropdown(label="Bridges found", choices=[], value=None, interactive=True, filterable=True)
            count = gr.Markdown()
        with gr.Tab("Type one in"):
            record = gr.Textbox(label="Record", value=_EXAMPLE_RECORD, lines=10, max_lines=30)
            ask = gr.Button("Predict this record", variant="primary")
        opened, key = gr.State(OpenedBridge()), gr.Textbox(visible=False)
        risk, drivers, history = gr.HTML(), gr.HTML(), gr.HTML()
        with gr.Column(visible=False) as what_if_group:
            gr.HTML(cards.what_if_heading())
            with gr.Group():
                sliders = [gr.Slider(label=each.label, visible=False) for each in SLIDERS]
            changed = gr.HTML()
        shown = [opened, key, risk, what_if_group, *sliders, changed, history, drivers]
        _add_events(gr, blocks, pages, words, found, count, record, ask, shown)
        _add_functions(gr, pages, served)
    return blocks


def launch_interface(
    data: DataSettings,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    environ: Mapping[str, str] = os.environ,
    *,
    blocks_thread: bool = True,
) -> str:
    """Serve the interface until the process is interrupted.

    Parameters
    ----------
    data : DataSettings
    host : str
        Any other address than loopback needs a token (`border.access`), which is then the password of every user.
    port : int
    environ : mapping
    blocks_thread : bool
        Whether to wait until the process is interrupted.

    Returns
    -------
    str
        The address.

    Raises
    ------
    DeploymentError
        If anybody could use it, or the port is in use.
    MissingExtraError
        If gradio is not installed.
    """
    access = AccessRules.for_host(host, environ, could="use the model and see the bridges")
    blocks = make_interface(data)
    from bridge_assets.serve.interface.theme import css, theme

    def admits(user: str, password: str) -> bool:
        return access.admits_token(f"Bearer {password}")

    try:
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=False,
            quiet=True,
            prevent_thread_lock=not blocks_thread,
            auth=admits if access.token_digest else None,
            auth_message=f"Any user name; the password is the token ({TOKEN}).",
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            footer_links=["api"],
            theme=theme(),
            css=css(),
        )
    except OSError as error:
        raise DeploymentError(
            "the interface cannot listen",
            where=f"{host}:{port}",
            why=str(error),
            do="choose another port, or stop the process that uses it",
        ) from error
    return address


def _gradio() -> Any:
    # Set before gradio is imported, which reads it then.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise MissingExtraError(
            "the interface needs gradio, which is not installed", do=install_command("gradio")
        ) from error
    return gradio


def _add_events(
    gr: Any, blocks: Any, pages: Pages, words: Any, found: Any, count: Any, record: Any, ask: Any, shown: list[Any]
) -> None:
    """What happens when something is typed, picked, moved, or when the page is opened."""
    opened, key, _, _, *rest = shown
    sliders, (changed, _, drivers) = rest[: len(SLIDERS)], rest[len(SLIDERS) :]
    shown_at_once = shown[:-1]
    private = {"api_visibility": "private"}

    def list_found(text: str) -> tuple[Any, str]:
        choices, message = pages.search(text)
        return gr.Dropdown(choices=choices, value=None), message

    def updates(state: OpenedBridge) -> list[Any]:
        bounds = [state.slider(each) for each in SLIDERS]
        return [
            state,
            state.key,
            state.risk,
            gr.Column(visible=any(bounds)),
            *(gr.Slider(visible=False) if each is None else gr.Slider(**each, visible=True) for each in bounds),
            pages.what_if(state, []),
            state.history,
        ]

    def open_bridge(wanted: str | None) -> list[Any]:
        return updates(pages.open_structure(wanted) if wanted else OpenedBridge())

    def restore(request: gr.Request) -> list[Any]:
        wanted = request.query_params.get("bridge", "")
        return updates(pages.open_structure(wanted) if wanted else pages.welcome())

    def open_record(text: str) -> list[Any]:
        return updates(pages.open_record(text))

    restore.__annotations__["request"] = gr.Request
    words.input(list_found, words, [found, count], trigger_mode="always_last", show_progress="hidden", **private)
    starts = (
        blocks.load(restore, None, shown_at_once, **private),
        found.input(open_bridge, found, shown_at_once, **private),
        ask.click(open_record, record, shown_at_once, **private),
    )
    for start in starts:
        start.then(None, key, key, js=_SET_ADDRESS, **private).then(pages.drivers, opened, drivers, **private)
    for slider in sliders:
        slider.input(
            lambda state, *values: pages.what_if(state, list(values)),
            [opened, *sliders],
            changed,
            trigger_mode="always_last",
            show_progress="hidden",
            **private,
        )


def _add_functions(gr: Any, pages: Pages, served: ServedBridges) -> None:
    """The functions that gradio_client calls by name."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        try:
            return served.answer(request)
        except NoAnswer as error:
            raise gr.Error(str(error), print_exception=False) from error

    def search(words: str) -> list:
        """The first bridges that have every word: structure key and description."""
        return [{"structure_key": key, "description": label} for label, key in pages.search(words)[0]]

    def predict_structure(state: str, structure: str, explain: bool = False) -> dict:
        """The answer of /predict for a structure key: state code (item 1) and structure number (item 8)."""
        return answer({"structures": [{"state": state, "structure": structure}], "explain": explain})

    def predict_record(record: dict, explain: bool = False) -> dict:
        """The answer of /predict for a raw NBI record: item names or numbers -> values."""
        return answer({"records": [record], "explain": explain})

    for function, types in (
        (search, {"words": str, "return": list}),
        (predict_structure, {"state": str, "structure": str, "explain": bool, "return": dict}),
        (predict_record, {"record": dict, "explain": bool, "return": dict}),
    ):
        function.__annotations__ = types  # Gradio reads types, not their names
        gr.api(function, api_name=function.__name__)
