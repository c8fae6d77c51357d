#!/usr/bin/env python3
"""Holds dashboards and rules against the catalogue of metrics and a running mesh.

    tests/dashboards.py                         dashboards show what is in the catalogue,
                                                all of it and nothing else; variables
                                                exist, links lead somewhere, and each
                                                alert has a runbook and tests
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
RULE_TESTS = ROOT / "dashboards" / "prometheus" / "tests"
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
# level:metric:operation, as recording rules are named.
RECORDED = re.compile(r"\b\w+(?::\w+)+\b")
VARIABLE = re.compile(r"\$\{?(\w+)")
# Metrics that no panel shows, and why.
NOT_SHOWN = {
    "process_virtual_memory_max_bytes": "a limit of the system, without end nearly everywhere",
}


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
    """(dashboard, panel, query) of every query to Prometheus."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in panels_of(dashboard):
            for target in targets_of(panel):
                yield file.name, panel, target


def targets_of(panel):
    """A panel's queries to Prometheus; a graph of services asks Jaeger."""
    return [target for target in panel.get("targets", []) if target["datasource"]["uid"] == "prometheus"]


def variables_of(dashboard):
    """What each variable stands for when the page opens: one value, or all."""
    values = {}
    for variable in dashboard["templating"]["list"]:
        values[variable["name"]] = variable["allValue"] if variable["includeAll"] else variable["current"]["value"]
    return values


def substitute(expression, values):
    """What Grafana fills in before it sends a query, when the page opens."""
    expression = expression.replace("$__rate_interval", "20s").replace("$__interval", "5s").replace("$__range", "1m")
    return re.sub(r"\$\{?(\w+)(:[a-z]+)?\}?", lambda found: values[found[1]], expression)


def metrics_in(expression):
    bare = BY_CLAUSE.sub("", MATCHERS.sub("", RECORDED.sub("", expression)))
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
            buckets = [target for target in targets_of(panel) if "_bucket" in target["expr"] and not target.get("instant")]
            dots = sum(target.get("exemplar", False) for target in buckets)
            if panel["type"] in {"timeseries", "heatmap"} and buckets and dots != 1:
                yield f"{where}: {dots} of its targets have 'exemplar': one of them leads to traces, more draw each dot again"
            defaults = panel["fieldConfig"]["defaults"]
            if "unit" not in defaults and panel["type"] != "table":
                yield f"{where}: no unit"
            steps = defaults["thresholds"]["steps"]
            if steps[0]["value"] is not None:
                yield f"{where}: the first threshold must have the value null"


