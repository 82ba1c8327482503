#!/usr/bin/python3
"""Tables and plots of a run of run.py. Also by hand, from its --json: report.py FILE.json [MARKDOWN-FILE]"""

import json
import os
import statistics
import sys

import plot

BEGIN, END = "<!-- begin: written by bench/rivals/report.py -->", "<!-- end -->"
FLOOR = "raw epoll"
PLOTS = [
    ("echo", "Echoes per server-CPU-second, raw epoll echo = 1", {"echo", "sessions"}),
    ("deflate", "Echoes with permessage-deflate per server-CPU-second, raw echo of the compressed bytes = 1",
     {"takeover", "no-takeover"}),
    ("fan", "Deliveries per server-CPU-second, raw broadcast = 1", {"fan"}),
]


def is_weft(name):
    return name.startswith("weft")


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return statistics.quantiles(values, n=4, method="inclusive")


def figures(result, load):
    """Per server that has a figure: medians, and the quartiles of its ratio to the floor within the same round."""
    samples, noun = result["samples"].get(load["title"], {}), load["noun"]
    floor = samples.get(FLOOR)
    found = {}
    for name in result["versions"]:
        own = samples.get(name)
        if not own:
            continue
        key = f"{noun}_per_server_cpu_s"
        row = {"per_cpu_s": statistics.median(s[key] for s in own),
               "per_s": statistics.median(s[f"{noun}_per_s"] for s in own),
               "load_busy": statistics.median(s["load_cpu_s"] / s["seconds"] for s in own)}
        if floor:
            row["ratio"] = quartiles([s[key] / f[key] for s, f in zip(own, floor)])
        for extra in ("p50_us", "p99_us", "answer_bytes"):
            if extra in own[0]:
                row[extra] = quartiles([s[extra] for s in own])
        found[name] = row
    return found


def cell(result, load, name, found):
    """What the overview says about a server and a load."""
    if name in found:
        return f"{found[name]['ratio'][1]:.2f}" if "ratio" in found[name] else f"{found[name]['per_cpu_s']:,.0f}"
    return "error" if name in result["errors"].get(load["title"], {}) else "-"


def overview(result):
    """Rows of text: a head, one row per load, then latency and memory."""
    names = list(result["versions"])
    rows = [["ratio to raw epoll"] + names]
    for load in result["loads"]:
        found = figures(result, load)
        rows.append([load["title"]] + [cell(result, load, name, found) for name in names])
    for load in result["loads"]:
        if load["kind"] in ("fan", "paced"):
            found = figures(result, load)
            rows.append([f"{load['title']}: p99, ms"] +
                        [f"{found[n]['p99_us'][1] / 1000:.2f}" if n in found and "p99_us" in found[n] else "-"
                         for n in names])
    if result["idle"]:
        def held(name):
            idle = result["idle"].get(name)
            if idle is None:
                return "-"
            return "error" if "error" in idle else f"{idle['bytes_per_connection']['rss']:,.0f}"
        rows.append(["idle memory, bytes"] + [held(name) for name in names])
    return rows


def conditions(result):
    m = result["machine"]
    kernel = m["kernel"].split("-")[0]
    return (f"{m['model']}, {m['cores']} cores, Linux {kernel}; servers on core {result['server_core']}, load on core "
            f"{result['load_core']}; medians of {result['rounds']} rounds of {result['seconds']:g} s; "
            f"{result['date']}; load average before: {result['load_average_before'][0]:.1f}")


def terminal(result):
    rows = overview(result)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [conditions(result), ""]
    lines += ["  ".join(f"{text:{'>' if i else '<'}{widths[i]}}" for i, text in enumerate(row)) for row in rows]
    lines += ["", "Ratios: messages, sessions or deliveries per server-CPU-second, over those of the raw echo or",
              "broadcast in the same round.", "-: the server cannot do it, or was not asked."]
    for title, errors in result["errors"].items():
        lines += [f"error: {name}, {title}: {error.splitlines()[0]}" for name, error in errors.items()]
    return "\n".join(lines)


