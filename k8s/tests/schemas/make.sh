#!/usr/bin/env bash
# Makes the schemas of the objects that are not Kubernetes' own, from the types that npm's @kubernetes-models packages carry (those are
# made of the operators' Go sources), and sharpens them (sharpen.py). Only whoever wants newer versions needs to run it.
set -euo pipefail
cd "$(dirname "$0")/../../.."

keda=2.0.0 prometheus=6.0.0 secrets=2.0.0 generator=2.4.0
work=.cache/k8s-schemas
mkdir -p "$work"
printf '{"private": true, "type": "module"}\n' > "$work/package.json"
npm install --prefix "$work" --silent --no-audit --no-fund "ts-json-schema-generator@$generator" "@kubernetes-models/keda@$keda" \
  "@kubernetes-models/prometheus-operator@$prometheus" "@kubernetes-models/external-secrets@$secrets" >&2
cat > "$work/all.ts" << 'END'
export type { IScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
export type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
export type { IPodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
export type { IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
export type { IExternalSecret } from "@kubernetes-models/external-secrets/external-secrets.io/v1/ExternalSecret";
END
printf '{"compilerOptions": {"module": "nodenext", "moduleResolution": "nodenext", "target": "es2022", "strict": true, "skipLibCheck": true}, "files": ["all.ts"]}\n' > "$work/tsconfig.json"
for kind in ScaledObject ServiceMonitor PodMonitor PrometheusRule ExternalSecret; do
  (cd "$work" && npx ts-json-schema-generator --path all.ts --tsconfig tsconfig.json --type "I$kind" --no-type-check --no-top-ref -o "$kind.json")
  python3 k8s/tests/schemas/sharpen.py < "$work/$kind.json" > "k8s/tests/schemas/$kind.json"
done
