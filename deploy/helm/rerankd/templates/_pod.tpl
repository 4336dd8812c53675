{{/* The pod of a track: dict "root" $ "track" "stable" "tag" ... "model" ... "settings" ... */}}
{{- define "rerankd.pod" -}}
{{- $values := .root.Values -}}
{{- $name := include "rerankd.name" .root -}}
{{- if and (eq .model.source "image") (semverCompare "<1.33.0-0" .root.Capabilities.KubeVersion.Version) }}
{{- fail (printf "model.source=image needs Kubernetes 1.33 (image volumes; before 1.35 with the gate ImageVolume), this is %s: use claim or hub" .root.Capabilities.KubeVersion.Version) }}
{{- end -}}
metadata:
  labels:
    {{- include "rerankd.labels" .root | nindent 4 }}
    rerankd/track: {{ .track }}
    {{- with $values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # Another configuration is another pod.
    rerankd/config: {{ include "rerankd.config" . | sha256sum | trunc 16 | quote }}
    {{- with $values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $values.drain.delaySeconds $values.drain.timeoutSeconds 5 }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with $values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $values.spread.enabled }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: {{ $values.spread.topologyKey }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "rerankd.selector" .root | nindent 10 }}
  {{- end }}
  containers:
    - name: rerankd
      image: {{ printf "%s:%s" $values.image.repository (default .root.Chart.AppVersion .tag) }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [serve, --config, /etc/rerankd/rerankd.toml]
      env:
        - {name: HF_HOME, value: /models}
        {{- with .model.tokenSecret }}
        {{- if .name }}
        - name: HF_TOKEN
          valueFrom: {secretKeyRef: {name: {{ .name }}, key: {{ .key }}}}
        {{- end }}
        {{- end }}
        {{- if $values.cache.urlSecret }}
        - name: RERANKD_CACHE_URL
          valueFrom: {secretKeyRef: {name: {{ $values.cache.urlSecret }}, key: RERANKD_CACHE_URL}}
        {{- end }}
        {{- with $values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: {{ $values.metrics.port }}}
        {{- if $values.grpc.enabled }}
        - {name: grpc, containerPort: {{ $values.grpc.port }}}
        {{- end }}
      # On the metrics address: answered by a thread of its own, under full load too.
      startupProbe:
        httpGet: {path: /health, port: metrics}
        periodSeconds: 2
        failureThreshold: {{ div (add $values.startupSeconds 1) 2 }}
      readinessProbe:
        httpGet: {path: /health, port: metrics}
        periodSeconds: 2
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /health, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      {{- if gt (int $values.drain.delaySeconds) 0 }}
      lifecycle:
        preStop: {sleep: {seconds: {{ $values.drain.delaySeconds }}}}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      resources:
        {{- $resources := deepCopy $values.resources }}
        {{- if $values.devices }}
        {{- $resources = merge $resources (dict "limits" dict) }}
        {{- $_ := set $resources "limits" (merge (deepCopy $resources.limits) $values.devices) }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/rerankd, readOnly: true}
        - {name: models, mountPath: /models}
        - {name: tmp, mountPath: /tmp}
        {{- if has .model.source (list "claim" "image" "hostPath") }}
        - {name: model, mountPath: /model, readOnly: true}
        {{- end }}
        {{- if $values.apiKeys.secret }}
        - {name: keys, mountPath: /keys, readOnly: true}
        {{- end }}
        {{- if $values.weightCache.hostPath }}
        - {name: weights, mountPath: /weights}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ $name }}-{{ .track }}}
    - name: models
      emptyDir: {}
    - name: tmp
      emptyDir: {}
    {{- if eq .model.source "claim" }}
    - name: model
      persistentVolumeClaim: {claimName: {{ .model.claim }}, readOnly: true}
    {{- else if eq .model.source "image" }}
    - name: model
      image: {reference: {{ .model.image }}, pullPolicy: IfNotPresent}
    {{- else if eq .model.source "hostPath" }}
    - name: model
      hostPath: {path: {{ .model.path }}, type: Directory}
    {{- end }}
    {{- if $values.apiKeys.secret }}
    - name: keys
      secret: {secretName: {{ $values.apiKeys.secret }}, defaultMode: 0440}
    {{- end }}
    {{- if $values.weightCache.hostPath }}
    - name: weights
      hostPath: {path: {{ $values.weightCache.hostPath }}, type: DirectoryOrCreate}
    {{- end }}
{{- end }}
