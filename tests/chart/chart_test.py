#!/usr/bin/env python3
"""The chart of deploy/helm: linted, rendered with value sets that cover every template, and each object validated against the schemas of
Kubernetes 1.29 to 1.37 (strictly: unknown keys are errors); values that cannot be are refused by the schema.

Needs .venv-packages (requirements/packages.txt: helm-python-sdk, kubernetes-validate); exits 77 without. Kinds that are no part of
Kubernetes (KEDA, Prometheus operator, Gateway API) are checked for the fields that tests/chart/kinds.json names.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
try:
    import helm_python
    import kubernetes_validate
    import yaml
except ImportError as missing:
    python = ROOT / ".venv-packages/bin/python"
    if python.exists() and sys.executable != str(python):
        os.execv(python, [python, *sys.argv])
    print(f"{missing}: make packages sets .venv-packages up")
    sys.exit(77)

CHART = ROOT / "deploy/helm/rerankd"
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
IMAGE = "registry.example/models/bge@sha256:" + "0" * 64
# Everything on, with a model of each source.
COMMON = {"grpc": {"enabled": True}, "apiKeys": {"secret": "keys"}, "cache": {"url": "redis://valkey:6379"}, "weightCache": {"hostPath": "/var/cache/rerankd"},
          "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}], "metricsFrom": [{"namespaceSelector": {}}]},
          "metrics": {"serviceMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboard": {"enabled": True}},
          "settings": {"max-length": 512, "truncation": "chunks", "shadow-rate": 0.01, "return-documents": False, "cors-origin": ["https://a.example"]}}
SETS = {
    "defaults": {},
    "hub": {"model": {"source": "hub", "id": "BAAI/bge-reranker-v2-m3", "revision": "abc", "tokenSecret": {"name": "hf", "key": "token"}}, **COMMON},
    "claim": {"model": {"source": "claim", "claim": "models", "path": "bge"}, "autoscaling": {"kind": "hpa"}, **COMMON},
    "host path": {"model": {"source": "hostPath", "path": "/models/bge"}, "autoscaling": {"kind": "keda", "prometheus": "http://prometheus:9090"}},
    "canary": {"route": {"enabled": True, "parents": [{"name": "gateway"}], "hostnames": ["rerank.example"]},
               "canary": {"enabled": True, "weight": 5, "image": {"tag": "0.3.0"}, "settings": {"precision": "int8"}}},
    "gpu": {"devices": {"nvidia.com/gpu": 1}, "nodeSelector": {"gpu": "h200"}, "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    "models": {"models": [{"name": "good", "model": "BAAI/bge-reranker-v2-m3", "settings": {"precision": "int8", "weight": 2}}]},
    "tpu": {"devices": {"google.com/tpu": 4}, "nodeSelector": {"cloud.google.com/gke-tpu-topology": "2x2"}},
}
IMAGE_SET = {"model": {"source": "image", "image": IMAGE}}
REFUSED = {
    "a word for a number": {"replicas": "two"},
    "an unknown key": {"replica": 2},
    "a source that is none": {"model": {"source": "s3"}},
    "hub without id": {"model": {"source": "hub", "id": ""}},
    "claim without claim": {"model": {"source": "claim"}},
    "image without digest": {"model": {"source": "image", "image": "registry.example/bge:latest"}},
    "keda without Prometheus": {"autoscaling": {"kind": "keda"}},
    "two addresses of one cache": {"cache": {"url": "redis://a", "urlSecret": "b"}},
    "a canary without a route": {"canary": {"enabled": True}},
    "no replica may ever go": {"disruptionBudget": {"maxUnavailable": "0%"}},
    "a setting that is no name": {"settings": {"--max-length": 1}},
}


def render(values, chart=CHART):
    with helm_python.Chart.load(chart) as loaded:
        files = loaded.render(values, name="demo", namespace="search")
    return [thing for name, text in files.items() if not name.endswith(".txt") for thing in yaml.safe_load_all(text) if thing]


def of_kind(things, kind):
    return [thing for thing in things if thing["kind"] == kind]


class ChartTest(unittest.TestCase):
    def test_lints(self):
        for name, values in SETS.items():
            report = helm_python.lint(CHART, values, strict=True)
            self.assertEqual([], [m for m in report["messages"] if m["severity"] >= 2], name)

    def test_every_object_is_valid_on_every_version(self):
        others = json.loads((pathlib.Path(__file__).parent / "kinds.json").read_text())
        for name, values in {**SETS, "image": IMAGE_SET}.items():
            for thing in render(values):
                kind = f"{thing['apiVersion']}/{thing['kind']}"
                if kind in others:
                    self.assertEqual([], sorted(set(thing["spec"]) - set(others[kind])), kind)
                    continue
                for version in VERSIONS:
                    if name == "image" and version < "1.31":  # not in that schema; the template refuses it there
                        continue
                    with self.subTest(set=name, kind=kind, version=version):
                        kubernetes_validate.validate(thing, version, strict=True)

    def test_impossible_values_are_refused(self):
        for name, values in REFUSED.items():
            with self.subTest(name), self.assertRaises(helm_python.HelmError):
                render(values)

    def test_a_setting_that_the_chart_makes_is_refused(self):
        with self.assertRaisesRegex(helm_python.HelmError, "settings.port"):
            render({"settings": {"port": 1}})

    def test_image_volumes_need_a_cluster_that_has_them(self):
        """Rendering is for one version of Kubernetes here, a newer one: the bound is moved instead."""
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "rerankd"
            shutil.copytree(CHART, copy)
            template = copy / "templates/_pod.tpl"
            template.write_text(template.read_text().replace("<1.33.0-0", "<99.0.0-0"))
            with self.assertRaisesRegex(helm_python.HelmError, "model.source=image needs Kubernetes"):
                render(IMAGE_SET, chart=copy)
            self.assertTrue(render({}, chart=copy))

    def test_pods_are_hardened(self):
        for values in (*SETS.values(), IMAGE_SET):
            for deployment in of_kind(render(values), "Deployment"):
                pod = deployment["spec"]["template"]["spec"]
                container = pod["containers"][0]
                self.assertTrue(pod["securityContext"]["runAsNonRoot"])
                self.assertFalse(pod["automountServiceAccountToken"])
                self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])
                self.assertEqual(["ALL"], container["securityContext"]["capabilities"]["drop"])

    def test_settings_become_toml(self):
        config = of_kind(render(SETS["hub"]), "ConfigMap")
        text = next(thing["data"]["rerankd.toml"] for thing in config if thing["metadata"]["name"].endswith("-stable"))
        if sys.version_info >= (3, 11):
            import tomllib
            found = tomllib.loads(text)
            self.assertEqual(512, found["max-length"])
            self.assertEqual(0.01, found["shadow-rate"])
            self.assertIs(False, found["return-documents"])
            self.assertEqual(["https://a.example"], found["cors-origin"])
            self.assertEqual("BAAI/bge-reranker-v2-m3", found["model"])
            self.assertEqual("/keys/keys", found["api-key-file"])

    def test_several_models(self):
        config = of_kind(render(SETS["models"]), "ConfigMap")[0]["data"]["rerankd.toml"]
        if sys.version_info >= (3, 11):
            import tomllib
            models = tomllib.loads(config)["models"]
            self.assertEqual(["default", "good"], [model["name"] for model in models])
            self.assertEqual({"name": "good", "model": "BAAI/bge-reranker-v2-m3", "precision": "int8", "weight": 2}, models[1])

    def test_the_server_takes_the_settings(self):
        """Every key that the chart itself writes is a setting of this build."""
        options = (ROOT / "docs/options.md").read_text()
        for values in SETS.values():
            for thing in of_kind(render(values), "ConfigMap"):
                for line in thing["data"].get("rerankd.toml", "").splitlines():
                    name = line.split(" = ")[0].strip()
                    self.assertTrue(not name or name in ("[[models]]", "name", "weight") or f"`--{name} " in options, name)

    def test_a_canary_shares_the_route(self):
        things = render(SETS["canary"])
        backends = of_kind(things, "HTTPRoute")[0]["spec"]["rules"][0]["backendRefs"]
        self.assertEqual([95, 5], [backend["weight"] for backend in backends])
        services = {service["metadata"]["name"]: service["spec"]["selector"] for service in of_kind(things, "Service")}
        for backend, track in zip(backends, ("stable", "canary")):
            self.assertEqual(track, services[backend["name"]]["rerankd/track"])
        images = {d["metadata"]["name"]: d["spec"]["template"]["spec"]["containers"][0]["image"] for d in of_kind(things, "Deployment")}
        self.assertEqual({"demo-rerankd-stable": "rerankd:0.2.0", "demo-rerankd-canary": "rerankd:0.3.0"}, images)

    def test_rules_and_dashboard_are_those_of_deploy(self):
        things = render(SETS["hub"])
        rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
        self.assertEqual(rules, of_kind(things, "PrometheusRule")[0]["spec"])
        board = next(thing for thing in of_kind(things, "ConfigMap") if thing["metadata"]["name"].endswith("-dashboard"))
        self.assertEqual(json.loads((ROOT / "deploy/grafana/rerankd.json").read_text()), json.loads(board["data"]["rerankd.json"]))


if __name__ == "__main__":
    helm_python.disable_logging()
    unittest.main()
