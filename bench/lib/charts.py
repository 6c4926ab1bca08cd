# SPDX-License-Identifier: Apache-2.0
"""SVG charts of the results: one for each group of scenarios, figure and place. Bars from zero,
whiskers from the lowest to the highest round."""
import math
import os
from xml.sax.saxutils import escape

from report import number
from scenarios import SCENARIOS

COLOURS = {"direct": "#9aa0a6", "sluice": "#0b6e4f", "haproxy": "#3d6fb6", "nginx": "#c98a1b",
           "envoy": "#a23b72", "nghttpx": "#5b4b8a"}
BAR, GAP, LEFT, TOP, BOTTOM, HEIGHT = 26, 22, 64, 58, 44, 240
GRID_LINES = 4
# What is drawn of each result: the name in the JSON, the title, where a higher bar is better.
FIGURES = (("rate", "requests per second (more is better)"),
           ("cpu_us_per_request", "µs of CPU per request in the proxy (less is better)"),
           ("p99_us", "99th percentile of latency, µs (less is better)"),
           ("kib_per_connection", "KiB of memory for each idle connection (less is better)"))


def _scale(highest):
    """A round number that is not below HIGHEST, for the top of the chart."""
    step = 10 ** math.floor(math.log10(highest))
    return next(step * factor for factor in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
                if step * factor >= highest)


def _value(result, figure):
    """(bar, lowest, highest) or None."""
    found = result[figure]
    if found is None:
        return None
    if figure == "rate":
        return found["median"], found["min"], found["max"]
    taken = [r[figure] for r in result["rounds"] if r.get(figure) is not None]
    return found, min(taken), max(taken)


def _bars(clusters, top):
    """CLUSTERS is [(scenario, [(arm, (value, low, high))])]. Returns the elements and the width.
    Where values differ by orders of magnitude each cluster has a scale of its own."""
    parts, x = [], LEFT
    for scenario, bars in clusters:
        highest = top or max(high for _, (_, _, high) in bars) or 1
        begin = x
        for arm, (value, low, high) in bars:
            tall, at = HEIGHT * value / highest, x + BAR / 2
            parts.append(f'<rect x="{x}" y="{TOP + HEIGHT - tall:.1f}" width="{BAR - 4}" '
                         f'height="{tall:.1f}" fill="{COLOURS[arm]}"><title>{arm}, '
                         f'{escape(scenario)}: {number(value)} ({number(low)}–{number(high)})'
                         '</title></rect>')
            y_low, y_high = (TOP + HEIGHT * (1 - end / highest) for end in (low, high))
            parts.append(f'<path d="M{at - 2:.1f} {y_low:.1f}V{y_high:.1f}" stroke="#202124"/>')
            parts.append(f'<text x="{at - 2:.1f}" y="{y_high - 4:.1f}" class="n">'
                         f'{number(value)}</text>')
            x += BAR
        parts.append(f'<text x="{(begin + x) / 2:.1f}" y="{TOP + HEIGHT + 18}" class="s">'
                     f'{escape(scenario)}</text>')
        x += GAP
    return parts, x


def _grid(top, width):
    parts = [f'<path d="M{LEFT} {TOP + HEIGHT}H{width}" stroke="#202124"/>']
    for i in range(1, GRID_LINES + 1) if top else ():
        y = TOP + HEIGHT * (1 - i / GRID_LINES)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{width}" stroke="#dadce0"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="a">'
                     f'{number(top * i / GRID_LINES)}</text>')
    return parts


def draw(title, clusters, shared_scale=True):
    """The text of one chart."""
    top = _scale(max((high for _, bars in clusters for _, (_, _, high) in bars), default=1) or 1)
    if not shared_scale:
        top = None
    bars, width = _bars(clusters, top)
    arms = list(dict.fromkeys(arm for _, found in clusters for arm, _ in found))
    legend = "".join(
        f'<rect x="{LEFT + i * 84}" y="30" width="12" height="12" fill="{COLOURS[arm]}"/>'
        f'<text x="{LEFT + i * 84 + 17}" y="40" class="l">{arm}</text>'
        for i, arm in enumerate(arms))
    width = max(width, LEFT + 84 * len(arms), 8 * len(title) + 20)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + BOTTOM}" '
            f'width="{width}" height="{TOP + HEIGHT + BOTTOM}" role="img">'
            '<style>text{font:12px sans-serif;fill:#202124}.t{font-size:14px;font-weight:bold}'
            '.n{font-size:8px;text-anchor:middle}.s{text-anchor:middle}.a{text-anchor:end}</style>'
            f'<rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="12" y="20" class="t">{escape(title)}</text>{legend}'
            + "".join(_grid(top, width - GAP / 2)) + "".join(bars) + "</svg>\n")


def _clusters(results, figure):
    found = {}
    for result in results:
        value = _value(result, figure)
        if value:
            found.setdefault(result["scenario"], []).append((result["arm"], value))
    return list(found.items())


def write(report, folder, name):
    """Write FOLDER/NAME-GROUP-FIGURE[-PLACE][-log].svg; remove those that are no longer made."""
    group_of = {scenario.name: scenario.chart for scenario in SCENARIOS}
    groups = {}
    for result in report["results"]:
        suffix = ("" if result["place"] == "loopback" else "-" + result["place"]) \
            + ("-log" if result["log"] else "")
        groups.setdefault((group_of[result["scenario"]], suffix), []).append(result)
    written = set()
    for (group, suffix), results in groups.items():
        for figure, title in FIGURES:
            clusters = _clusters(results, figure)
            if clusters:
                path = f"{name}-{group}-{figure.split('_')[0]}{suffix}.svg"
                with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
                    file.write(draw(f"{group}{suffix}: {title}", clusters, group != "bodies"))
                written.add(path)
    for path in os.listdir(folder):
        if path.startswith(name + "-") and path.endswith(".svg") and path not in written:
            os.unlink(os.path.join(folder, path))
    return sorted(written)
