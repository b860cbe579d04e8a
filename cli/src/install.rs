//! `organza install`: the control plane as objects of a cluster, on standard output or applied. The text is `deploy/organza.yaml`, which can be used as it
//! is; CRDs of our own kinds go before it. Gateway API's are never touched.

use crate::failure::{Failure, Outcome};
use clap::Args;
use control::kubernetes::{Applied, Client};
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  organza install --image registry.example.com/organza:0.1.0 | kubectl apply --server-side -f -
  organza install --image registry.example.com/organza:0.1.0 --apply
  organza install --webhook --apply     objects that are wrong in themselves are refused when they are applied";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InstallArgs {
    /// The image of the control plane and of the proxies
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// The domain of the mesh's identities
    #[arg(long, value_name = "NAME", default_value = DOMAIN)]
    trust_domain: String,
    /// Have the API server ask what is wrong with an object before it takes it; who wants it no more deletes validatingwebhookconfiguration organza first
    #[arg(long)]
    webhook: bool,
    /// Apply it to the cluster of the kubeconfig
    #[arg(long)]
    apply: bool,
    /// The kubeconfig's context
    #[arg(long, requires = "apply", value_name = "CONTEXT")]
    context: Option<String>,
}

const MANIFEST: &str = include_str!("../../deploy/organza.yaml");
const WEBHOOK: &str = include_str!("../../deploy/webhook.yaml");
/// Of the control plane; what else it is told goes after it.
const LAST_ARGUMENT: &str = "        - --replica=$(POD)\n";
pub const IMAGE: &str = "ghcr.io/organza/organza:0.1.0";
const DOMAIN: &str = "organza.local";

pub async fn run(args: InstallArgs) -> Outcome {
    let text = manifest(&args.image, &args.trust_domain, args.webhook)?;
    if !args.apply {
        print!("{text}");
        return Ok(());
    }
    let connected = control::kubernetes::connect(args.context.as_deref()).await;
    let client = connected
        .map_err(|e| Failure::problem("no cluster is reached").why(e).remedy("name a context of your kubeconfig with --context"))?;
    apply(&client, &objects(&text)?).await
}

async fn apply(client: &Client, objects: &[Value]) -> Outcome {
    let mut going = Vec::new();
    for object in objects {
        let name = format!("{} {}", object["kind"].as_str().unwrap_or_default(), object["metadata"]["name"].as_str().unwrap_or_default());
        let applied = control::kubernetes::apply(client, object).await;
        let remedy = match object["kind"] == "GatewayClass" {
            true => "install the CRDs of Gateway API, v1.6 or newer, and run this again",
            false => "see what the API server says, and run this again",
        };
        let applied = applied.map_err(|why| Failure::problem(format!("{name} is not applied")).why(why).remedy(remedy))?;
        println!("{name} applied");
        if applied == Applied::Goes {
            going.push(name);
        }
    }
    if going.is_empty() {
        return Ok(());
    }
    let remedy = "organza check --kubernetes says what holds it; when it has gone, run this again";
    Err(Failure::problem(format!("{} was deleted before, and goes when nothing holds it any more", going.join(", "))).remedy(remedy))
}

/// CRDs first: objects of their kinds may follow.
fn manifest(image: &str, trust_domain: &str, webhook: bool) -> Outcome<String> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/:@".contains(&b));
    if !plain(image) {
        return Err(Failure::usage(format!("--image {image:?} is no name of an image")));
    }
    model::TrustDomain::parse(trust_domain).map_err(|e| Failure::usage(format!("--trust-domain {trust_domain:?}")).why(e))?;
    let mut text: String = frontends::schema::own_crds().map(|crd| format!("{}\n---\n", crd.trim_end())).collect();
    text.push_str(&MANIFEST.replace(IMAGE, image).replace(&format!("--trust-domain={DOMAIN}"), &format!("--trust-domain={trust_domain}")));
    if webhook {
        text = text.replace(LAST_ARGUMENT, &format!("{LAST_ARGUMENT}        - --webhook\n"));
        text.push_str("---\n");
        text.push_str(WEBHOOK);
    }
    Ok(text)
}

/// What is installed where nothing else is asked for.
pub fn own_objects() -> Outcome<Vec<Value>> {
    objects(MANIFEST)
}

fn objects(text: &str) -> Outcome<Vec<Value>> {
    let read: Result<Vec<Value>, _> = serde_saphyr::from_multiple(text);
    let objects = read.map_err(|e| Failure::problem("the manifest cannot be read").why(e))?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

#[cfg(test)]
mod tests;
