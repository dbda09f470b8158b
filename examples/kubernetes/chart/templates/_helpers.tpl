{{- /* What it is called, also under an alias in a parent chart. */ -}}
{{- define "affidavit.name" -}}
{{- .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- /* The name of what it makes. A CronJob's has at most 52 characters, and the longest suffix here is `-dashboard`: a
longer name is cut, and a part of its digest keeps it apart from others that begin alike. */ -}}
{{- define "affidavit.fullname" -}}
{{- if and (kindIs "bool" .Values.enabled) (not .Values.enabled) }}
{{- fail (printf "%s.enabled is false, which has an effect only in a parent chart whose dependency says `condition: %s.enabled`: add that, or leave the chart out" .Chart.Name .Chart.Name) }}
{{- end }}
{{- $name := include "affidavit.name" . }}
{{- $full := .Values.fullnameOverride }}
{{- if not $full }}
{{- $full = ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- end }}
{{- if gt (len $full) 52 }}
{{- $full = printf "%s-%s" (regexReplaceAll "[-.]+$" (trunc 43 $full) "") (sha256sum $full | trunc 8) }}
{{- end }}
{{- $full }}
{{- end }}

{{- define "affidavit.selector" -}}
app.kubernetes.io/name: {{ include "affidavit.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "affidavit.labels" -}}
{{ include "affidavit.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "affidavit.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* affidavit.yaml: what the values say, and where the chart puts keys. */ -}}
{{- define "affidavit.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $_ := set $config "keys" (dict
  "signer" (.Values.keys.signer | default "/etc/affidavit/keys/log.pem")
  "keyring" "/etc/affidavit/keyring"
  "disclosure_secret" "/etc/affidavit/keys/disclosure.secret") }}
{{- if .Values.events }}
{{- $_ := set $config "notify" (merge (dict "events" true) ($config.notify | default dict)) }}
{{- end }}
{{- if eq .Values.mode "serve" }}
{{- $_ := set $config "serve" (dict "listen" "0.0.0.0:8080" "jitter" .Values.jitter
  "lease" (dict "namespace" .Release.Namespace "name" (include "affidavit.fullname" .))) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* The pod, of the CronJob and of the Deployment. */ -}}
{{- define "affidavit.pod" -}}
serviceAccountName: {{ include "affidavit.fullname" . }}
automountServiceAccountToken: true
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
containers:
- name: affidavit
  image: {{ include "affidavit.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
  - {{ if eq .Values.mode "serve" }}serve{{ else }}run{{ end }}
  - --config
  - /etc/affidavit/config/affidavit.yaml
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
  env:
  - name: POD_NAME
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
  - name: POD_NAMESPACE
    valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
  - name: POD_UID
    valueFrom: { fieldRef: { fieldPath: metadata.uid } }
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .Values.envFrom }}
  envFrom: {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if eq .Values.mode "serve" }}
  ports:
  - { name: metrics, containerPort: 8080 }
  livenessProbe:
    httpGet: { path: /healthz, port: metrics }
  readinessProbe:
    httpGet: { path: /readyz, port: metrics }
  {{- end }}
  resources: {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
  - { name: config, mountPath: /etc/affidavit/config, readOnly: true }
  - { name: keyring, mountPath: /etc/affidavit/keyring, readOnly: true }
  - { name: keys, mountPath: /etc/affidavit/keys, readOnly: true }
  - { name: tmp, mountPath: /tmp }
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
- name: config
  configMap: { name: {{ include "affidavit.fullname" . }} }
- name: keyring
  configMap: { name: {{ .Values.keys.keyring }} }
- name: keys
  secret: { secretName: {{ .Values.keys.secret }}, defaultMode: 0440 }
- name: tmp
  emptyDir: { sizeLimit: {{ .Values.tmpSizeLimit }} }
{{- with .Values.volumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
