//! What the user of the world wants, and the file that says so.

use crate::mesh::HTTP;
use crate::random::Random;

pub struct Wish {
    /// Shares of the two versions.
    pub weights: (u32, u32),
    /// Of both versions, where there is one.
    pub policy: Option<Policy>,
    /// What a policy of access for all of the namespace does with web; `Allow` denies all others.
    pub access: Option<&'static str>,
}

impl Default for Wish {
    fn default() -> Self {
        Self { weights: (50, 50), policy: None, access: None }
    }
}

/// A policy that may make requests wait and keeps endpoints out, and under which none need be lost.
#[derive(Debug)]
pub struct Policy {
    balancer: &'static str,
    parallel: u64,
    /// The breaker opens where every request fails, which never happens to both replicas at once.
    breaker: bool,
    /// Failures in a row, seconds.
    ejection: Option<(u64, u64)>,
    slow_start: Option<u64>,
}

impl Policy {
    pub fn draw(random: &mut Random) -> Self {
        Self {
            balancer: *random.one_of(&["PeakEwma", "LeastRequest", "RoundRobin", "ConsistentHash"]),
            parallel: *random.one_of(&[1, 2, 4, 200]),
            breaker: random.chance(50),
            ejection: random.chance(60).then(|| (random.within(1, 5), random.within(1, 10))),
            slow_start: random.chance(30).then(|| random.within(1, 5)),
        }
    }

    fn spec(&self) -> String {
        let mut spec = format!("  loadBalancer:\n    type: {}\n", self.balancer);
        if self.balancer == "ConsistentHash" {
            spec += "    consistentHash: {type: Header, header: {name: x-id}}\n";
        }
        if let Some(seconds) = self.slow_start {
            spec += &format!("    slowStart: {{window: {seconds}s}}\n");
        }
        spec += &format!("  circuitBreaker:\n    maxParallelRequests: {}\n    maxPendingRequests: 64\n", self.parallel);
        if self.breaker {
            spec += "    failureRate: {threshold: 100, minimumRequests: 20}\n";
        }
        if let Some((failures, seconds)) = self.ejection {
            spec += &format!(
                "  healthCheck:\n    passive: {{consecutive5XxErrors: {failures}, consecutiveLocalOriginFailures: {failures}, \
                 baseEjectionTime: {seconds}s, maxEjectionPercent: 50}}\n"
            );
        }
        spec
    }
}

impl Wish {
    pub fn yaml(&self) -> String {
        let (v1, v2) = self.weights;
        let mut all = format!(
            "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  gatewayClassName: organza
  listeners: [{{name: http, port: {HTTP}, protocol: HTTP}}]
---
apiVersion: v1
kind: Service
metadata: {{name: catalog, namespace: shop}}
spec: {{selector: {{app: catalog}}, ports: [{{port: 80, targetPort: http}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: catalog, namespace: shop}}
spec:
  parentRefs: [{{name: edge}}, {{group: '', kind: Service, name: catalog}}]
  rules:
  - backendRefs: [{{name: catalog-v1, port: 80, weight: {v1}}}, {{name: catalog-v2, port: 80, weight: {v2}}}]
"
        );
        if let Some(policy) = &self.policy {
            all += "---\napiVersion: organza.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: careful, namespace: shop}\nspec:\n";
            all += "  targetRefs: [{group: '', kind: Service, name: catalog-v1}, {group: '', kind: Service, name: catalog-v2}]\n";
            all += &policy.spec();
        }
        if let Some(action) = self.access {
            all += &format!(
                "---\napiVersion: organza.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
                 targetRefs: [{{kind: Namespace, name: shop}}]\n  action: {action}\n  \
                 rules: [{{sources: [{{type: ServiceAccount, serviceAccount: {{name: web}}}}]}}]\n"
            );
        }
        all
    }
}
