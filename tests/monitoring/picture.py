"""picture.py NATS_SERVER NOTIFIER PROMETHEUS SECONDS FILE: draws the dashboard from its JSON and from real answers.

Grafana is not involved: titles, places, queries, legends, units and stacking are those of deploy/grafana/notifier.json.
"""

import asyncio
import datetime
import math
import re
import sys
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates  # noqa: E402
import matplotlib.pyplot as pyplot  # noqa: E402
from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: E402

import dashboard  # noqa: E402
import load  # noqa: E402
from stage import Stage  # noqa: E402

BACK, PANEL, TEXT, FAINT = "#111217", "#181b1f", "#d8d9da", "#8e8e8e"
COLORS = "#73bf69 #f2cc0c #5794f2 #ff9830 #f2495c #b877d9 #8ab8ff #96d98d #ffb357 #ff7383 #ca95e5 #37872d".split()
STEPS = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2"}
WIDTH, UNIT, GAP = 16.0, 0.335, 0.07  # inches: of the picture, of a row of the grid, between panels
SUFFIX = {"cps": "/s", "cpm": "/min", "Bps": " B/s", "bytes": " B", "s": " s"}


def amount(value, unit):
    if math.isnan(value):
        return "no data"
    if unit == "percentunit":
        return f"{100 * value:.2f} %"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{1e6 * value:.3g} µs" if value < 1e-3 else f"{1e3 * value:.3g} ms"
    for bound, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.3g} {letter}".rstrip() + SUFFIX.get(unit, "").strip()
    return f"{value:.3g}" + SUFFIX.get(unit, "")


def legend(target, metric):
    return re.sub(r"\{\{(\w+)\}\}", lambda name: metric.get(name[1], ""), target["legendFormat"]) or "value"


def series(stage, panel, span):
    """Name, times and values of each series of a panel, the largest first."""
    found = []
    for target in panel["targets"]:
        for one in stage.get("query_range", query=dashboard.expand(target["expr"]), **span)["result"]:
            times = [datetime.datetime.fromtimestamp(float(at), datetime.timezone.utc) for at, _ in one["values"]]
            found.append((legend(target, one["metric"]), times, [float(value) for _, value in one["values"]]))
    return found


def axes_of(figure, panel, height):
    place = panel["gridPos"]
    inch = WIDTH / 24
    left, bottom = place["x"] * inch + GAP, height - (place["y"] + place["h"]) * UNIT + GAP
    size = place["w"] * inch - 2 * GAP, place["h"] * UNIT - 2 * GAP
    box = [left / WIDTH, bottom / height, size[0] / WIDTH, size[1] / height]
    figure.patches.append(pyplot.Rectangle(box[:2], *box[2:], color=PANEL, transform=figure.transFigure, zorder=-1))
    figure.text(box[0] + 0.1 / WIDTH, box[1] + box[3] - 0.08 / height, panel["title"], color=TEXT, size=9.5, va="top")
    return left, bottom, *size


