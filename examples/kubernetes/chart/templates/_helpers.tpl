{{- define "affidavit.name" -}}
{{- if contains "affidavit" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-affidavit{{ end }}
{{- end }}

{{- define "affidavit.selector" -}}
app.kubernetes.io/name: affidavit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "affidavit.labels" -}}
{{ include "affidavit.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
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
  "lease" (dict "namespace" .Release.Namespace "name" (include "affidavit.name" .))) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* The pod, of the CronJob and of the Deployment. */ -}}
{{- define "affidavit.pod" -}}
serviceAccountName: {{ include "affidavit.name" . }}
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
  configMap: { name: {{ include "affidavit.name" . }} }
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
