#!/usr/bin/python3
"""Tables, sentences and plots of a run of run.py. Also by hand, from its --json: report.py FILE.json [MARKDOWN-FILE]

The Markdown is the template RIVALS.md.in, in which {{name}} is what blocks() has under that name; a figure stands in no
other place.
"""

import json
import os
import re
import statistics
import sys

import plot

HERE = os.path.dirname(os.path.abspath(__file__))
FLOOR = "raw epoll"
FULL = 0.9  # of the load's core: it was the limit of what is seen per second
KEEPS_RATE = 0.98
ROUNDS_TO_TELL = 4
PLOTS = [
    ("echo", "Echoes per server-CPU-second, raw epoll echo = 1", {"echo", "sessions"}),
    ("deflate", "Echoes with permessage-deflate per server-CPU-second, raw echo of as many bytes = 1",
     {"takeover", "no-takeover"}),
    ("fan", "Deliveries per server-CPU-second, raw broadcast = 1", {"fan"}),
]
WAITS = {"p50_us": "p50", "p99_us": "p99", "p999_us": "p99.9"}


def is_weft(name):
    return name.startswith("weft")


def is_floor(name):
    return name.startswith("raw")


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def spread(three, form="{:.2f}"):
    low, middle, high = (form.format(value) for value in three)
    return f"{middle} ({low}–{high})"


def figures(result, load):
    """Per server that has a figure: medians, and the quartiles of its ratio to the floor within the same round."""
    samples = result["samples"].get(load["title"], {})
    floor = samples.get(FLOOR)
    found = {}
    for name in result["versions"]:
        own = samples.get(name)
        if not own:
            continue
        row = {key: statistics.median(s[key] for s in own) for key in ("per_cpu_s", "per_s", "load_busy")}
        if floor:
            row["ratio"] = quartiles([s["per_cpu_s"] / f["per_cpu_s"] for s, f in zip(own, floor)])
        for extra in (*WAITS, "answer_bytes"):
            if extra in own[0]:
                row[extra] = quartiles([s[extra] for s in own])
        row["valid"] = (sum(s["valid"] for s in own), len(own)) if "valid" in own[0] else None
        found[name] = row
    return found


def cell(result, load, name, found):
    """What the overview says about a server and a load."""
    if name in found:
        return f"{found[name]['ratio'][1]:.2f}" if "ratio" in found[name] else f"{found[name]['per_cpu_s']:,.0f}"
    return "error" if name in result["errors"].get(load["title"], {}) else "-"


def overview(result):
    """Rows of text: a head, one row per load, then waiting times and memory."""
    names = list(result["versions"])
    rows = [["ratio to raw epoll"] + names]
    for load in result["loads"]:
        found = figures(result, load)
        rows.append([load["title"]] + [cell(result, load, name, found) for name in names])
    for load in result["loads"]:
        if load["kind"] in ("fan", "paced"):
            found = figures(result, load)
            rows.append([f"{load['title']}: p99, ms"] +
                        [f"{found[n]['p99_us'][1] / 1000:.2f}" if "p99_us" in found.get(n, {}) else "-" for n in names])
    if result["idle"]:
        rows.append(["idle memory, bytes"] +
                    [f"{result['idle'][n]['rss_end']:,.0f}" if n in result["idle"] else "-" for n in names])
    return rows


def rival_of(found):
    """The rival that does most, or None; the floors are none."""
    rivals = {n: row["per_cpu_s"] for n, row in found.items() if not is_weft(n) and not is_floor(n)}
    return max(rivals, key=rivals.get) if rivals else None


def beside(result, load, weft, rival):
    """weft over the rival, within the rounds: quartiles."""
    samples = result["samples"][load["title"]]
    return quartiles([w["per_cpu_s"] / r["per_cpu_s"] for w, r in zip(samples[weft], samples[rival])])


def verdict(result, three):
    low, _, high = three
    if result["rounds"] < ROUNDS_TO_TELL:
        return "too few rounds to tell"
    return "more" if low > 1 else "less" if high < 1 else "equal within the noise"


def best(result):
    """Per load: each weft beside the best rival."""
    wefts = [n for n in result["versions"] if is_weft(n)]
    rows = [["load", "best rival"] + [f"{n} / it (quartiles)" for n in wefts]]
    for load in result["loads"]:
        found = figures(result, load)
        rival = rival_of(found)
        if rival:
            rows.append([load["title"], rival] +
                        [spread(beside(result, load, n, rival)) if n in found else "-" for n in wefts])
    return rows


