{{- define "notifier.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "notifier.fullname" -}}
{{- $name := include "notifier.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "notifier.selector" -}}
app.kubernetes.io/name: {{ include "notifier.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "notifier.labels" -}}
{{ include "notifier.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "notifier.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* Seconds of a span such as `1m 15s`, rounded up. */ -}}
{{- define "notifier.seconds" -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+ *(ms|s|m|h)" . -1 -}}
{{- $unit := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) (regexFind "[a-z]+" .) -}}
{{- $sum = addf $sum (mulf (regexFind "[0-9.]+" . | float64) $unit) -}}
{{- end -}}
{{- ceil $sum -}}
{{- end -}}

{{- define "notifier.preStop" -}}
{{- if kindIs "invalid" .Values.preStopSeconds -}}
{{- get (dict "cluster" 10 "aws-alb" 60 "aws-nlb" 150 "gcp" 60) .Values.balancer -}}
{{- else -}}
{{- .Values.preStopSeconds -}}
{{- end -}}
{{- end -}}

{{- /* 15 s of margin: the kubelet's own delays and a slow last write. */ -}}
{{- define "notifier.grace" -}}
{{- add (include "notifier.preStop" . | int) (include "notifier.seconds" .Values.config.drain.grace | int) 15 -}}
{{- end -}}

{{- /*
A table of TOML. Helm's own toToml writes whole numbers as 20.0, which the node refuses. Texts, numbers and lists of
JSON are those of TOML too; a list of maps is `[[name]]`.
*/ -}}
{{- define "notifier.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value) (and (kindIs "slice" $value) (kindIs "map" (first $value)))) }}
{{ $key }} = {{ toRawJson $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := .table -}}
{{- $name := append $path $key | join "." -}}
{{- if kindIs "map" $value }}

[{{ $name }}]
{{- include "notifier.toml" (dict "table" $value "path" (append $path $key)) -}}
{{- else if and (kindIs "slice" $value) (kindIs "map" (first $value)) -}}
{{- range $value }}

[[{{ $name }}]]
{{- include "notifier.toml" (dict "table" . "path" (append $path $key)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Of the token with which Prometheus comes, where the internal listener asks for one. */ -}}
{{- define "notifier.authorization" -}}
{{- with .Values.scrape.tokenSecret }}
authorization:
  type: Bearer
  credentials:
    name: {{ .name }}
    key: {{ .key }}
{{- end -}}
{{- end -}}
