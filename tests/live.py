#!/usr/bin/env python3
"""Starts the real mesh once and runs every check that needs one.

    tests/live.py --glassmesh target/debug/glassmesh [--keep]

 1  the mesh file of the containers is accepted by a console
 2  a native mesh comes up on free ports, under load; faults are turned on
 3  a Prometheus with the project's own configuration scrapes it, and every
    dashboard query and rule is looked at
 4  the dots on its charts (exemplars) lead to traces that the console has
 5  promtool reads the metrics of every process, in both formats they come in
 6  the console's page is used in a real browser (tests/browser)
 7  the mesh drains on Ctrl-C, with exit code 0 and no process left

Everything happens on loopback, on free ports and in a temporary directory. What
is started is ended, by its process id, also when a check fails. Needs Python 3.9,
promtool, prometheus, and Node with the packages of tests/browser.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BROWSER = ROOT / "tests" / "browser"

START_LIMIT = 60  # a debug build on a busy two-core machine
STOP_LIMIT = 30
LOAD = 30  # requests a second: enough that every edge has samples within a minute
FAULTS = ["flaky-payments", "slow-inventory"]
# Long enough for a rate over one minute, and for one more scrape.
WATCH = 50

# With these faults on, these panels have a reason to show more than zero.
FILLED = [
    "Requests at the door", "Success for customers", "p99 for customers", "Tries that succeed", "Amplification",
    "Faults injected", "Requests", "Latency for customers", "Edges", "Attempts and requests",
    "Success before and after retry", "Retries, and what they saved", "Retry budget left", "Endpoints", "In flight",
    "Faults by rule", "Delay really injected", "Orders", "Latency of the applications", "Sidecars under control",
    "Revisions in force", "What a sidecar costs", "Spans",
    # Service, as it opens: orders.
    "Arriving", "Success as called", "p99 as called", "Calling", "Success of its calls", "p99 of its calls", "Arriving by caller",
    "Arriving by route and answer", "Latency by caller", "Latency, all of it", "Calls by destination and route", "Latency of calls",
    "Calls as the code sees them", "Inside the application", "Database operations", "Database latency",
    # Resilience.
    "Success before retry", "Success after retry", "Least budget left", "Amplification by edge", "Retries by condition",
    "Retries that saved a request", "Budget left", "Success after retry: predicted and measured", "Endpoints by state",
    "Calls and single tries",
    # Sidecar cost.
    "Added to a request", "Processor of all sidecars", "Memory of all sidecars", "Under control", "Overhead", "Overhead, all of it",
    "Processor", "Sidecars and applications", "Open files", "Threads", "Running for", "Virtual memory", "What runs",
    "Callers' connections", "Upstream connections", "Spans by result", "Control stream", "Policy revision", "Newest policy", "Age of the policy",
    # Shop.
    "Orders confirmed", "Orders that do not fail", "Least stock", "Orders by status", "Payments by result", "Charged and confirmed",
    "Stock", "Requests by application", "Latency by application", "Latency of the applications, all of it", "Databases",
]

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# What Prometheus 2 sends.
SCRAPER = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
EXEMPLARS = ROOT / "docs" / "exemplars.md"
# Metrics that lead to traces while those faults are on.
LEADING = [
    "mesh_request_duration_seconds_bucket", "mesh_attempt_duration_seconds_bucket", "mesh_proxy_overhead_seconds_bucket",
    "mesh_fault_delay_seconds_bucket", "mesh_faults_injected_total", "mesh_attempts_total", "mesh_retries_total",
    "http_server_request_duration_seconds_bucket", "http_client_request_duration_seconds_bucket",
    "db_client_operation_duration_seconds_bucket", "shop_orders_total",
]


class Failed(Exception):
    """A check did not hold; the message says what to do."""


def say(text):
    print(f"  {text}", flush=True)


@contextlib.contextmanager
def check(name):
    start = time.monotonic()
    yield
    say(f"✓ {name} ({time.monotonic() - start:.1f} s)")


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


def fetch(url, accept="*/*", method="GET", body=None):
    headers = {"accept": accept}
    if body is not None:
        headers |= {"content-type": "application/json", "x-glassmesh": "1"}
    request = urllib.request.Request(url, headers=headers, method=method, data=body and json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        raise Failed(f"{method} {url}: {error.code} {error.read().decode(errors='replace')[:300]}") from error


def until(what, condition, limit, process=None):
    """Waits for a condition, and gives up early when the process is gone."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if process and process.poll() is not None:
            raise Failed(f"{what}: the process ended with exit code {process.returncode}")
        with contextlib.suppress(OSError, Failed, KeyError, ValueError):
            if result := condition():
                return result
        time.sleep(0.1)
    raise Failed(f"{what}: not within {limit} s")


