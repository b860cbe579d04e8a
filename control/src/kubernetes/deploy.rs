//! What a Gateway of ours is made of in a cluster: pure, from the Gateway and its listeners. A ServiceAccount that is its identity, a ConfigMap with the
//! roots by which its proxies believe the control plane, a Deployment of proxies with a disruption budget, and a Service before them. All are owned by the
//! Gateway, so that they go when it does. Numbers that others may set (replicas) are left to them.

use super::addresses;
use frontends::Object;
use frontends::kubernetes::{fnv, label};
use frontends::organza::settings::deployed::Deployed;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Says whose the proxies are; the specification's own label (GEP-1762).
pub const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
const CLASS_LABEL: &str = "gateway.networking.k8s.io/gateway-class-name";
/// Longest name of a Service.
const NAME: usize = 63;
/// Who proxies run as: nobody in particular.
pub const USER: u32 = 65_532;
/// Where proxies show their metrics, as the control plane does; the next port that no listener has, where one has this.
const METRICS: u16 = 15_014;
/// Whom the tokens of pods are for.
pub const AUDIENCE: &str = "organza";

/// What is the same for all Gateways.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub mesh: String,
    pub trust_domain: String,
    pub image: String,
    /// `LoadBalancer`, `NodePort` or `ClusterIP`.
    pub service_type: String,
    /// Where proxies find the control plane.
    pub control: String,
    /// PEM.
    pub roots: String,
}

/// A port that proxies open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub number: u16,
    pub is_udp: bool,
}

/// The name of what is made for a Gateway: `NAME-CLASS` where that can name a Service, else the like, with a hash that keeps two apart.
pub fn name(gateway: &Object) -> String {
    let class = gateway.at("/spec/gatewayClassName").as_str().unwrap_or("");
    let whole = format!("{}-{class}", gateway.object.name);
    let is_label = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if whole.len() <= NAME && is_label(&whole) && whole.starts_with(|c: char| c.is_ascii_lowercase()) {
        return whole;
    }
    let plain: String = whole.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    let short: String = plain.chars().take(NAME - "gw--12345678".len()).collect();
    format!("gw-{}-{:08x}", short.trim_end_matches('-'), fnv(&whole))
}

/// The service account of a Gateway's proxies; the registry knows gateways by it.
pub fn service_account(gateway: &Object) -> String {
    format!("gateway-{}", gateway.object.name)
}

/// All of it, in the order in which it is applied. Without a port there is no Service yet: Kubernetes has none without.
pub fn objects(gateway: &Object, uid: &str, ports: &BTreeSet<Port>, settings: &Settings, asked: &Deployed) -> Vec<Value> {
    let is_free = |port: &u16| !ports.contains(&Port { number: *port, is_udp: false });
    let metrics = (METRICS..=u16::MAX).find(is_free);
    let made = Made { gateway, uid, settings, asked, name: name(gateway), metrics };
    let mut all = vec![made.service_account(), made.config_map(), made.deployment()];
    all.extend((!ports.is_empty()).then(|| made.service(ports)));
    all.push(made.disruption_budget());
    all
}

struct Made<'a> {
    gateway: &'a Object,
    uid: &'a str,
    settings: &'a Settings,
    /// By GatewayParameters.
    asked: &'a Deployed,
    name: String,
    metrics: Option<u16>,
}