def draw_lines(figure, panel, found, height, span):
    left, bottom, width, tall = axes_of(figure, panel, height)
    defaults = panel["fieldConfig"]["defaults"]
    inner = [(left + 0.62) / WIDTH, (bottom + 0.62) / height, (width - 0.78) / WIDTH, (tall - 1.0) / height]
    axes = figure.add_axes(inner, facecolor=PANEL)
    custom = defaults["custom"]
    if custom.get("stacking") and found:
        times = sorted({at for _, moments, _ in found for at in moments})
        rows = [[dict(zip(moments, values)).get(at, 0) for at in times] for _, moments, values in found]
        axes.stackplot(times, rows, colors=COLORS, alpha=0.35)
        total = [0.0] * len(times)
        for number, row in enumerate(rows):
            total = [sum(pair) for pair in zip(total, row)]
            axes.plot(times, total, color=COLORS[number % len(COLORS)], lw=1)
    else:
        for number, (_, times, values) in enumerate(found):
            color = COLORS[number % len(COLORS)]
            axes.plot(times, values, color=color, lw=1.1)
            axes.fill_between(times, values, color=color, alpha=custom["fillOpacity"] / 100, lw=0)
    axes.set_xlim(*(datetime.datetime.fromtimestamp(span[key], datetime.timezone.utc) for key in ("start", "end")))
    top = max(axes.get_ylim()[1], 0)
    top = 1.08 * top if any(value > 0 for _, _, values in found for value in values) else 1
    axes.set_ylim(-0.03 * top, top)  # so that a line at zero is seen
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4, min_n_ticks=3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value, defaults["unit"])))
    axes.tick_params(colors=FAINT, labelsize=7, length=0)
    axes.grid(color="#2c3235", lw=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)
    names = [name for name, _, _ in found]
    longest = max(map(len, names), default=0)
    columns = 2 if longest > 22 else 3 if longest > 15 else 4
    if len(names) > 2 * columns:
        names = [*names[: 2 * columns - 1], f"and {len(names) - 2 * columns + 1} more"]
    handles = [pyplot.Line2D([], [], color=COLORS[number % len(COLORS)], lw=2) for number in range(len(names))]
    box = ((left + 0.1) / WIDTH, (bottom + 0.03) / height)
    axes.legend(handles, names, loc="lower left", bbox_to_anchor=box, ncols=columns, fontsize=6.8,
                bbox_transform=figure.transFigure, labelcolor=TEXT, frameon=False, handlelength=0.9, columnspacing=0.9,
                handletextpad=0.4, borderpad=0.1, labelspacing=0.25)


def draw_stat(figure, panel, found, height):
    left, bottom, width, tall = axes_of(figure, panel, height)
    defaults = panel["fieldConfig"]["defaults"]
    values = [value for _, _, values in found for value in values if not math.isnan(value)]
    value = values[-1] if values else math.nan
    color = TEXT
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = STEPS[step["color"]]
    text = amount(value, defaults["unit"])
    for mapping in defaults["mappings"]:
        if mapping["type"] == "value" and (known := mapping["options"].get(f"{value:g}")):
            text = known["text"]
    center = (left + width / 2) / WIDTH, (bottom + tall / 2 - 0.12) / height
    figure.text(*center, text, color=color, size=22, ha="center", va="center", weight="bold")


def draw(stage, board, span, file):
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    height = (rows + 1) * UNIT
    figure = pyplot.figure(figsize=(WIDTH, height), facecolor=BACK)
    for panel in board["panels"]:
        if panel["type"] == "row":
            middle = 1 - (panel["gridPos"]["y"] + 0.55) * UNIT / height
            figure.text(0.008, middle, "▾ " + panel["title"], color=TEXT, size=11.5, va="center", weight="bold")
            continue
        found = series(stage, panel, span)
        draw_stat(figure, panel, found, height) if panel["type"] == "stat" else draw_lines(figure, panel, found, height, span)
    said = "Drawn by scripts/dashboard-picture.sh from deploy/grafana/notifier.json and a real Prometheus; this is not Grafana."
    figure.text(0.008, 0.3 * UNIT / height, said, color=FAINT, size=9, va="center")
    figure.savefig(file, dpi=75, facecolor=BACK)


async def live(stage, seconds):
    """Load, and in its middle six seconds without NATS."""

    async def take_nats_away():
        await asyncio.sleep(seconds * 0.5)
        await asyncio.to_thread(stage.restart_nats, 6)

    await asyncio.gather(load.load(stage.nodes, seconds, clients=40), take_nats_away())


def main():
    *programs, seconds, file = sys.argv[1:]
    with Stage(*programs) as stage:
        end = time.time() + float(seconds)
        asyncio.run(live(stage, float(seconds)))
        draw(stage, dashboard.read(), {"start": stage.begun + 5, "end": end - 1, "step": "1s"}, file)


if len(sys.argv) != 6:
    sys.exit(__doc__)
main()