def behind(result):
    """Where a weft is at less than the best rival, in any figure there is."""
    rows = [["load", "", "weft", "better", "weft / it", ""]]
    for load in result["loads"]:
        found = figures(result, load)
        rival = rival_of(found)
        for weft in [n for n in found if is_weft(n) and rival]:
            three = beside(result, load, weft, rival)
            if three[1] < 1:
                rows.append([load["title"], weft, f"{found[weft]['per_cpu_s']:,.0f}",
                             f"{rival} {found[rival]['per_cpu_s']:,.0f}", spread(three), verdict(result, three)])
    for key, what, form in (("answer_bytes", "bytes per answer", "{:,.0f}"), ("p99_us", "p99, us", "{:,.0f}")):
        for load in [load for load in result["loads"] if key == "answer_bytes" or load["kind"] == "paced"]:
            found = {n: row for n, row in figures(result, load).items() if key in row and not is_floor(n)}
            least = min((n for n in found if not is_weft(n)), key=lambda n: found[n][key][1], default=None)
            for weft in [n for n in found if is_weft(n) and least]:
                if found[weft][key][1] > found[least][key][1]:
                    rows.append([f"{load['title']}: {what}", weft, form.format(found[weft][key][1]),
                                 f"{least} {form.format(found[least][key][1])}",
                                 f"{found[weft][key][1] / found[least][key][1]:.2f}", "larger is worse"])
    idle = result["idle"]
    least = min((n for n in idle if not is_weft(n)), key=lambda n: idle[n]["rss_end"], default=None)
    for weft in [n for n in idle if is_weft(n) and least and idle[n]["rss_end"] > idle[least]["rss_end"]]:
        rows.append(["idle memory, bytes", weft, f"{idle[weft]['rss_end']:,.0f}",
                     f"{least} {idle[least]['rss_end']:,.0f}", f"{idle[weft]['rss_end'] / idle[least]['rss_end']:.2f}",
                     "larger is worse"])
    return rows


def says(result):
    """A sentence for each load."""
    lines = []
    for load in result["loads"]:
        found = figures(result, load)
        rival = rival_of(found)
        parts = [f"{n} is at {row['ratio'][1]:.2f} of the floor" for n, row in found.items()
                 if is_weft(n) and "ratio" in row]
        if rival and "ratio" in found[rival]:
            parts.append(f"{rival}, the best rival, at {found[rival]['ratio'][1]:.2f}")
        for weft in [n for n in found if is_weft(n) and rival]:
            three = beside(result, load, weft, rival)
            parts.append(f"{weft} does {three[1]:.2f} times what {rival} does ({verdict(result, three)})")
        if parts:
            lines.append(f"- **{load['title']}**: {'; '.join(parts)}.")
    idle = result["idle"]
    if idle:
        lines.append("- **Idle memory**, bytes per connection that has had one message answered: " +
                     ", ".join(f"{n} {idle[n]['rss_end']:,.0f}"
                               for n in sorted(idle, key=lambda n: idle[n]["rss_end"])) + ".")
    return lines


def trust(result):
    """What the conditions of this run take away from its figures."""
    before, after = result["load_average_before"][0], result["load_average_after"][0]
    lines = [f"Load average before {before:.1f}, after {after:.1f}, on {result['machine']['cores']} cores."]
    for load in result["loads"]:
        found = figures(result, load)
        full = [n for n, row in found.items() if row["load_busy"] > FULL]
        if full and load["kind"] != "paced":
            lines.append(f"{load['title']}: the load's core was full with {', '.join(full)}; `per second` is the "
                         "load's there.")
        if load["kind"] == "paced":
            late = [f"{n} ({row['valid'][0]} of {row['valid'][1]})" for n, row in found.items()
                    if row["valid"] and row["valid"][0] < row["valid"][1]]
            if late:
                lines.append(f"{load['title']}: in some rounds the client itself was late, by its own judgement. It was in "
                             f"time with: {', '.join(late)}. The other waiting times are those of a busy machine.")
    return [f"- {line}" for line in lines]


def errors(result):
    lines = [f"- {name} takes no part: {why.splitlines()[0]}" for name, why in result["missing"].items()]
    for title, found in result["errors"].items():
        lines += [f"- {name}, {title}: no figure: {why.splitlines()[0]}" for name, why in found.items()]
    return lines or ["None: every server answered every load in full."]


