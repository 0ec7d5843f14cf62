"""The CRDs of routers on the test cluster. They stay: no test minds them, and several may apply them at once."""

from tests.api.kubectl import Kubectl
from tests.cluster.build.programs import router_crds
from tests.cluster.progress import Steps

CRDS = ("traefikservices.traefik.io", "ingressroutes.traefik.io", "virtualservices.networking.istio.io")


def define_routers(kubectl: Kubectl) -> None:
    """Have the API server serve the kinds of all routers."""
    file = router_crds().provide(Steps()) / "crds.yaml"
    kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", str(file))
    kubectl.ok("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{name}" for name in CRDS))