def strings(value):
    """Every text in a piece of JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def check_labels(known):
    """Labels that a query groups by belong to its metrics; those in legends and links are left by the grouping."""
    for file, panel, target in queries():
        where = f"{file}: panel '{panel['title']}', query {target['refId']}"
        labels = set(SCRAPE_LABELS) | {"revision"}
        for name in metrics_in(target["expr"]):
            labels |= known.get(name, known.get(HISTOGRAM_SUFFIX.sub("", name), set()))
        grouped = labels_grouped(target["expr"])
        for label in sorted(grouped - labels):
            yield f"{where}: no metric in it has the label {label}"
        for label in sorted(set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - grouped):
            yield f"{where}: its legend names {label}, which no `by` leaves"
    for file in sorted(DASHBOARDS.glob("*.json")):
        for panel in panels_of(json.loads(file.read_text())):
            links = panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
            grouped = set().union(*(labels_grouped(target["expr"]) for target in targets_of(panel)))
            for label in sorted(set(re.findall(r"__field\.labels\.(\w+)", json.dumps(links))) - grouped):
                yield f"{file.name}: panel '{panel['title']}': a link names {label}, which no query leaves"


def labels_grouped(expression):
    return {label for clause in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in re.findall(r"\w+", clause)}


def check_variables():
    """Every variable in a query or link is declared, and every declared one is used."""
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        declared = set(variables_of(dashboard))
        used = set()
        for panel in panels_of(dashboard):
            names = {name for text in strings(panel) for name in VARIABLE.findall(text) if not name.startswith("__")}
            for name in sorted(names - declared):
                yield f"{file.name}: panel '{panel['title']}': ${name} is no variable of this dashboard"
            used |= names
        for variable in dashboard["templating"]["list"]:
            used |= set(VARIABLE.findall(query_of(variable)))
        for name in sorted(declared - used):
            yield f"{file.name}: no query uses the variable {name}"


def check_links():
    """A link to a dashboard names one that there is, and variables that it has."""
    pages = {}
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        pages[dashboard["uid"]] = (file.name, dashboard)
    for uid, (file, dashboard) in pages.items():
        for link in sorted({text for text in strings(dashboard) if text.startswith("/d/")}):
            target = link.removeprefix("/d/").split("?")[0]
            if target not in pages:
                yield f"{file}: {link} leads to no dashboard"
                continue
            missing = set(re.findall(r"[?&]var-(\w+)=", link)) - set(variables_of(pages[target][1]))
            if missing:
                yield f"{file}: {link}: {target} has no variable {', '.join(sorted(missing))}"
        linked = {link["url"].removeprefix("/d/") for link in dashboard["links"] if link["url"].startswith("/d/")}
        for other in sorted(set(pages) - linked - {uid}):
            yield f"{file}: no link at its top leads to {other}"


def check_recorded():
    """Recorded series that a panel or a rule reads are recorded by some rule."""
    recorded = {name for file in RULES.glob("*.yml") for name in re.findall(r"- record: (\S+)", file.read_text())}
    sources = [(f"{file}: panel '{panel['title']}'", target["expr"]) for file, panel, target in queries()]
    sources += [(file.name, file.read_text()) for file in sorted(RULES.glob("*.yml"))]
    for where, text in sources:
        text = re.sub(r"(?m)^\s*(#|summary|action|runbook).*$", "", MATCHERS.sub("", text))
        for name in sorted(set(RECORDED.findall(re.sub(r"\[[^]]*\]", "", text))) - recorded):
            yield f"{where}: {name} is recorded by no rule"


def check_alerts():
    """Each alert says what to do, has a runbook that exists, and tests for firing and staying quiet."""
    tests = "\n".join(file.read_text() for file in sorted(RULE_TESTS.glob("*.yml")))
    for file in sorted(RULES.glob("*.yml")):
        for block in file.read_text().split("- alert: ")[1:]:
            name = block.split()[0]
            for key in ("severity", "summary", "action", "runbook"):
                if not re.search(rf"\b{key}: ", block):
                    yield f"{file.name}: {name} has no {key}"
            runbook = re.search(r'runbook: "([^"#]+)#([^"]+)"', block)
            if runbook and not has_heading(ROOT / runbook[1], runbook[2]):
                yield f"{file.name}: {name}: {runbook[1]} has no heading {runbook[2]}"
            if not re.search(rf"alertname: {name}, .*exp_alerts: \[\]", tests):
                yield f"{file.name}: no test in {RULE_TESTS.relative_to(ROOT)} keeps {name} quiet"
            if not re.search(rf"alertname: {name}\n", tests):
                yield f"{file.name}: no test in {RULE_TESTS.relative_to(ROOT)} makes {name} fire"


def has_heading(page, anchor):
    return page.exists() and anchor in (title.lower() for title in re.findall(r"(?m)^#+ (\w+)$", page.read_text()))


def check_shown(known):
    """Every metric of the catalogue is on a panel, or has a reason not to be."""
    shown = {name for _, _, target in queries() for name in metrics_in(target["expr"])}
    shown |= {HISTOGRAM_SUFFIX.sub("", name) for name in shown}
    for name in sorted(set(known) - shown - set(NOT_SHOWN)):
        yield f"{name} is in {CATALOGUE.relative_to(ROOT)} and on no dashboard"
    for name in sorted(set(NOT_SHOWN) & shown | set(NOT_SHOWN) - set(known)):
        yield f"{name} needs no excuse in tests/dashboards.py: it is shown, or gone"


def query_of(variable):
    """The query of a variable; a list of choices has none."""
    return "" if variable["type"] == "custom" else variable["query"]["query"]


def check_names(known):
    """Metrics and labels in dashboards and rules that the catalogue does not have."""
    sources = [(f"{file}: panel '{panel['title']}'", target["expr"]) for file, panel, target in queries()]
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        annotations = dashboard["annotations"]["list"]
        sources += [(f"{file.name}: annotation '{one['name']}'", one["expr"]) for one in annotations]
        for variable in dashboard["templating"]["list"]:
            query = query_of(variable).replace("label_values(", "").split(",")[0]
            sources.append((f"{file.name}: variable '{variable['name']}'", query))
    for file in sorted(RULES.glob("*.yml")):
        lines = [line for line in file.read_text().splitlines() if not re.match(r"\s*(#|- alert|summary|action|runbook)", line)]
        sources.append((file.name, "\n".join(lines)))
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

    def samples(self, expression, instant):
        """Values of a query: at this moment for a table, over the last minute for a chart."""
        now = time.time()
        if instant:
            result = self.get("/api/v1/query", query=expression, time=now)["result"]
            return [float(series["value"][1]) for series in result]
        result = self.get("/api/v1/query_range", query=expression, start=now - 60, end=now, step=5)["result"]
        return [float(value) for series in result for _, value in series["values"]]


def check_live(prometheus, expected):
    """Every query runs; a panel is filled, or says why it may be empty."""
    filled, quiet = {}, []
    variables = {file.name: variables_of(json.loads(file.read_text())) for file in DASHBOARDS.glob("*.json")}
    for file, panel, target in queries():
        where = f"{file}: panel '{panel['title']}', query {target['refId']}"
        try:
            expression = substitute(target["expr"], variables[file])
            values = [value for value in prometheus.samples(expression, target.get("instant")) if value == value]
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        above_zero = filled.setdefault(panel["title"], {})
        above_zero[file] = above_zero.get(file, False) or any(values)
        if not values and "Empty" not in panel["description"]:
            yield f"{where} returns no data, and the description does not say when it is empty"
        elif not values:
            quiet.append(panel["title"])
    for title in sorted(expected):
        for file, above_zero in filled.get(title, {"no dashboard": False}).items():
            if not above_zero:
                yield f"{file}: panel '{title}' has no data above zero, though this mesh gave it cause"
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

    known = catalogue()
    problems = [*check_shape(), *check_names(known), *check_labels(known), *check_shown(known)]
    problems += [*check_variables(), *check_links(), *check_recorded(), *check_alerts()]
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
