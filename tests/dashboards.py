#!/usr/bin/env python3
"""Holds dashboards and rules against the catalogue of metrics and a running mesh.

    tests/dashboards.py                         every metric in a query is in the catalogue
    tests/dashboards.py --prometheus URL        ... and every query runs and returns data

A query that may be without data says so: the panel's description then has a
sentence with the word "Empty" in it, and --expect lists the panels that the
caller has given a reason to be filled all the same. Needs Python 3.9, nothing else.
"""

import argparse
import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
DASHBOARDS = ROOT / "dashboards" / "grafana" / "dashboards"
RULES = ROOT / "dashboards" / "prometheus" / "rules"
CATALOGUE = ROOT / "mesh-telemetry" / "src" / "catalog.rs"
DATASOURCES = {"prometheus", "jaeger"}

# A name that may be a metric of ours: in the catalogue, or a mistake.
METRIC = re.compile(r"\b((?:mesh|shop|http|db|messaging|process)_[a-z0-9_]+)\b(?!\s*=)")
SELECTOR = re.compile(r"\b([a-z][a-z0-9_]+)\{([^}]*)\}")
# Labels that come from the scrape, and the one that a histogram adds.
SCRAPE_LABELS = {"job", "instance", "service_name", "service_instance_id", "mesh_component", "le"}
HISTOGRAM_SUFFIX = re.compile(r"_(bucket|sum|count)$")
BY_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
MATCHERS = re.compile(r"\{[^}]*\}")


def catalogue():
    """Labels by metric name, straight from the table in the source."""
    rows = re.findall(r'= (?:Counter|Gauge|Histogram) "([a-z0-9_]+)" \[([a-z0-9_, ]*)\]', CATALOGUE.read_text())
    if not rows:
        sys.exit(f"{CATALOGUE.relative_to(ROOT)}: no metrics found; has the table changed its form?")
    return {name: set(re.findall(r"\w+", labels)) for name, labels in rows}


def panels_of(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries():
    """(dashboard, panel, query) of every dashboard."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in panels_of(dashboard):
            for target in panel.get("targets", []):
                yield file.name, panel, target


def substitute(expression):
    """What Grafana fills in before it sends a query, for a page with all edges."""
    expression = expression.replace("$__rate_interval", "20s").replace("$__interval", "5s").replace("$__range", "1m")
    return re.sub(r"\$\{?(source|destination)(:[a-z]+)?\}?", ".*", expression)


def metrics_in(expression):
    bare = BY_CLAUSE.sub("", MATCHERS.sub("", expression))
    return {name for name in METRIC.findall(bare)}


def check_shape():
    """What Grafana would refuse, and what a reader would miss."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        if not any("mesh_chaos_rule_active" in one.get("expr", "") for one in dashboard["annotations"]["list"]):
            yield f"{file.name}: no annotation marks when chaos rules were in force (mesh_chaos_rule_active)"
        seen = set()
        for panel in panels_of(dashboard):
            where = f"{file.name}: panel '{panel.get('title')}'"
            if panel["id"] in seen:
                yield f"{where}: id {panel['id']} is used twice"
            seen.add(panel["id"])
            if panel["type"] == "row":
                continue
            if len(panel.get("description", "")) < 40:
                yield f"{where}: the description must say what it means and what to look for"
            if panel["datasource"].get("uid") not in DATASOURCES:
                yield f"{where}: data source {panel['datasource']} is not provisioned"
            buckets = [target for target in panel["targets"] if "_bucket" in target["expr"] and not target.get("instant")]
            dots = sum(target.get("exemplar", False) for target in buckets)
            if panel["type"] in {"timeseries", "heatmap"} and buckets and dots != 1:
                yield f"{where}: {dots} of its targets have 'exemplar': one of them leads to traces, more draw each dot again"
            defaults = panel["fieldConfig"]["defaults"]
            if "unit" not in defaults and panel["type"] != "table":
                yield f"{where}: no unit"
            steps = defaults["thresholds"]["steps"]
            if steps[0]["value"] is not None:
                yield f"{where}: the first threshold must have the value null"


def check_names(known):
    """Metrics and labels in dashboards and rules that the catalogue does not have."""
    sources = [(f"{file}: panel '{panel['title']}'", target["expr"]) for file, panel, target in queries()]
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        annotations = dashboard["annotations"]["list"]
        sources += [(f"{file.name}: annotation '{one['name']}'", one["expr"]) for one in annotations]
        for variable in dashboard["templating"]["list"]:
            query = variable["query"]["query"].replace("label_values(", "").split(",")[0]
            sources.append((f"{file.name}: variable '{variable['name']}'", query))
    for file in sorted(RULES.glob("*.yml")):
        lines = [line for line in file.read_text().splitlines() if not re.match(r"\s*(#|- alert|summary|action)", line)]
        text = re.sub(r"\b\w+(?::\w+)+\b", "", "\n".join(lines))
        sources.append((file.name, text))
    for where, expression in sources:
        for name in sorted(metrics_in(expression)):
            if name not in known and HISTOGRAM_SUFFIX.sub("", name) not in known:
                yield f"{where}: {name} is not in {CATALOGUE.relative_to(ROOT)}"
        for name, matchers in SELECTOR.findall(expression):
            labels = known.get(name, known.get(HISTOGRAM_SUFFIX.sub("", name)))
            used = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers))
            if labels is not None and used - labels - SCRAPE_LABELS:
                yield f"{where}: {name} has no label {', '.join(sorted(used - labels - SCRAPE_LABELS))}"


