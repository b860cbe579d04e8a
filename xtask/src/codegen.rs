//! `cargo xtask codegen [--check]`: Rust from `wire/proto`, checked in under `wire/src/gen`, so that no build needs a protobuf compiler.
//! The compiler itself is behind the feature `codegen`; without it this chore says how to run it. Never knows what the messages mean.

use anyhow::Result;

#[cfg(not(feature = "codegen"))]
pub fn run(_arguments: &[String]) -> Result<()> {
    anyhow::bail!("run it as `cargo run -p xtask --features codegen -- codegen [--check]`")
}

#[cfg(feature = "codegen")]
pub fn run(arguments: &[String]) -> Result<()> {
    use anyhow::{Context, bail};
    let target = crate::root().join("wire/src/gen");
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("codegen takes --check or nothing"),
    };
    let made = generate()?;
    let mut stale = Vec::new();
    for (name, text) in &made {
        let path = target.join(name);
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        if old != *text {
            stale.push(name.as_str());
            if !check {
                std::fs::create_dir_all(&target)?;
                std::fs::write(&path, text).with_context(|| path.display().to_string())?;
            }
        }
    }
    for entry in std::fs::read_dir(&target)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if !made.iter().any(|(made, _)| *made == name) {
            if check {
                bail!("wire/src/gen/{name} comes from no .proto");
            }
            std::fs::remove_file(path)?;
        }
    }
    match check && !stale.is_empty() {
        true => bail!("wire/src/gen is older than wire/proto: {}", stale.join(", ")),
        false => {
            println!("codegen: {} files, {} changed", made.len(), stale.len());
            Ok(())
        }
    }
}

#[cfg(feature = "codegen")]
fn generate() -> Result<Vec<(String, String)>> {
    let proto = crate::root().join("wire/proto");
    let files = [
        "organza/wire/v1/resource.proto",
        "organza/wire/v1/certificates.proto",
        "organza/wire/v1/telemetry.proto",
        "organza/wire/v1/preface.proto",
        "organza/wire/v1/snapshot.proto",
        "envoy/service/discovery/v3/discovery.proto",
    ];
    let set = protox::compile(files, [&proto])?;
    let out = crate::root().join("target/codegen");
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out)?;
    let mut config = prost_build::Config::new();
    // `Bytes` share one encoding among all proxies; maps in order make encodings deterministic.
    config
        .bytes(["."])
        .btree_map(["."])
        .compile_well_known_types()
        .skip_debug([".organza.wire.v1.Certificate", ".organza.wire.v1.JoinRequest"]);
    tonic_prost_build::configure().out_dir(&out).include_file("mod.rs").compile_fds_with_config(set, config)?;
    let mut made = Vec::new();
    for entry in std::fs::read_dir(&out)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        crate::process::output("rustfmt", &["--edition", "2024", "--config", "skip_children=true", &path.display().to_string()]).ok();
        made.push((name, std::fs::read_to_string(&path)?));
    }
    made.sort();
    Ok(made)
}
