"""Every version that a test cluster is built from, in one place.

A change here changes the key of what is built from it, so the cache builds the new one and keeps the old one beside it.
Nothing is looked up as "latest": two machines with the same checkout run the same binaries.
"""

KUBERNETES = "1.36.4"
ETCD = "3.6.14"
KWOK = "0.8.0"
HELM = "4.3.1"
PROMETHEUS = "0.316.0"  # the version of the Go module; the program calls itself 3.16.0
GATEWAY_API = "1.6.1"
TRAEFIK = "3.7.15"
ENVOY_GATEWAY = "1.9.0"
ENVOY = "1.39.0"
COREDNS = "1.15.0"
ISTIO_CRDS = "1.31.4"
TRAEFIK_CRDS = "3.7.13"  # the newest of these that is published as a Go module

# The oldest Go that builds all of the above.
GO = (1, 26)

# Debian (or Ubuntu) packages by the file that shows that they are there.
NODE_PACKAGES = {
    "/usr/bin/containerd": "containerd",
    "/usr/sbin/runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/sbin/ip": "iproute2",
    "/usr/sbin/iptables": "iptables",
    "/usr/sbin/nft": "nftables",
    "/usr/bin/kmod": "kmod",
    "/usr/bin/mount": "mount",
}
IMAGE_PACKAGES = {
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/bin/buildah": "buildah",
}
CONTROL_PLANE_PACKAGES = {
    "/usr/bin/openssl": "openssl",
}
