"""The cards of a page as HTML: the risk, its history, what drives it, and what was assumed. Every text is escaped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bridge_assets.nbi.derived import GOOD_MIN, POOR_MAX
from bridge_assets.reporting.condition.reasons import format_reasons
from bridge_assets.reporting.wording import DASH, percent
from bridge_assets.serve.interface.served import ComesTrue

#: Contributions that are shown in each direction. A chosen limit.
_MAX_DRIVERS = 6

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 250, 34, 104, 12, 28

_COMPONENTS = {
    "deck_rating_058": "Deck",
    "superstructure_rating_059": "Superstructure",
    "substructure_rating_060": "Substructure",
    "culvert_rating_062": "Culvert",
}


def problem(message: str) -> str:
    """A card that says what is wrong."""
    return f'<div class="bridge-card"><p class="problem" role="alert">{escape(message)}</p></div>'


def notice(message: str) -> str:
    """A card that says what to do next."""
    return f'<div class="bridge-card"><p class="notice">{escape(message)}</p></div>'


def risk(title: str, answer: Mapping[str, Any], comes_true: ComesTrue | None, condition: float | None) -> str:
    """The prediction of one bridge, with its calibration and years until Poor."""
    bridge = answer["bridges"][0]
    known = bridge["known"]
    cells = [
        _cell("At the next inspection", _prediction(answer, bridge), _calibration(comes_true)),
        _cell("Until Poor, if nothing is repaired", *_years(answer, bridge)),
        _cell(
            "Condition now",
            DASH if condition is None else f"{condition:.0f} of 9, {_class(condition)}",
            f"Last inspection on file: {known['last_inspection'] or DASH}, {known['inspections']} in all"
            if known
            else "No earlier inspection on file",
        ),
    ]
    origin = (
        f"Model {answer['model_version']}, tables of survey year {answer['survey_year']}. A probability of the model, "
        "not an inspection result"
    )
    flags = "".join(f"<li>{escape(flag)}</li>" for flag in bridge["flags"])
    contradictions = f"<h3>Contradictions in the record</h3><ul>{flags}</ul>" if flags else ""
    return (
        f'<div class="bridge-card"><h2>{escape(title)}</h2><div class="cells">{"".join(cells)}</div>{contradictions}'
        f'{_assumptions(bridge["assumed"])}<p class="soft">{escape(origin)}</p></div>'
    )


def drivers(bridge: Mapping[str, Any]) -> str:
    """What raises and what lowers the risk of one bridge, in words."""
    is_change = "expected_change" in bridge
    rows: dict[bool, list[str]] = {True: [], False: []}
    for each in format_reasons(bridge["contributions"], "change" if is_change else "fall"):
        found = rows[each.raises_risk]
        if each.contribution[1:].strip("0.") and len(found) < _MAX_DRIVERS:
            kind = "raises" if each.raises_risk else "lowers"
            found.append(
                f'<tr><th scope="row">{escape(_capitalised(each.words))}</th>'
                f'<td class="number {kind}">{each.contribution.replace("-", "−")}</td></tr>'
            )
    average = f"{bridge['base']:+.2f} points" if is_change else percent(bridge["base"])
    tables = "".join(
        f"<div><h3>{title}</h3><table><thead><tr><th>This bridge</th>"
        f'<th class="number">points</th></tr></thead><tbody>{"".join(found)}</tbody></table></div>'
        for title, found in (("Raises the risk", rows[True]), ("Lowers it", rows[False]))
        if found
    )
    return (
        f'<div class="bridge-card"><h2>What drives it</h2><p class="soft">Compared with the average of all bridges, '
        f"{average}. It explains the model, not why a bridge deteriorates.</p>"
        f'<div class="cells wide">{tables}</div></div>'
    )


def history(inspections: Sequence[Mapping[str, Any]]) -> str:
    """The ratings of a bridge over its inspections, as a plot and as a table."""
    if not inspections:
        return notice("No inspection of this bridge is on file.")
    dates = [each["inspection_date"] for each in inspections]
    components = [name for name in _COMPONENTS if any(each[name] is not None for each in inspections)]
    first, last = dates[0], dates[-1]
    years = max(1, (last - first).days)

    def place(date: dt.date, rating: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (date - first).days / years
        return round(x, 1), round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - rating / 9), 1)

    def steps(name: str) -> str:
        points: list[tuple[float, float]] = []
        for each in inspections:
            if each[name] is not None:
                x, y = place(each["inspection_date"], each[name])
                points += [(x, points[-1][1])] if points else []
                points.append((x, y))
        return " ".join(f"{x},{y}" for x, y in points)

    marks = "".join(
        '<circle cx="{}" cy="{}" r="3"><title>{:%Y-%m}: condition {}</title></circle>'.format(
            *place(each["inspection_date"], each["condition"]), each["inspection_date"], each["condition"]
        )
        for each in inspections
    )
    lines = "".join(f'<polyline class="component" points="{steps(name)}"/>' for name in components)
    label = (
        f"Condition from {first:%Y} to {last:%Y}: {inspections[0]['condition']} to {inspections[-1]['condition']} of 9"
    )
    names = ", ".join(_COMPONENTS[name].lower() for name in components)
    plot = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'{_axes(first, last, place)}{lines}<polyline class="condition" points="{steps("condition")}"/>{marks}</svg>'
    )
    return (
        '<div class="bridge-card"><h2>History</h2><p class="soft">Solid: condition, the lowest rating. Dashed: '
        f"{names}.</p>{plot}{_table(inspections, components)}</div>"
    )


def what_if_heading() -> str:
    """What the sliders are."""
    return (
        '<div class="bridge-card plain"><h2>What if</h2><p class="soft">The same bridge with other items, as the model '
        "sees it.</p></div>"
    )


def what_if(before: float, after: float, changes: Mapping[str, str]) -> str:
    """A prediction with some items changed beside the one without."""
    if not changes:
        text = "Move a slider: the model answers for a bridge that is the same otherwise."
    else:
        words = ", ".join(f"{name}: {value}" for name, value in changes.items())
        text = f"With {words}: the model gives {percent(after)} instead of {percent(before)}."
    warning = (
        "This is an association that the model learnt from many bridges, not the effect of a measure: changing a "
        "bridge like this need not change its risk."
    )
    return (
        f'<div class="bridge-card" aria-live="polite"><p><b>{escape(text)}</b></p>'
        f'<p class="soft">{escape(warning)}</p></div>'
    )


def _prediction(answer: Mapping[str, Any], bridge: Mapping[str, Any]) -> str:
    value = answer["predictions"][0]
    if "expected_change" in bridge:
        return f"{value:+.2f} points"
    return f"{percent(value)} likely to drop"


def _calibration(comes_true: ComesTrue | None) -> str:
    if comes_true is None:
        return "How often such probabilities came true is not on this machine."
    return (
        f"Of 100 bridges with about this probability, {comes_true.observed * 100:.0f} dropped: "
        f"{comes_true.falls:,} of {comes_true.inspections:,} held-out inspections of {comes_true.first_year} to "
        f"{comes_true.last_year}, for which the model gave {percent(comes_true.expected)} on average."
    )


def _years(answer: Mapping[str, Any], bridge: Mapping[str, Any]) -> tuple[str, str]:
    settings, years = answer["years_until_poor"], bridge["years_until_poor"]
    if years is None:
        return (
            DASH,
            f"{settings.get('skipped_reason') or 'Not known'}. Run the assets deterioration_model and local_endpoint.",
        )
    horizon, share = settings["horizon_years"], settings["interval"]
    if years["expected"] == 0:
        return "Poor now", f"Poor is a rating of {POOR_MAX} or less."
    low, high = (f"more than {horizon}" if years[name] is None else f"{years[name]:.0f}" for name in ("low", "high"))
    expected = f"more than {horizon} years" if years["expected"] is None else f"about {years['expected']:.0f} years"
    if years["low"] is None:
        return expected, f"{(1 + share) * 50:.0f} % of similar bridges take longer than {horizon} years."
    return expected, f"{share * 100:.0f} % of similar bridges take {low} to {high} years."


def _class(condition: float) -> str:
    return "Good" if condition >= GOOD_MIN else "Poor" if condition <= POOR_MAX else "Fair"


def _cell(title: str, figure: str, text: str) -> str:
    return (
        f'<div><p class="soft">{escape(title)}</p><p class="figure">{escape(figure)}</p>'
        f'<p class="soft">{escape(text)}</p></div>'
    )


def _assumptions(assumed: Sequence[str]) -> str:
    if not assumed:
        return ""
    items = "".join(f"<li>{escape(_capitalised(each))}</li>" for each in assumed)
    return f"<details><summary>What was assumed ({len(assumed)})</summary><ul>{items}</ul></details>"


def _axes(first: dt.date, last: dt.date, place: Any) -> str:
    grid = [
        f'<line class="{"limit" if rating == POOR_MAX else "grid"}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" '
        f'y2="{y}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{rating}</text>'
        for rating in (0, POOR_MAX, GOOD_MIN, 9)
        for y in [place(first, rating)[1]]
    ]
    names = [
        f'<text x="{_WIDTH - _RIGHT + 10}" y="{place(last, rating)[1] + 4}">{name}</text>'
        for rating, name in ((8, "Good"), (5.5, "Fair"), (2, "Poor"))
    ]
    ends = [
        f'<text x="{place(date, 0)[0]}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{date:%Y-%m}</text>'
        for date, anchor in ((first, "start"), (last, "end"))
    ]
    return "".join([*grid, *names, *(ends if first != last else ends[:1])])


def _table(inspections: Sequence[Mapping[str, Any]], components: Sequence[str]) -> str:
    head = "".join(f'<th class="number">{_COMPONENTS[name]}</th>' for name in components)
    rows = "".join(
        f'<tr><th scope="row">{each["inspection_date"]:%Y-%m}</th><td class="number">{each["condition"]}</td>'
        + "".join(f'<td class="number">{DASH if each[name] is None else each[name]}</td>' for name in components)
        + "</tr>"
        for each in reversed(inspections)
    )
    return (
        f'<details><summary>As a table</summary><table><thead><tr><th>Inspection</th><th class="number">Condition</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
