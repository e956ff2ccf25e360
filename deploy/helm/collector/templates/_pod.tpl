{{- /* The pod, the same for both kinds of workload; only what /data is differs. */ -}}
{{- define "collector.pod" -}}
metadata:
  labels:
    {{- include "collector.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "collector.name" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false # they would set variables that begin with COLLECTOR_
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: collector
      image: {{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      env: {{- include "collector.env" . | nindent 8 }}
      ports:
        - name: http
          containerPort: 3000
        - name: metrics
          containerPort: 2112
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      # A migration comes before the first answer.
      startupProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 2
        failureThreshold: 450
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 5
        timeoutSeconds: 5
      lifecycle:
        preStop: # the service's endpoints forget the pod before it stops listening
          exec:
            command: [python, -c, "import time; time.sleep(5)"]
      {{- with .Values.resources }}
      resources: {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: tmp
          mountPath: /tmp
        {{- if .Values.adminToken.existingSecret }}
        - name: admin-token
          mountPath: /run/secrets/collector
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if .Values.postgresql.existingSecret }}
    - name: data
      emptyDir: {}
    {{- end }}
    {{- if .Values.adminToken.existingSecret }}
    - name: admin-token
      secret:
        secretName: {{ .Values.adminToken.existingSecret }}
        items:
          - key: {{ .Values.adminToken.key }}
            path: admin-token
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "collector.env" -}}
{{- with .Values.accessURL }}
- name: CODER_ACCESS_URL
  value: {{ . | quote }}
{{- end }}
{{- if .Values.postgresql.existingSecret }}
- name: CODER_PG_CONNECTION_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.postgresql.existingSecret }}
      key: {{ .Values.postgresql.key }}
{{- end }}
{{- if .Values.adminToken.existingSecret }}
- name: COLLECTOR_ADMIN_TOKEN_FILE
  value: /run/secrets/collector/admin-token
{{- end }}
{{- range $name, $value := .Values.options }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
