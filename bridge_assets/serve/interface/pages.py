"""What the interface shows for a bridge that was picked or typed in, without any component of Gradio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS
from bridge_assets.serve.interface import cards
from bridge_assets.serve.interface.inventory import MAX_FOUND, Inventory
from bridge_assets.serve.interface.served import NoAnswer, ServedBridges


@dataclass(frozen=True)
class SliderItem:
    """An item that a slider changes.

    Attributes
    ----------
    item, label : str
    low, high, step : float
        `high` grows with the value of a bridge.
    """

    item: str
    label: str
    low: float
    high: float
    step: float = 1


#: What can be tried: items that differ between bridges, not all of which can be changed on one.
SLIDERS = (
    SliderItem("DECK_COND_058", "Deck condition (item 58)", 0, 9),
    SliderItem("SUPERSTRUCTURE_COND_059", "Superstructure condition (item 59)", 0, 9),
    SliderItem("SUBSTRUCTURE_COND_060", "Substructure condition (item 60)", 0, 9),
    SliderItem("CULVERT_COND_062", "Culvert condition (item 62)", 0, 9),
    SliderItem("YEAR_BUILT_027", "Year built (item 27)", 1900, 2030),
    SliderItem("ADT_029", "Average daily traffic, vehicles per day (item 29)", 0, 50_000, 100),
    SliderItem("PERCENT_ADT_TRUCK_109", "Trucks, % of the traffic (item 109)", 0, 100),
    SliderItem("INVENTORY_RATING_066", "Inventory rating, t (item 66)", 0, 98, 0.1),
)


@dataclass(frozen=True)
class OpenedBridge:
    """A bridge that is shown.

    Attributes
    ----------
    key : str
        For the address; empty for a record that was typed in.
    request : dict
        What it was asked with (`serve.bridges`); empty if nothing is shown.
    record : dict
        Its record, which sliders change; empty if it is not in the lake.
    prediction : float
    risk, history : str
        Cards.
    """

    key: str = ""
    request: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    prediction: float = 0.0
    risk: str = ""
    history: str = ""

    def slider(self, slider: SliderItem) -> dict[str, float] | None:
        """Bounds and value of a slider; None if the record has no number there."""
        value = _number(self.record.get(slider.item))
        if value is None:
            return None
        low, high = min(slider.low, value), max(slider.high, value)
        return {"minimum": low, "maximum": high, "step": slider.step, "value": value}


@dataclass(frozen=True)
class Pages:
    """Makes what is shown."""

    inventory: Inventory
    served: ServedBridges

    def welcome(self) -> OpenedBridge:
        """The page before a bridge is picked: the served version, or what is missing."""
        try:
            version = self.served.current().version
        except NoAnswer as error:
            return OpenedBridge(risk=cards.problem(str(error)))
        return OpenedBridge(risk=cards.notice(f"Model {version} answers. Pick a bridge, or type one in."))

    def search(self, text: str) -> tuple[list[tuple[str, str]], str]:
        """(label, key) of the bridges found, and how many there are, as Markdown."""
        try:
            found, count = self.inventory.search(text)
        except SourceError as error:
            stage = f" Run the asset {error.stage}." if error.stage else ""
            return [], f"{error}{stage}"
        more = f"; the first {MAX_FOUND} are listed" if count > len(found) else ""
        return [(each.label, each.key) for each in found], f"{count:,} bridge{'' if count == 1 else 's'}{more}"

    def open_structure(self, key: str) -> OpenedBridge:
        """The page of a structure key."""
        state, _, number = key.strip().partition("-")
        request = {"structures": [{"state": state, "structure": number}]}
        try:
            answer = self.served.answer(request)
        except NoAnswer as error:
            return OpenedBridge(risk=cards.problem(str(error)))
        found = answer["bridges"][0]["structure_key"]
        try:
            title, history = self.inventory.describe(found), cards.history(self.inventory.inspections(found))
            record = self.inventory.raw_record(found, answer["survey_year"])
        except SourceError as error:
            title, history, record = found, cards.problem(f"{error} Run the asset {error.stage}."), {}
        return self._opened(title, request, answer, record, found, history)

    def open_record(self, text: str) -> OpenedBridge:
        """The page of a record that was typed in, one `item = value` a line."""
        try:
            record = parse_lines(text)
            request = {"records": [record]}
            answer = self.served.answer(request)
        except (NoAnswer, ValueError) as error:
            return OpenedBridge(risk=cards.problem(str(error)))
        return self._opened("The record that was typed in", request, answer, _by_name(record))

    def drivers(self, opened: OpenedBridge) -> str:
        """The card of what drives a prediction."""
        if not opened.request:
            return ""
        try:
            return cards.drivers(self.served.answer({**opened.request, "explain": True})["bridges"][0])
        except NoAnswer as error:
            return cards.notice(str(error))

    def what_if(self, opened: OpenedBridge, values: Sequence[float]) -> str:
        """The card of the sliders."""
        changes = {
            slider: value
            for slider, value in zip(SLIDERS, values, strict=False)
            if (bounds := opened.slider(slider)) is not None and value is not None and value != bounds["value"]
        }
        if not opened.record:
            return ""
        changed = {slider.item: _as_item(slider, value) for slider, value in changes.items()}
        try:
            # Without a change, the record itself is not asked: the page already shows its answer.
            after = self.served.answer({"records": [opened.record | changed]})["predictions"][0] if changes else 0.0
        except NoAnswer as error:
            return cards.problem(str(error))
        words = {slider.label.partition(" (")[0].lower(): f"{value:,g}" for slider, value in changes.items()}
        return cards.what_if(opened.prediction, after, words)

    def _opened(
        self,
        title: str,
        request: dict[str, Any],
        answer: dict[str, Any],
        record: dict[str, Any],
        key: str = "",
        history: str = "",
    ) -> OpenedBridge:
        prediction = answer["predictions"][0]
        comes_true = self.served.comes_true(answer["model_version"], prediction)
        risk = cards.risk(title, answer, comes_true, _condition(record))
        return OpenedBridge(key, request, record, prediction, risk, history)


def parse_lines(text: str) -> dict[str, str]:
    """Items of a record, one `item = value` or `item: value` a line; blank lines and those with `#` are left out.

    Raises ValueError with the number of a line that is none of these.
    """
    record: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, sign, value = line.partition("=") if "=" in line else line.partition(":")
        if not sign:
            raise ValueError(
                f"line {number}: expected an item and its value, such as 58 = 6, found {line.strip()[:40]!r}"
            )
        if name.strip() in record:
            raise ValueError(f"line {number}: item {name.strip()[:40]!r} is given twice")
        record[name.strip()] = value.strip()
    return record


def _by_name(record: dict[str, str]) -> dict[str, Any]:
    from bridge_assets.data.records.single_record import parse_record

    return dict(parse_record(record).items)


def _condition(record: dict[str, Any]) -> float | None:
    """The lowest rating of a record; None if it has none."""
    ratings = [_number(record.get(item)) for item in CONDITION_ITEMS]
    return min((rating for rating in ratings if rating is not None), default=None)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _as_item(slider: SliderItem, value: float) -> str | float:
    return str(int(value)) if slider.item in CONDITION_ITEMS else value