def conditions(result):
    m = result["machine"]
    kernel = m["kernel"].split("-")[0]
    return (f"{m['model']}, {m['cores']} cores, Linux {kernel}; servers on core {result['server_core']}, load on core "
            f"{result['load_core']}; medians of {result['rounds']} rounds of {result['seconds']:g} s; {result['date']}")


def terminal(result):
    rows = overview(result)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [conditions(result), ""]
    lines += ["  ".join(f"{text:{'>' if i else '<'}{widths[i]}}" for i, text in enumerate(row)) for row in rows]
    lines += ["", "Ratios: messages, sessions or deliveries per server-CPU-second, over those of the raw echo or",
              "broadcast in the same round.", "-: the server cannot do it, or was not asked."]
    lines += [f"error: {line[2:]}" for line in errors(result) if line.startswith("- ")]
    return "\n".join(lines)


def md_table(rows, align="---:"):
    lines = ["| " + " | ".join(rows[0]) + " |", "|---|" + f"{align}|" * (len(rows[0]) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows[1:]]


def shown(name):
    return f"**{name}**" if is_weft(name) else name


def md_load(result, load):
    """The table of one load."""
    found = figures(result, load)
    extras = [e for e in (*WAITS, "answer_bytes") if any(e in row for row in found.values())]
    heads = {**{key: f"{name}, us" for key, name in WAITS.items()}, "answer_bytes": "bytes per answer"}
    rows = [["", f"{load['noun']} per server-CPU-second", "ratio to raw epoll (quartiles)", "per second",
             "load core busy"] + [heads[e] for e in extras]]
    for name in sorted(found, key=lambda n: -found[n]["per_cpu_s"]):
        row = found[name]
        rows.append([shown(name), f"{row['per_cpu_s']:,.0f}", spread(row["ratio"]) if "ratio" in row else "-",
                     f"{row['per_s']:,.0f}", f"{row['load_busy']:.0%}"] +
                    [f"{row[e][1]:,.0f}" if e in row else "" for e in extras])
    return [f"### {load['title']}", ""] + md_table(rows) + [""]


def md_latency(result):
    """Waiting at an equal load: who keeps the rate, and how long an answer takes from when it was due."""
    lines = []
    for load in [load for load in result["loads"] if load["kind"] == "paced"]:
        found = figures(result, load)
        rate = float(load["floor"][load["floor"].index("--rate") + 1])
        rows = [["", "keeps the rate"] + [f"{name}, us (quartiles)" for name in WAITS.values()] + ["rounds not spoilt"]]
        for name in sorted(found, key=lambda n: found[n]["p99_us"]):
            row = found[name]
            kept = row["per_s"] / rate
            rows.append([shown(name), "yes" if kept >= KEEPS_RATE else f"no: {kept:.0%}"] +
                        [spread(row[key], "{:,.0f}") if key in row else "" for key in WAITS] +
                        [f"{row['valid'][0]} of {row['valid'][1]}" if row["valid"] else "not judged"])
        lines += md_table(rows) + [""]
    return lines[:-1] or ["Not measured in this run."]


def md_user(result):
    """Own time per message, one column for each server; the floor's is what the stand-ins cost."""
    user = result["user"]
    if not user:
        return ["Not measured in this run."]
    rows = [["load", "stand-ins"] + [f"{n} (quartiles)" for n in user] + [f"{n} / weft" for n in list(user)[1:]]]
    first = next(iter(user))
    for load in user[first]:
        base = user[first][load]["own"]
        rows.append([load, f"{user[first][load]['raw']:,.0f}"])
        for name in user:
            row = user[name].get(load)
            low, high = (value - row["raw"] for value in row["quartiles"]) if row else (0, 0)
            rows[-1].append(f"{row['own']:,.0f} ({low:,.0f}–{high:,.0f})" if row else "-")
        rows[-1] += [f"{user[n][load]['own'] / base:.1f}" if load in user[n] and base > 0 else "-"
                     for n in list(user)[1:]]
    return md_table(rows)


def md_compared(result):
    rows = [["load", "weft bench", "bench/wire", "weft bench / bench/wire (quartiles)"]]
    for title, pairs in result["loads_compared"].items():
        rows.append([title, f"{statistics.median(a for a, _ in pairs):,.0f}",
                     f"{statistics.median(b for _, b in pairs):,.0f}", spread(quartiles([a / b for a, b in pairs]))])
    return md_table(rows) if len(rows) > 1 else ["Not measured in this run."]


def md_memory(result):
    idle = result["idle"]
    if not idle:
        return ["Not measured in this run."]
    keys = (("rss_open", "never spoke, RSS"), ("anon_open", "anonymous"), ("rss_end", "one message answered, RSS"),
            ("anon_end", "anonymous"))
    rows = [[f"{result['held']:,} idle connections, bytes each"] + [head for _, head in keys]]
    rows += [[shown(n)] + [f"{idle[n][key]:,.0f}" for key, _ in keys]
             for n in sorted(idle, key=lambda n: idle[n]["rss_end"])]
    return md_table(rows)


def bars_of(found, key, scale=1.0):
    return [plot.Bar(n, row[key][1] * scale, row[key][0] * scale, row[key][2] * scale, is_weft(n), is_floor(n))
            for n, row in found.items() if key in row]


def panels(result, kinds):
    for load in result["loads"]:
        if load["kind"] in kinds:
            yield plot.Panel(load["title"], bars_of(figures(result, load), "ratio"), "{:.2f}")


def latency_panels(result):
    for load in result["loads"]:
        found = figures(result, load)
        for key, name in WAITS.items():
            if load["kind"] == "paced" or (load["kind"] == "fan" and key == "p99_us"):
                what = "to the last member" if load["kind"] == "fan" else "to the answer"
                yield plot.Panel(f"{load['title']}: {name} {what}, ms", bars_of(found, key, 1e-3), "{:.2f}")


def memory_panel(result):
    bars = [plot.Bar(n, i["rss_end"], None, None, is_weft(n), False) for n, i in result["idle"].items()]
    return plot.Panel(f"Bytes of user memory per idle connection ({result['held']:,} held, RSS)", bars, "{:,.0f}")


def user_panels(result):
    for load in next(iter(result["user"].values()), {}):
        bars = [plot.Bar(n, max(rows[load]["own"], 0), None, None, is_weft(n), False)
                for n, rows in result["user"].items() if load in rows]
        yield plot.Panel(f"{load}: own ns per message", bars, "{:,.0f}")


def write_plots(result, folder):
    """Writes the SVG files; returns name and title of each."""
    os.makedirs(folder, exist_ok=True)
    drawn = [(name, title, list(panels(result, kinds))) for name, title, kinds in PLOTS]
    drawn.append(("latency", "Waiting times, shorter is better", list(latency_panels(result))))
    drawn.append(("user", "Own user-space time per message, shorter is better", list(user_panels(result))))
    if result["idle"]:
        drawn.append(("memory", "Memory, shorter is better", [memory_panel(result)]))
    written = []
    for name, title, of_plot in drawn:
        of_plot = [panel for panel in of_plot if panel.bars]
        path = os.path.join(folder, f"{name}.svg")
        if of_plot:
            with open(path, "w", encoding="utf-8") as file:
                file.write(plot.svg(title, of_plot))
            written.append((name, title))
        elif os.path.exists(path):
            os.remove(path)  # of another run
    return written


def blocks(result, plots, folder):
    """What may stand in the template: name -> lines."""
    none_behind = ["Nowhere in this run."]
    behind_rows = behind(result)
    return {
        "command": [result["command"]],
        "made": [f"{conditions(result)}; it took {result['minutes']:.0f} minutes."],
        "versions": md_table([["server", "version"]] + [[n, v] for n, v in result["versions"].items()], "---"),
        "overview": md_table(overview(result)),
        "says": says(result),
        "best": md_table(best(result)),
        "behind": md_table(behind_rows) if len(behind_rows) > 1 else none_behind,
        "trust": trust(result),
        "errors": errors(result),
        "latency": md_latency(result),
        "user": md_user(result),
        "compared": md_compared(result),
        "memory": md_memory(result),
        "plots": [line for name, title in plots for line in (f"![{title}]({folder}/{name}.svg)", "")][:-1],
        "loads": [line for load in result["loads"] for line in md_load(result, load)][:-1],
    }


def write(path, result):
    """The Markdown file, and the plots in the folder beside it."""
    folder = os.path.splitext(os.path.basename(path))[0].lower()
    found = blocks(result, write_plots(result, os.path.join(os.path.dirname(path), folder)), folder)
    with open(os.path.join(HERE, "RIVALS.md.in"), encoding="utf-8") as file:
        text = re.sub(r"\{\{(\w+)\}\}", lambda name: "\n".join(found[name.group(1)]), file.read())
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as source:
        run = json.load(source)
    print(terminal(run))
    if len(sys.argv) == 3:
        write(sys.argv[2], run)