class Prometheus:
    """The query API of one server."""

    def __init__(self, base):
        self.base = base.rstrip("/")

    def get(self, path, **parameters):
        url = f"{self.base}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from error

    def samples(self, target):
        """Values of a query: at this moment for a table, over the last minute for a chart."""
        expression, now = substitute(target["expr"]), time.time()
        if target.get("instant"):
            result = self.get("/api/v1/query", query=expression, time=now)["result"]
            return [float(series["value"][1]) for series in result]
        result = self.get("/api/v1/query_range", query=expression, start=now - 60, end=now, step=5)["result"]
        return [float(value) for series in result for _, value in series["values"]]


def check_live(prometheus, expected):
    """Every query runs; a panel is filled, or says why it may be empty."""
    filled, quiet = {}, []
    for file, panel, target in queries():
        where = f"{file}: panel '{panel['title']}', query {target['refId']}"
        try:
            values = [value for value in prometheus.samples(target) if value == value]
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        filled.setdefault(panel["title"], False)
        filled[panel["title"]] |= any(values) if panel["title"] in expected else bool(values)
        if not values and "Empty" not in panel["description"]:
            yield f"{where} returns no data, and the description does not say when it is empty"
        elif not values:
            quiet.append(panel["title"])
    for title in sorted(expected):
        if not filled.get(title):
            yield f"panel '{title}' has no data above zero, though this mesh gave it cause"
    yield from check_targets(prometheus)
    if quiet:
        print(f"  without data, as their descriptions allow: {', '.join(dict.fromkeys(quiet))}")


def check_targets(prometheus):
    for target in prometheus.get("/api/v1/targets", state="active")["activeTargets"]:
        if target["health"] != "up":
            yield f"target {target['scrapeUrl']} is {target['health']}: {target['lastError']}"
    for group in prometheus.get("/api/v1/rules")["groups"]:
        for rule in group["rules"]:
            if rule.get("lastError"):
                yield f"rule {rule['name']}: {rule['lastError']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", metavar="URL", help="server that has scraped a running mesh for a minute")
    parser.add_argument("--expect", metavar="TITLE", action="append", default=[], help="panel that must show more than zero")
    arguments = parser.parse_args()

    problems = list(check_shape()) + list(check_names(catalogue()))
    count = sum(1 for _ in queries())
    if not count:
        problems.append(f"no dashboards in {DASHBOARDS.relative_to(ROOT)}")
    if arguments.prometheus and not problems:
        problems += check_live(Prometheus(arguments.prometheus), set(arguments.expect))
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"  {count} queries checked{' against ' + arguments.prometheus if arguments.prometheus else ''}")


if __name__ == "__main__":
    main()
