{{- define "modelrollout.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "modelrollout.serviceAccount" -}}
{{- default (ternary (include "modelrollout.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "modelrollout.selector" -}}
app.kubernetes.io/name: modelrollout
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelrollout.labels" -}}
{{ include "modelrollout.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "modelrollout.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "modelrollout.comparerImage" -}}
{{- if .Values.comparer.image.digest -}}
{{ .Values.comparer.image.repository }}@{{ .Values.comparer.image.digest }}
{{- else -}}
{{ .Values.comparer.image.repository }}:{{ default .Chart.AppVersion .Values.comparer.image.tag }}
{{- end -}}
{{- end -}}

{{/* The settings file: the values of `settings`, and the namespaces that have a Role. */}}
{{- define "modelrollout.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- if .Values.watchNamespaces -}}
{{- $_ := set $settings "namespaces" .Values.watchNamespaces -}}
{{- else if $settings.namespaces -}}
{{- fail "settings.namespaces: set watchNamespaces instead, so that the operator gets a Role in each of them" -}}
{{- end -}}
{{- if and .Values.comparer.enabled (not (dig "comparer" "image" "" $settings)) -}}
{{- $comparer := dict "image" (include "modelrollout.comparerImage" .) "imagePullPolicy" .Values.comparer.image.pullPolicy -}}
{{- $_ := set $settings "comparer" (mergeOverwrite $comparer (default dict $settings.comparer)) -}}
{{- end -}}
{{- $_ := set $settings "leadership" (set (default dict $settings.leadership) "name" (include "modelrollout.leaseName" .)) -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "modelrollout.healthPort" -}}
{{ int (dig "healthPort" 8080 .Values.settings) }}
{{- end -}}

{{- define "modelrollout.metricsPort" -}}
{{ int (dig "metricsPort" 9090 .Values.settings) }}
{{- end -}}

{{/* Each release has a Lease of its own, or the second one in a namespace would wait for the first for ever. */}}
{{- define "modelrollout.leaseName" -}}
{{- default (include "modelrollout.name" .) (dig "leadership" "name" "" .Values.settings) -}}
{{- end -}}

{{/* The Lease lies beside the operator unless the settings say otherwise. */}}
{{- define "modelrollout.leaseNamespace" -}}
{{- default .Release.Namespace (dig "leadership" "namespace" "" .Values.settings) -}}
{{- end -}}

{{/* What the operator may do in the namespaces of ModelDeployments. Secrets are not among it. */}}
{{- define "modelrollout.rules" -}}
- apiGroups: [modelrollout.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [modelrollout.dev]
  resources: [modeldeployments/status, rolloutcommands/status]
  verbs: [update]
# Some clusters ask for this of whoever names an owner that must wait for its children.
- apiGroups: [modelrollout.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
- apiGroups: [modelrollout.dev]
  resources: [rolloutcommands]
  verbs: [get, list, watch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
{{- /* Of routers only those that are enabled. */}}
{{- $routers := dig "routers" (list "Gateway") .Values.settings }}
{{- if has "Gateway" $routers }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if has "Traefik" $routers }}
- apiGroups: [traefik.io]
  resources: [traefikservices, ingressroutes]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if has "Istio" $routers }}
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if has "Nginx" $routers }}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
