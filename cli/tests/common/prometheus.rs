//! Debian's Prometheus beside a mesh, scraping each second.

use super::{answers, get, json};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use testkit::{Process, free_port};

pub struct Prometheus {
    address: String,
    _process: Process,
}

impl Prometheus {
    pub fn start(home: &Path, targets: &[u16]) -> Self {
        let port = free_port();
        let targets: Vec<String> = targets.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let config = serde_json::json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "organza", "static_configs": [{"targets": targets}]}],
        });
        let file = home.join("prometheus.yaml");
        std::fs::write(&file, config.to_string()).expect("written");
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", home.join("tsdb").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(command);
        answers(&address, "/-/ready HTTP/1.0");
        Self { address, _process: process }
    }

    fn found(&self, query: &str) -> Vec<Value> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (status, answer) = get(&self.address, &format!("/api/v1/query?query={escaped} HTTP/1.0"));
        assert_eq!(status, 200, "{query}: {answer}");
        let answer = json(answer.split_once("\r\n\r\n").expect("a body").1);
        answer["data"]["result"].as_array().expect("a result").clone()
    }

    /// The values that a query finds.
    pub fn ask(&self, query: &str) -> Vec<f64> {
        self.found(query).iter().map(|one| number(&one["value"][1])).collect()
    }

    /// Every sample of the last minutes, of each series that a selector finds.
    fn samples(&self, selector: &str) -> Vec<Vec<f64>> {
        let found = self.found(&format!("{selector}[10m]"));
        found.iter().map(|one| one["values"].as_array().expect("samples").iter().map(|sample| number(&sample[1])).collect()).collect()
    }

    /// By how much these counters rose between samples; one that fell began anew.
    pub fn increases(&self, selector: &str) -> f64 {
        let rise = |pair: &[f64]| if pair[1] >= pair[0] { pair[1] - pair[0] } else { pair[1] };
        self.samples(selector).iter().map(|samples| samples.windows(2).map(rise).sum::<f64>()).sum()
    }

    /// What they began with.
    pub fn firsts(&self, selector: &str) -> f64 {
        self.samples(selector).iter().map(|samples| samples[0]).sum()
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().expect("a value").parse().expect("a number")
}
