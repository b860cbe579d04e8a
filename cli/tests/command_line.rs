//! What holds of every command: exit codes, help that teaches by examples, errors that say what to do.

use std::time::Duration;
use testkit::{Mesh, Process, free_port};

fn mesh() -> Mesh {
    Mesh::new()
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let mesh = mesh();
    assert_eq!(mesh.run(&["version"]).0, 0);
    for wrong in [
        &["nonsense"][..],
        &["logs", "--nonsense"],
        &["down", "--mesh", "No Such Name"],
        &["load", "ftp://x/"],
        &["load", "http://127.0.0.1:1/", "-c", "4097"],
        &["run"],
        &["run", "--service", "web", "--", "true"],
    ] {
        assert_eq!(mesh.run(wrong).0, 2, "{wrong:?}");
    }
    for away in [
        &["down"][..],
        &["logs"],
        &["status"],
        &["get", "edges"],
        &["run", "--", "true"],
        &["explain", "GET", "http://web/", "--from", "web"],
    ] {
        let (code, _, error) = mesh.run(away);
        assert_eq!(code, 3, "{away:?}");
        assert!(error.contains("do:  ") && error.contains("organza up"), "{error}");
    }
}

#[test]
fn explain_answers_from_files_without_a_mesh() {
    let mesh = mesh();
    let shop = "../examples/shop";
    let ask = |more: &[&str]| mesh.run(&[&["explain", "GET", "http://catalog/items", "--from", "web", "-f", shop], more].concat());
    let (code, story, error) = ask(&["-H", "x-canary: 1", "--expect", "catalog-v2"]);
    assert_eq!(code, 0, "{story}{error}");
    let (code, story, _) = ask(&[]);
    assert_eq!(code, 0);
    assert!(story.contains("90") && story.contains("catalog-v1") && story.contains("routes.yaml"), "{story}");
    assert_eq!(ask(&["--expect", "catalog-v1"]).0, 1, "a split goes elsewhere too");
    let (code, story, error) =
        mesh.run(&["explain", "GET", "http://any:8080/", "--from", "gateway/shop", "-f", shop, "--expect", "web", "-o", "json"]);
    assert_eq!(code, 0, "{story}{error}");
    let told: serde_json::Value = serde_json::from_str(&story).expect("JSON");
    assert_eq!((&told["outcome"], &told["listener"], &told["rule"]), (&"forward".into(), &"default/shop/http".into(), &"rule-0".into()));
    for (url, from, said) in [
        ("http://catalogue/", "web", "did you mean catalog?"),
        ("http://catalog:81/", "web", "service default/catalog has no port 81, only 80"),
        ("http://any/", "gateway/shop", "the gateway listens on 8080 (HTTP) only"),
        ("https://any:8080/", "gateway/shop", "port 8080 speaks no TLS"),
        ("http://any:8080/", "gateway/shops", "there is no such Gateway, but default/shop"),
    ] {
        let (code, story, error) = mesh.run(&["explain", "GET", url, "--from", from, "-f", shop]);
        assert!(code == 0 && story.contains(said), "{story}{error}");
    }
    assert_eq!(mesh.run(&["explain", "GET", "http://catalog:81/", "--from", "web", "-f", shop, "--expect", "502"]).0, 0);
    let (code, _, error) = mesh.run(&["explain", "GET", "http://catalog/", "--from", "web", "-f", "no-such-folder"]);
    assert_eq!(code, 2, "{error}");
}

#[test]
fn every_shown_command_has_examples_in_its_help() {
    let mesh = mesh();
    let (code, help, _) = mesh.run(&["--help"]);
    assert_eq!(code, 0);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"logs"), "{help}");
    for command in commands.into_iter().filter(|command| !["version", "help"].contains(command)) {
        let (code, help, _) = mesh.run(&[command, "--help"]);
        assert_eq!(code, 0);
        assert!(help.contains("Examples:\n"), "{command} teaches nothing:\n{help}");
    }
}

#[test]
fn the_sample_names_itself_its_upstreams_and_their_failures() {
    let mesh = mesh();
    let (web, catalog) = (free_port(), free_port());
    let upstream = format!("http://127.0.0.1:{catalog}/items");
    let _web = Process::start(mesh.organza(&["sample", "--name", "web", "--port", &web.to_string(), "--upstream", &upstream]));
    let mut below = Process::start(mesh.organza(&["sample", "--name", "catalog", "--version", "v2", "--port", &catalog.to_string()]));
    let url = format!("http://127.0.0.1:{web}/");
    testkit::process::eventually("web and catalog answer", Duration::from_secs(10), || {
        mesh.run(&["load", &url, "--for", "200ms", "-c", "1"]).0 == 0
    });
    let (code, summary, _) = mesh.run(&["load", &url, "--for", "1s", "--rate", "50"]);
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("a JSON object");
    assert_eq!((code, &summary["failed"]), (0, &serde_json::json!(0)), "{summary}");
    assert!(summary["requests"].as_u64().is_some_and(|n| (40..=52).contains(&n)), "{summary}");

    below.stop(Duration::from_secs(10));
    let (code, summary, _) = mesh.run(&["load", &url, "--for", "300ms", "--rate", "50"]);
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("a JSON object");
    assert_eq!(code, 1, "{summary}");
    assert_eq!(summary["succeeded"], 0, "{summary}");
    assert_eq!(summary["statuses"]["502"], summary["requests"], "{summary}");
}

#[test]
fn completions_end_quietly_with_their_reader() {
    // A pipe whose reader is gone before anything is written: what is written first decides nothing.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = mesh().organza(&["completions", "bash"]).stdout(writer).stderr(std::process::Stdio::piped()).spawn().expect("organza");
    let ended = ended.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(141), ""));
}
