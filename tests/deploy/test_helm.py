"""The Helm chart, rendered by Helm itself and judged by the schemas of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.test_operations import BLOCKS
from tests.requirements import module
from tests.service import ROOT

pytestmark = pytest.mark.slow

CHART = str(ROOT / "deploy/helm/collector")
KUBERNETES = ("1.28", "1.37")
POSTGRES: dict[str, Any] = {
    "replicas": 3,
    "postgresql": {"existingSecret": "database"},
    "adminToken": {"existingSecret": "admin"},
    "options": {"COLLECTOR_QUEUE_LIMIT": 20000, "CODER_TLS_ENABLE": False},
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}]},
    "podLabels": {"team": "web"},
    "podAnnotations": {"note": "x"},
    "tolerations": [{"operator": "Exists"}],
}


@pytest.fixture
def chart() -> Iterator[Any]:
    """The chart as Helm loads it."""
    with module("helm_python").Chart.load(CHART) as loaded:
        yield loaded


def manifests(chart: Any, values: dict[str, Any], name: str = "try") -> dict[tuple[str, str], dict[str, Any]]:
    """What an installation would make, by kind and name."""
    chart.validate_schema(values)
    texts = [text for path, text in chart.render(values, name=name, namespace="n").items() if path.endswith(".yaml")]
    made = [one for text in texts for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in made}


def test_helm_has_nothing_to_say() -> None:
    """``helm lint --strict`` finds neither an error nor a warning."""
    report = module("helm_python").lint(CHART, strict=True)

    assert [message for message in report["messages"] if message["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", [{}, POSTGRES], ids=["sqlite", "postgresql"])
def test_kubernetes_takes_what_it_makes(chart: Any, values: dict[str, Any], version: str) -> None:
    """Every object follows the schema of its kind, with no field that the schema lacks."""
    judge = module("kubernetes_validate")

    made = manifests(chart, values)

    for (kind, _), one in made.items():
        if kind != "ServiceMonitor":  # which the operator's own schema describes
            judge.validate(one, version, strict=True)


def test_sqlite_has_one_replica_with_a_volume(chart: Any) -> None:
    """Two writers of one file cannot be asked for, and nothing holds up the drain of its node."""
    made = manifests(chart, {})

    assert set(made) == {
        ("StatefulSet", "try-collector"),
        ("Service", "try-collector"),
        ("Service", "try-collector-metrics"),
        ("ServiceAccount", "try-collector"),
    }
    workload = made["StatefulSet", "try-collector"]["spec"]
    assert workload["replicas"] == 1
    assert [claim["metadata"]["name"] for claim in workload["volumeClaimTemplates"]] == ["data"]
    with pytest.raises(module("helm_python").HelmValuesError, match="replicas"):
        chart.validate_schema({"replicas": 2})


def test_the_volume_is_the_one_that_is_restored(chart: Any) -> None:
    """Kubernetes takes the pod of docs/operations.md, which has the volume, the path and the user of the service's."""
    (text,) = re.findall(r"<<'POD'\n(.*?)POD\n", BLOCKS["restore helm"], re.DOTALL)
    pod = yaml.safe_load(text)
    workload = manifests(chart, {}, name="collector")["StatefulSet", "collector"]["spec"]
    (claim,) = workload["volumeClaimTemplates"]
    own = workload["template"]["spec"]

    for version in KUBERNETES:
        module("kubernetes_validate").validate(pod, version, strict=True)
    (volume,) = pod["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == f"{claim['metadata']['name']}-collector-0"
    assert pod["spec"]["containers"][0]["volumeMounts"][0] in own["containers"][0]["volumeMounts"]
    assert pod["spec"]["securityContext"].items() <= own["securityContext"].items()


def test_postgresql_has_as_many_as_wanted(chart: Any) -> None:
    """The secrets are named, never held, and the first user's token must be one of them."""
    made = manifests(chart, POSTGRES)

    workload = made["Deployment", "try-collector"]["spec"]
    env = {each["name"]: each for each in workload["template"]["spec"]["containers"][0]["env"]}
    assert workload["replicas"] == 3
    assert env["CODER_PG_CONNECTION_URL"]["valueFrom"]["secretKeyRef"] == {"name": "database", "key": "url"}
    assert env["COLLECTOR_QUEUE_LIMIT"]["value"] == "20000"
    assert env["CODER_TLS_ENABLE"]["value"] == "false"
    assert {kind for kind, _ in made} >= {"PodDisruptionBudget", "ServiceMonitor", "NetworkPolicy"}
    assert "Secret" not in {kind for kind, _ in made}
    with pytest.raises(module("helm_python").HelmValuesError, match="adminToken"):
        chart.validate_schema({"postgresql": {"existingSecret": "database"}})


def test_every_pod_is_scraped_for_itself(chart: Any) -> None:
    """Its own half is the job that the rules ask for, and the half that all pods tell alike is another one."""
    made = manifests(chart, POSTGRES)
    monitor, service = made["ServiceMonitor", "try-collector"], made["Service", "try-collector-metrics"]

    spec, labels = monitor["spec"], service["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert labels[spec["jobLabel"]] == "collector"
    assert [(each["port"], each["path"]) for each in spec["endpoints"]] == [
        ("metrics", "/metrics/replica"),
        ("metrics", "/metrics/deployment"),
    ]
    assert [each.get("relabelings") for each in spec["endpoints"]] == [
        None,
        [{"targetLabel": "job", "replacement": "collector-deployment"}],
    ]


@pytest.mark.parametrize("values", [{}, POSTGRES], ids=["sqlite", "postgresql"])
def test_the_pod_is_shut_in_and_probed(chart: Any, values: dict[str, Any]) -> None:
    """Not root, a read-only root file system, no capability, and the probes ask what the service answers."""
    made = manifests(chart, values)
    pod = next(one for (kind, _), one in made.items() if kind in ("StatefulSet", "Deployment"))["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


@pytest.mark.parametrize("values", [{"replica": 1}, {"options": {"PATH": "x"}}, {"accessURL": "example.com"}])
def test_misspelt_values_are_refused(chart: Any, values: dict[str, Any]) -> None:
    """A value that nothing reads is an error, not silence."""
    with pytest.raises(module("helm_python").HelmValuesError):
        chart.validate_schema(values)