class Child:
    """A process of ours and its log."""

    def __init__(self, name, command, log, **options):
        self.name, self.log = name, log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)

    def stop(self, how=signal.SIGTERM):
        """Ends it and returns its exit code; None if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                return None
        return self.process.returncode

    def tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def mesh_file(path):
    """The shop of mesh.yaml on free ports."""
    text = (ROOT / "mesh.yaml").read_text()
    text, found = re.subn(r"^ports: .*$", "ports: { console: 0, otlp_grpc: 0, otlp_http: 0, internal: 0 }", text, flags=re.MULTILINE)
    text, exposed = re.subn(r"expose: \d+", "expose: 0", text)
    if found != 1 or exposed != 1:
        raise Failed("mesh.yaml has changed its form: tests/live.py looks for one line `ports:` and one `expose:`")
    path.write_text(text)
    return path


class Mesh:
    """A native mesh and its addresses, read from the file it leaves for others."""

    def __init__(self, binary, place, stack):
        self.data = place / "mesh"
        command = [binary, "up", "--config", mesh_file(place / "mesh.yaml"), "--data-dir", self.data, "--rps", LOAD]
        self.child = Child("mesh", command, place / "mesh.log", cwd=place)
        stack.callback(self.child.stop)
        resolved = self.data / "run" / "mesh.yaml"
        until("glassmesh up writes run/mesh.yaml", resolved.exists, START_LIMIT, self.child.process)
        self.read(resolved.read_text())
        until("the console is ready", lambda: fetch(f"{self.console}/health/ready") or True, START_LIMIT, self.child.process)
        for name, addresses in self.instances.items():
            for key in ["application_metrics", "metrics"]:
                url = f"http://{addresses[key]}/health/ready"
                until(f"{name} ({key}) is ready", lambda url=url: fetch(url) or True, START_LIMIT, self.child.process)

    def read(self, text):
        port = lambda key: re.search(rf"^\s+{key}: (\d+)", text, re.MULTILINE).group(1)
        self.console = f"http://127.0.0.1:{port('console')}"
        self.shop = f"http://127.0.0.1:{port('expose')}"
        self.instances = {}
        for name, body in re.findall(r"name: \W?([\w-]+)\W?\n(.*?)(?=name: |^\S|\Z)", text, re.MULTILINE | re.DOTALL):
            addresses = dict(re.findall(r"^\s+(\w+): \W?(127\.0\.0\.1:\d+)\W?$", body, re.MULTILINE))
            if "metrics" in addresses:
                self.instances[name] = addresses
        if not self.instances:
            raise Failed("no instance with addresses found in run/mesh.yaml")

    def pages(self):
        """(component, instance, host:port) of every page of metrics."""
        yield "console", "console", self.console.removeprefix("http://")
        for name, addresses in self.instances.items():
            yield "service", name, addresses["application_metrics"]
            yield "sidecar", name, addresses["metrics"]

    def addresses(self):
        found = [page[2] for page in self.pages()]
        for addresses in self.instances.values():
            found += addresses.values()
        return sorted(set(found))


class Prometheus:
    """A server with the configuration of dashboards/prometheus, and other targets."""

    def __init__(self, mesh, place, stack):
        home = place / "prometheus"
        shutil.copytree(ROOT / "dashboards" / "prometheus", home)
        for old in (home / "targets").iterdir():
            old.unlink()
        targets = [{
            "targets": [address],
            "labels": {"mesh_component": component, "service_name": re.sub(r"-\d+$", "", name), "service_instance_id": name},
        } for component, name, address in mesh.pages()]
        # JSON is YAML.
        (home / "targets" / "mesh.yml").write_text(json.dumps(targets))
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        self.child = Child("prometheus", [
            "prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={place}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage", "--log.level=warn",
        ], place / "prometheus.log")
        stack.callback(self.child.stop)
        until("Prometheus is ready", lambda: fetch(f"{self.url}/-/ready"), START_LIMIT, self.child.process)

    def get(self, path, **parameters):
        return json.loads(fetch(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def query(self, expression):
        return self.get("/api/v1/query", query=expression)["result"]


def check_container_mesh_file(binary, place, stack):
    listen, grpc, http = free_ports(3)
    with contextlib.ExitStack() as here:
        console = Child("console", [
            binary, "console", "--mesh", ROOT / "deploy" / "compose" / "mesh.yaml", "--data-dir", place / "console",
            "--listen", f"127.0.0.1:{listen}", "--otlp-grpc", f"127.0.0.1:{grpc}", "--otlp-http", f"127.0.0.1:{http}",
        ], place / "console.log")
        here.callback(console.stop)
        until("a console takes deploy/compose/mesh.yaml", lambda: fetch(f"http://127.0.0.1:{listen}/health/ready") or True,
              START_LIMIT, console.process)


def check_metrics(mesh):
    """promtool lints every page: names, units, HELP, types."""
    findings = []
    for component, name, address in mesh.pages():
        page = fetch(f"http://{address}/metrics", accept="text/plain")
        lint = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
        if lint.returncode:
            findings += [f"{component} {name}: {line}" for line in (lint.stdout + lint.stderr).splitlines() if line]
    if findings:
        raise Failed("promtool check metrics:\n    " + "\n    ".join(findings[:20]))


def check_openmetrics(mesh):
    """Every page says what it is, and what prometheus_client finds where it is installed."""
    with contextlib.suppress(ImportError):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
    for component, name, address in mesh.pages():
        where = f"{component} {name}"
        request = urllib.request.Request(f"http://{address}/metrics", headers={"accept": SCRAPER})
        with urllib.request.urlopen(request, timeout=10) as answer:
            kind, page = answer.headers["content-type"], answer.read().decode()
        if kind != OPENMETRICS:
            raise Failed(f"{where}: a scraper that prefers OpenMetrics gets {kind}")
        if not page.endswith("\n# EOF\n") or "\n\n" in page:
            raise Failed(f"{where}: OpenMetrics ends with '# EOF' and has no blank lines:\n{page[-300:]}")
        if "parse" in locals():
            try:
                list(parse(page))
            except ValueError as error:
                raise Failed(f"{where}: {error}") from error


def check_exemplars(mesh, prometheus):
    """From a dot to its trace; from a fault's to the rule's name in it."""
    now = time.time()
    documented = re.findall(r"--data-urlencode 'query=([^']+)'", EXEMPLARS.read_text())
    if not documented:
        raise Failed(f"{EXEMPLARS.name} has changed its form: this test looks for its query")
    for metric in documented + LEADING:
        found = prometheus.get("/api/v1/query_exemplars", query=metric, start=now - WATCH, end=now)
        dots = [(series["seriesLabels"], exemplar) for series in found for exemplar in series["exemplars"]]
        if not dots:
            raise Failed(f"no exemplar of {metric} at Prometheus")
        dots.sort(key=lambda dot: dot[1]["timestamp"])
        for labels, exemplar in dots[-50:]:
            trace = exemplar["labels"]["trace_id"]
            try:
                spans = fetch(f"{mesh.console}/api/traces/{trace}")
            except Failed as error:
                raise Failed(f"the exemplar of {metric}{labels} leads nowhere: {error}") from error
            if exemplar["labels"]["span_id"] not in spans:
                raise Failed(f"{metric}{labels}: trace {trace} has no span {exemplar['labels']['span_id']}")
            if labels.get("rule", "") not in spans:
                raise Failed(f"{metric}{labels}: trace {trace} does not name the rule")


def check_rules(prometheus):
    for rule in ["source_destination:mesh_requests:rate1m", "source_destination:mesh_amplification:ratio_rate1m",
                 "source_destination:mesh_requests_failed:ratio_rate1m", "source_destination:mesh_request_duration_seconds:p99_rate1m",
                 "destination:mesh_slo_burn:rate5m", "destination:mesh_slo_burn:rate1h"]:
        if not prometheus.query(rule):
            raise Failed(f"recording rule {rule} has no value")
    firing = {alert["labels"]["alertname"] for alert in prometheus.get("/api/v1/alerts")["alerts"] if alert["state"] == "firing"}
    if "MeshFaultsInjected" not in firing:
        raise Failed(f"faults are injected, and MeshFaultsInjected does not fire (firing: {sorted(firing) or 'none'})")
    broken = firing & {"MeshTargetDown", "MeshSidecarNotScraped", "MeshSidecarAlone", "MeshConfigRejected", "MeshSpansLost"}
    if broken:
        raise Failed(f"a mesh with two mild faults fires {', '.join(sorted(broken))}")


def set_rule(mesh, rule, enabled):
    fetch(f"{mesh.console}/api/mesh/chaos/{rule}", method="PATCH", body={"enabled": enabled})


def check_browser(mesh):
    if not (BROWSER / "package.json").exists():
        raise Failed("tests/browser is missing")
    environment = os.environ | {"GLASSMESH_CONSOLE_URL": mesh.console, "GLASSMESH_SHOP_URL": mesh.shop}
    done = subprocess.run(["npm", "test", "--silent"], cwd=BROWSER, env=environment, check=False)
    if done.returncode:
        raise Failed("the browser test failed; see its output above")


def check_stop(mesh):
    code = mesh.child.stop(signal.SIGINT)
    if code != 0:
        raise Failed(f"after Ctrl-C: {'killed after ' + str(STOP_LIMIT) + ' s' if code is None else f'exit code {code}'}, expected 0")
    for address in mesh.addresses():
        host, port = address.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            raise Failed(f"something still listens on {address} after the mesh has ended")
    left = sorted(str(path.relative_to(mesh.data)) for path in mesh.data.glob("run/*.yaml*"))
    if left:
        raise Failed(f"left behind: {', '.join(left)}")


def watch(mesh, place, stack):
    with check("Prometheus scrapes the mesh"):
        prometheus = Prometheus(mesh, place, stack)
    for rule in FAULTS:
        set_rule(mesh, rule, True)
    with check(f"{' and '.join(FAULTS)} are on for {WATCH} s"):
        time.sleep(WATCH)
    with check("every dashboard query returns data"):
        command = [sys.executable, ROOT / "tests" / "dashboards.py", "--prometheus", prometheus.url]
        for title in FILLED:
            command += ["--expect", title]
        if subprocess.run(command, check=False).returncode:
            raise Failed("the dashboard and the mesh disagree; see above")
    with check("recording rules have values, the right alert fires"):
        check_rules(prometheus)
    with check("the dots on charts lead to traces"):
        check_exemplars(mesh, prometheus)
    for rule in FAULTS:
        set_rule(mesh, rule, False)


def run(binary, place, stack):
    with check("a console takes the containers' mesh file"):
        check_container_mesh_file(binary, place, stack)
    with check("the mesh is up"):
        mesh = Mesh(binary, place, stack)
    try:
        watch(mesh, place, stack)
        with check(f"promtool finds nothing in {sum(1 for _ in mesh.pages())} pages of metrics"):
            check_metrics(mesh)
        with check("a scraper that asks for OpenMetrics gets it"):
            check_openmetrics(mesh)
        with check("the page works in a browser"):
            check_browser(mesh)
        with check("the mesh drains on Ctrl-C and leaves nothing behind"):
            check_stop(mesh)
    except Failed:
        print(f"    last lines of glassmesh up:\n{mesh.child.tail()}", file=sys.stderr)
        raise


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glassmesh", type=pathlib.Path, required=True, help="the binary")
    parser.add_argument("--keep", action="store_true", help="keep logs and data even when all is well")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    place = pathlib.Path(tempfile.mkdtemp(prefix="glassmesh-test-"))
    say(f"logs and data: {place}")
    try:
        with contextlib.ExitStack() as stack:
            run(arguments.glassmesh.resolve(), place, stack)
    except Failed as problem:
        print(f"  ✗ {problem}", file=sys.stderr)
        sys.exit(1)
    if not arguments.keep:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