impl Made<'_> {
    fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": &*self.gateway.object.namespace,
            "labels": self.labels(),
            "annotations": self.gateway.at("/spec/infrastructure/annotations").as_object().cloned().unwrap_or_default(),
            "ownerReferences": [{
                "apiVersion": self.gateway.api_version, "kind": "Gateway", "name": &*self.gateway.object.name, "uid": self.uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        })
    }

    fn labels(&self) -> Map<String, Value> {
        let mut labels = self.gateway.at("/spec/infrastructure/labels").as_object().cloned().unwrap_or_default();
        labels.extend(self.selector());
        labels.insert(CLASS_LABEL.into(), label(self.gateway.at("/spec/gatewayClassName").as_str().unwrap_or("")).into());
        labels.insert("app.kubernetes.io/managed-by".into(), "organza".into());
        labels
    }

    fn selector(&self) -> Map<String, Value> {
        [(GATEWAY_LABEL.to_owned(), Value::from(label(&self.gateway.object.name)))].into_iter().collect()
    }

    fn service_account(&self) -> Value {
        let metadata = self.metadata(&service_account(self.gateway));
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": false})
    }

    fn config_map(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(&self.name), "data": {"roots.crt": self.settings.roots}})
    }

    fn deployment(&self) -> Value {
        // Of pods alone: by the Service a scraper would reach any of them.
        let mut annotations: Map<String, Value> = self
            .metrics
            .iter()
            .flat_map(|port| [("prometheus.io/scrape", "true".into()), ("prometheus.io/port", port.to_string().into())])
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        annotations.extend(self.gateway.at("/spec/infrastructure/annotations").as_object().cloned().unwrap_or_default());
        let mut deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": self.metadata(&self.name),
            "spec": {
                "selector": {"matchLabels": self.selector()},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": {"metadata": {"labels": self.labels(), "annotations": annotations}, "spec": self.pod()},
            },
        });
        // Else they are others' to set.
        if let Some(replicas) = self.asked.deployment.get("replicas") {
            deployment["spec"]["replicas"] = replicas.clone();
        }
        deployment
    }

    /// Whoever empties machines takes one proxy after another.
    fn disruption_budget(&self) -> Value {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": self.metadata(&self.name),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": self.selector()}},
        })
    }

    fn pod(&self) -> Value {
        let mut pod = json!({
            "serviceAccountName": service_account(self.gateway),
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 60,
            // Ports below 1024 without a privilege: each pod has a network of its own.
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            // One machine that is lost does not take all of them, where there are others. Those that are on their way out in a rolling update do not count.
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": self.selector()}, "matchLabelKeys": ["pod-template-hash"],
            }],
            "containers": [self.container()],
            "volumes": [
                // Its own state and a file of access log lines, as large as a policy may have it.
                {"name": "state", "emptyDir": {"sizeLimit": "2Gi"}},
                {"name": "roots", "configMap": {"name": self.name}},
                {"name": "token", "projected": {"sources": [
                    {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"}},
                ]}},
            ],
        });
        for field in ["nodeSelector", "tolerations", "priorityClassName"] {
            if let Some(value) = self.asked.deployment.get(field) {
                pod[field] = value.clone();
            }
        }
        pod
    }

    fn container(&self) -> Value {
        let Settings { mesh, trust_domain, image, control, .. } = self.settings;
        let probe = json!({"exec": {"command": ["organza", "probe", "--socket", "/state/admin.sock"]}});
        let ready = json!({"exec": probe["exec"], "periodSeconds": 2, "timeoutSeconds": 5});
        let mut args = json!([
            "gateway",
            "--mesh",
            mesh,
            "--trust-domain",
            trust_domain,
            "--control",
            control,
            "--gateway",
            &*self.gateway.object.name,
            "--pod",
            "$(POD)",
            "--namespace",
            "$(NAMESPACE)",
            "--node",
            "$(NODE)",
            "--roots",
            "/roots/roots.crt",
            "--token",
            "/token/token",
            "--state",
            "/state",
        ]);
        if let (Some(args), Some(port)) = (args.as_array_mut(), self.metrics) {
            args.extend(["--metrics".into(), format!("0.0.0.0:{port}").into()]);
        }
        json!({
            "name": "proxy",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "args": args,
            "ports": self.metrics.iter().map(|port| json!({"name": "metrics", "containerPort": port, "protocol": "TCP"})).collect::<Vec<_>>(),
            "env": [field("POD", "metadata.name"), field("NAMESPACE", "metadata.namespace"), field("NODE", "spec.nodeName")],
            "readinessProbe": ready,
            "resources": self.asked.deployment.get("resources").cloned().unwrap_or_else(|| json!({"requests": {"cpu": "50m", "memory": "64Mi"}})),
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "state", "mountPath": "/state"},
                {"name": "roots", "mountPath": "/roots", "readOnly": true},
                {"name": "token", "mountPath": "/token", "readOnly": true},
            ],
        })
    }

    fn service(&self, ports: &BTreeSet<Port>) -> Value {
        let port = |port: &Port| {
            let (word, protocol) = if port.is_udp { ("udp", "UDP") } else { ("tcp", "TCP") };
            json!({"name": format!("{word}-{}", port.number), "port": port.number, "targetPort": port.number, "protocol": protocol})
        };
        let asked = &self.asked.service;
        let mut spec = json!({
            "type": asked.get("type").cloned().unwrap_or_else(|| self.settings.service_type.as_str().into()),
            "selector": self.selector(),
            "ports": ports.iter().map(port).collect::<Vec<_>>(),
        });
        // More than was asked for would let in those from outside.
        if addresses::is_inner(self.gateway) {
            spec["type"] = "ClusterIP".into();
        }
        // Asked for; whether it is given, the Service's status says.
        if let Some(wanted) = addresses::wanted(self.gateway).next() {
            spec["loadBalancerIP"] = wanted.into();
        }
        // A class and a Gateway may say together what neither says alone, and a Service that is refused would take its ports along.
        let is_balancer = spec["type"] == "LoadBalancer";
        let fitting = [
            ("externalTrafficPolicy", spec["type"] != "ClusterIP"),
            ("loadBalancerClass", is_balancer),
            ("loadBalancerSourceRanges", is_balancer),
        ];
        for (field, fits) in fitting {
            if let Some(value) = asked.get(field).filter(|_| fits) {
                spec[field] = value.clone();
            }
        }
        let mut metadata = self.metadata(&self.name);
        if let (Some(annotations), Some(more)) =
            (metadata["annotations"].as_object_mut(), asked.get("annotations").and_then(Value::as_object))
        {
            annotations.extend(more.clone());
        }
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    }
}

fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

#[cfg(test)]
mod tests;
