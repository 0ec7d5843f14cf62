"""Certificates of a local cluster: one authority, one server, one client per component, one service-account key.

They are made by openssl for this cluster alone, live in its folder and vanish with it.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.commands import run

DAYS = "3650"
SERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass(frozen=True)
class Pki:
    """The files below one folder; `make` fills it, once."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def account_key(self) -> Path:
        return self.folder / "service-account.key"

    @property
    def account_public(self) -> Path:
        return self.folder / "service-account.pub"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def make(self, addresses: tuple[str, ...], node: str | None) -> None:
        """Make all files that are not there yet; `addresses` are those of the API server, `node` a kubelet's name."""
        self._authority()
        self._account()
        names = [f"DNS:{name}" for name in (*SERVER_NAMES, "localhost")] + [f"IP:{address}" for address in addresses]
        self._sign("apiserver", "/CN=kube-apiserver", f"subjectAltName={','.join(names)}")
        self._sign("admin", "/O=system:masters/CN=modelrollout-admin")
        self._sign("controller-manager", "/CN=system:kube-controller-manager")
        self._sign("scheduler", "/CN=system:kube-scheduler")
        self._sign("proxy", "/CN=system:kube-proxy")
        if node:
            self._sign("node", f"/O=system:nodes/CN=system:node:{node}")

    def kubeconfig(self, path: Path, user: str, server: str) -> Path:
        """Write a kubeconfig with the certificates inside, so that the file can be copied."""
        cluster = {"server": server, "certificate-authority-data": _embedded(self.authority)}
        credentials = {
            "client-certificate-data": _embedded(self.certificate(user)),
            "client-key-data": _embedded(self.key(user)),
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "modelrollout",
            "clusters": [{"name": "modelrollout", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "modelrollout", "context": {"cluster": "modelrollout", "user": user}}],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=2))
        return path

    def _authority(self) -> None:
        if self.authority.exists():
            return
        files: list[str | Path] = ["-keyout", self.key("ca"), "-out", self.authority]
        run(["openssl", "req", "-x509", *CURVE, "-days", DAYS, "-subj", "/CN=modelrollout-test-cluster", *files])

    def _account(self) -> None:
        if self.account_public.exists():
            return
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.account_key])
        run(["openssl", "ec", "-in", self.account_key, "-pubout", "-out", self.account_public])

    def _sign(self, name: str, subject: str, *extensions: str) -> None:
        if self.certificate(name).exists():
            return
        request = self.folder / f"{name}.csr"
        run(["openssl", "req", "-new", *CURVE, "-subj", subject, "-keyout", self.key(name), "-out", request])
        extra = self.folder / f"{name}.ext"
        extra.write_text("\n".join(["extendedKeyUsage=serverAuth,clientAuth", *extensions]))
        authority: list[str | Path] = ["-CA", self.authority, "-CAkey", self.key("ca"), "-CAcreateserial"]
        files: list[str | Path] = ["-in", request, "-out", self.certificate(name), "-extfile", extra]
        run(["openssl", "x509", "-req", "-days", DAYS, *authority, *files])
        request.unlink()
        extra.unlink()


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
