# SPDX-License-Identifier: Apache-2.0
"""The table on the terminal, and the JSON."""
import itertools
import json

COLUMNS = (("arm", 8), ("rate /s", 11), ("lowest–highest", 21), ("direct", 7), ("p50 µs", 8),
           ("p99 µs", 8), ("CPU µs", 8), ("client", 8), ("server", 8), ("switches", 8),
           ("RSS KiB", 9))


def number(value, digits=3):
    """A figure with as many digits as it deserves."""
    if value is None:
        return "-"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _cells(result):
    rate = result["rate"] or {"median": None, "min": None, "max": None}
    spread = f"{number(rate['min'])}–{number(rate['max'])}" if result["rate"] else "-"
    return (result["arm"], number(rate["median"]), spread,
            f"×{result['ratio']:.2f}" if result["ratio"] is not None else "-",
            number(result["p50_us"]), number(result["p99_us"]),
            number(result["cpu_us_per_request"]), number(result["client_us_per_request"]),
            number(result["server_us_per_request"]), number(result["switches_per_request"]),
            number(result["rss_kib"]))


def _row(cells):
    return "  " + " ".join(f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
                           for i, (cell, (_, width)) in enumerate(zip(cells, COLUMNS)))


def table(report):
    """The lines of the table."""
    lines = []
    for (scenario, place, log), group in itertools.groupby(
            report["results"], lambda r: (r["scenario"], r["place"], r["log"])):
        lines += ["", f"{scenario}  ({place}{', with logs' if log else ''})",
                  _row(name for name, _ in COLUMNS)]
        for result in group:
            more = ""
            if result["kib_per_connection"] is not None:
                more += f"  {number(result['kib_per_connection'])} KiB a connection"
            if result["p99_calm_us"] is not None:
                more += f"  p99 {number(result['p99_calm_us'])} without reloads"
            if result["failed"] or result["reopened"]:
                more += f"  {result['failed']:.0f} failed, {result['reopened']:.0f} reopened"
            lines.append(_row(_cells(result)) + more)
    lines += ["", "CPU, client and server are µs of CPU for each request, of the proxy, the load"
              " generator and the server;", "switches is how often one of the three stopped running;"
              f" all are medians of {report['mode']['rounds']} rounds."]
    lines += ["not measured: " + ", ".join(entry[key] for key in ("arm", "scenario") if key in entry)
              + f": {entry['why']}" for entry in report["not_measured"]]
    lines += [f"ERROR: {why}" for why in report["errors"]]
    return lines


def write(report, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1, ensure_ascii=False)
        file.write("\n")