def md_table(rows, align="---:"):
    lines = ["| " + " | ".join(rows[0]) + " |", "|---|" + f"{align}|" * (len(rows[0]) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows[1:]]


def md_load(result, load):
    """The table of one load."""
    found, errors = figures(result, load), result["errors"].get(load["title"], {})
    extras = [e for e in ("p50_us", "p99_us", "answer_bytes") if any(e in row for row in found.values())]
    heads = {"p50_us": "median, us", "p99_us": "p99, us", "answer_bytes": "bytes per answer"}
    rows = [["", "per server-CPU-second", "ratio to raw epoll (quartiles)", "per second", "load core busy"] +
            [heads[e] for e in extras]]
    for name in sorted(found, key=lambda n: -found[n]["per_cpu_s"]):
        row = found[name]
        low, middle, high = row.get("ratio", (0, 0, 0))
        shown = f"**{name}**" if is_weft(name) else name
        rows.append([shown, f"{row['per_cpu_s']:,.0f}", f"{middle:.2f} ({low:.2f}–{high:.2f})",
                     f"{row['per_s']:,.0f}", f"{row['load_busy']:.0%}"] + [f"{row[e][1]:,.0f}" if e in row else "" for e in extras])
    lines = [f"### {load['title']}", ""] + md_table(rows) + [""]
    lines += [f"{name}: no figure: {error.splitlines()[0]}" for name, error in errors.items()]
    return lines + ([""] if errors else [])


def behind(result):
    """Per load: weft beside the best rival, the floors left out. The ratio is within the rounds."""
    rows = [["load", "best rival", "weft / best rival (quartiles)"]]
    for load in result["loads"]:
        samples, key = result["samples"].get(load["title"], {}), f"{load['noun']}_per_server_cpu_s"
        found = figures(result, load)
        rivals = {n: row["per_cpu_s"] for n, row in found.items() if not is_weft(n) and not n.startswith("raw")}
        for weft in [n for n in found if is_weft(n)]:
            if rivals:
                best = max(rivals, key=rivals.get)
                low, middle, high = quartiles([w[key] / b[key] for w, b in zip(samples[weft], samples[best])])
                rows.append([load["title"] + (f" ({weft})" if weft != "weft" else ""), best,
                             f"{middle:.2f} ({low:.2f}–{high:.2f})"])
    return rows


def panels(result, kinds):
    for load in result["loads"]:
        if load["kind"] not in kinds:
            continue
        found = figures(result, load)
        bars = [plot.Bar(n, row["ratio"][1], row["ratio"][0], row["ratio"][2], is_weft(n), n.startswith("raw"))
                for n, row in found.items() if "ratio" in row]
        yield plot.Panel(load["title"], bars, "{:.2f}")


def latency_panels(result):
    for load in result["loads"]:
        if load["kind"] not in ("paced", "fan"):
            continue
        found = figures(result, load)
        bars = [plot.Bar(n, row["p99_us"][1] / 1000, row["p99_us"][0] / 1000, row["p99_us"][2] / 1000, is_weft(n),
                         n.startswith("raw")) for n, row in found.items() if "p99_us" in row]
        what = "to the last member" if load["kind"] == "fan" else "to the answer"
        yield plot.Panel(f"{load['title']}: p99 {what}, ms", bars, "{:.2f}")


def memory_panel(result):
    bars = [plot.Bar(n, i["bytes_per_connection"]["rss"], None, None, is_weft(n), False)
            for n, i in result["idle"].items() if "error" not in i]
    return plot.Panel(f"Bytes of user memory per idle connection ({result['held']:,} held, RSS)", bars, "{:,.0f}")


def write_plots(result, folder):
    """Writes the SVG files; returns name and title of each."""
    os.makedirs(folder, exist_ok=True)
    drawn = [(name, title, list(panels(result, kinds))) for name, title, kinds in PLOTS]
    drawn.append(("latency", "Waiting times, shorter is better", list(latency_panels(result))))
    if result["idle"]:
        drawn.append(("memory", "Memory, shorter is better", [memory_panel(result)]))
    written = []
    for name, title, of_plot in drawn:
        if any(panel.bars for panel in of_plot):
            with open(os.path.join(folder, f"{name}.svg"), "w", encoding="utf-8") as file:
                file.write(plot.svg(title, [panel for panel in of_plot if panel.bars]))
            written.append((name, title))
    return written


def md_memory(result):
    keys = ("rss", "pss", "private", "anonymous")
    rows = [["bytes per idle connection"] + [key.upper() for key in keys if key != "anonymous"] + ["anonymous"]]
    for name, idle in result["idle"].items():
        per = idle.get("bytes_per_connection", {})
        rows.append([f"**{name}**" if is_weft(name) else name] +
                    [f"{per[key]:,.0f}" if key in per else "error" for key in keys])
    return [f"### Memory, {result['held']:,} idle connections", ""] + md_table(rows) + [""]


def markdown(result, plots, folder):
    lines = [f"`{result['command']}`, {result['minutes']:.0f} minutes. {conditions(result)}.", "", "### Versions", ""]
    lines += md_table([["server", "version"]] + [[n, v] for n, v in result["versions"].items()], "---") + [""]
    lines += ["### Overview", ""] + md_table(overview(result)) + [""]
    lines += ["### weft beside the best rival of each load", ""] + md_table(behind(result)) + [""]
    for name, title in plots:
        lines += [f"![{title}]({folder}/{name}.svg)", ""]
    for load in result["loads"]:
        lines += md_load(result, load)
    if result["idle"]:
        lines += md_memory(result)
    return "\n".join(lines)


def renew(path, result):
    """Replaces what is between the markers of a Markdown file, and the plots in the folder beside it."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    folder = os.path.splitext(os.path.basename(path))[0].lower()
    plots = write_plots(result, os.path.join(os.path.dirname(path), folder))
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{markdown(result, plots, folder)}\n{END}{after}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as source:
        run = json.load(source)
    print(terminal(run))
    if len(sys.argv) == 3:
        renew(sys.argv[2], run)
