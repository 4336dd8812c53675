{{- define "rerankd.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "rerankd.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rerankd.labels" -}}
{{ include "rerankd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* A value as TOML writes it. */}}
{{- define "rerankd.toml" -}}
{{- range $name, $value := . }}
{{- if kindIs "string" $value }}
{{ $name }} = {{ $value | quote }}
{{- else if kindIs "slice" $value }}
{{ $name }} = [{{ range $i, $each := $value }}{{ if $i }}, {{ end }}{{ $each | quote }}{{ end }}]
{{- else if kindIs "float64" $value }}
{{ $name }} = {{ if eq $value (floor $value) }}{{ printf "%.0f" $value }}{{ else }}{{ $value }}{{ end }}
{{- else }}
{{ $name }} = {{ $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* rerankd.toml of a track: dict "root" $ "model" ... "settings" ... */}}
{{- define "rerankd.config" -}}
{{- $values := .root.Values -}}
{{- $own := dict "host" "0.0.0.0" "port" 8080 "read-only-metrics-address" (printf "0.0.0.0:%d" (int $values.metrics.port)) "drain-timeout-ms" (mul 1000 (int $values.drain.timeoutSeconds)) -}}
{{- if $values.grpc.enabled }}{{ $_ := set $own "grpc-port" $values.grpc.port }}{{ end -}}
{{- if $values.apiKeys.secret }}{{ $_ := set $own "api-key-file" (printf "/keys/%s" $values.apiKeys.key) }}{{ end -}}
{{- if $values.cache.url }}{{ $_ := set $own "cache-url" $values.cache.url }}{{ end -}}
{{- if $values.weightCache.hostPath }}{{ $_ := set $own "weight-cache" "/weights" }}{{ end -}}
{{- if eq .model.source "hub" }}{{ $_ := set $own "model" .model.id }}{{ if .model.revision }}{{ $_ := set $own "revision" .model.revision }}{{ end }}{{ end -}}
{{- if eq .model.source "claim" }}{{ $_ := set $own "model" (printf "/model/%s" .model.path | trimSuffix "/") }}{{ end -}}
{{- if has .model.source (list "image" "hostPath") }}{{ $_ := set $own "model" "/model" }}{{ end -}}
{{- range $name, $_ := $own }}
{{- if hasKey $.settings $name }}{{ fail (printf "settings.%s: the chart sets it; see values.yaml for the value that does" $name) }}{{ end }}
{{- end -}}
{{- if $values.models }}
{{- $first := dict "name" "default" -}}
{{- range $name := list "model" "revision" }}{{ if hasKey $own $name }}{{ $_ := set $first $name (get $own $name) }}{{ $_ := unset $own $name }}{{ end }}{{ end -}}
{{- include "rerankd.toml" (merge (dict) $own .settings) }}
[[models]]
{{- include "rerankd.toml" $first }}
{{- range $values.models }}
[[models]]
{{- include "rerankd.toml" (merge (dict "name" .name "model" .model) (default dict .settings)) }}
{{- end }}
{{- else }}
{{- include "rerankd.toml" (merge (dict) $own .settings) }}
{{- end }}
{{- end }}
