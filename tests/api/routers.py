"""The CRDs of routers on the test cluster. They stay: no test minds them, and several may apply them at once."""

from tests.api.kubectl import Kubectl, define
from tests.cluster.build.programs import router_crds
from tests.cluster.progress import Steps


def define_routers(kubectl: Kubectl) -> None:
    """Have the API server serve the kinds of all routers."""
    file = router_crds().provide(Steps()) / "crds.yaml"
    define(kubectl, file, "--server-side", "--force-conflicts")
