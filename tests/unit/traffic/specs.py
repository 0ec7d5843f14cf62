"""One `spec.traffic` for each router that has objects of its own, by the router's name."""

SPECS = {
    "Gateway": {
        "gateway": {"parentRefs": [{"name": "public", "namespace": "gateways"}], "hostnames": ["a.example.com"]}
    },
    "Traefik": {"traefik": {"ingressRoute": {"entryPoints": ["websecure"], "hostnames": ["a.example.com"], "tls": {}}}},
    "Istio": {"istio": {"hosts": ["a.example.com"], "gateways": ["gateways/public"], "pathPrefix": "/v1"}},
    "Nginx": {
        "nginx": {
            "hosts": ["a.example.com"],
            "ingressClassName": "nginx",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "20m"},
        }
    },
}
