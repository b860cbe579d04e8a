//! What the mesh's processes hold, as the kernel and their own metrics say: memory over time, and descriptors, threads and tasks before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Memory may grow by so much over a run after its warm-up, whichever is more: allocators and the kernel round.
const GROWTH_BYTES: f64 = 2.0 * 1024.0 * 1024.0;
const GROWTH_SHARE: f64 = 0.05;
/// Threads that a runtime keeps for a while for what blocks.
const BLOCKING: u64 = 2;
const MIB: f64 = 1024.0 * 1024.0;

/// What one process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub name: String,
    rss: u64,
    descriptors: usize,
    threads: usize,
    /// Of its workers, where it is a proxy.
    tasks: Option<u64>,
}

pub type Look = BTreeMap<u32, Held>;

pub struct Watch {
    marker: Vec<u8>,
    begun: Instant,
    /// Seconds and bytes, by process.
    memory: BTreeMap<u32, Vec<(f64, f64)>>,
}

impl Watch {
    /// Of all processes whose environment names this home; children inherit it.
    pub fn new(home: &Path) -> Self {
        let marker = format!("XDG_STATE_HOME={}", home.display()).into_bytes();
        Self { marker, begun: Instant::now(), memory: BTreeMap::new() }
    }

    pub async fn look(&self) -> Look {
        let mut all = Look::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // A process that ended meanwhile holds nothing.
            let Some(held) = self.held(&entry.path()).await else { continue };
            all.insert(pid, held);
        }
        all
    }

    async fn held(&self, process: &Path) -> Option<Held> {
        let environment = fs::read(process.join("environ")).ok()?;
        environment.windows(self.marker.len()).any(|window| window == self.marker).then_some(())?;
        let command = String::from_utf8_lossy(&fs::read(process.join("cmdline")).ok()?).replace('\0', " ");
        let words: Vec<&str> = command.split_whitespace().collect();
        let kind = words.get(1)?.to_string();
        let config = words.iter().position(|word| *word == "--config").and_then(|at| words.get(at + 1)).map(PathBuf::from);
        let folder = config.filter(|_| kind == "proxy").and_then(|config| config.parent().map(Path::to_owned));
        let own = folder.as_ref().and_then(|folder| folder.file_name()).map(|name| name.to_string_lossy().into_owned());
        let status = fs::read_to_string(process.join("status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok())?;
        Some(Held {
            name: own.map_or(kind.clone(), |own| format!("{kind} {own}")),
            rss: rss * 1024,
            descriptors: fs::read_dir(process.join("fd")).ok()?.count(),
            threads: fs::read_dir(process.join("task")).ok()?.count(),
            tasks: match &folder {
                Some(folder) => tasks(&folder.join("admin.sock")).await,
                None => None,
            },
        })
    }

    pub async fn sample(&mut self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        for (pid, held) in self.look().await {
            self.memory.entry(pid).or_default().push((seconds, held.rss as f64));
        }
    }

    /// Looks until nothing is held that was not held before, at most so long.
    pub async fn settle(&self, before: &Look, within: Duration) -> Look {
        let end = Instant::now() + within;
        loop {
            let after = self.look().await;
            if leaks(before, &after).is_empty() || Instant::now() > end {
                return after;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Prints what each process held, and says what is wrong with it.
    pub fn verdict(&self, before: &Look, after: &Look, warm_up: f64) -> Vec<String> {
        let mut broken = leaks(before, after);
        println!(
            "{:<28} {:>11} {:>11} {:>11} {:>11} {:>15} {:>13} {:>11} {:>13}",
            "process", "MiB before", "warm", "half way", "at the end", "MiB per minute", "descriptors", "threads", "tasks"
        );
        for (pid, now) in after {
            let Some(was) = before.get(pid) else { continue };
            let samples = self.memory.get(pid).map(Vec::as_slice).unwrap_or_default();
            let judged = &samples[(samples.len() as f64 * warm_up) as usize..];
            let line = Line::through(judged);
            let tasks = |held: &Held| held.tasks.map_or_else(|| "–".to_owned(), |tasks| tasks.to_string());
            println!(
                "{:<28} {:>11.1} {:>11.1} {:>11.1} {:>11.1} {:>15.3} {:>13} {:>11} {:>13}",
                now.name,
                was.rss as f64 / MIB,
                judged.first().map_or(0.0, |(_, bytes)| bytes / MIB),
                judged.get(judged.len() / 2).map_or(0.0, |(_, bytes)| bytes / MIB),
                judged.last().map_or(0.0, |(_, bytes)| bytes / MIB),
                line.slope * 60.0 / MIB,
                format!("{} → {}", was.descriptors, now.descriptors),
                format!("{} → {}", was.threads, now.threads),
                format!("{} → {}", tasks(was), tasks(now)),
            );
            if line.growth > GROWTH_BYTES.max(line.mean * GROWTH_SHARE) {
                let (grown, mean) = (line.growth / MIB, line.mean / MIB);
                broken.push(format!("{}: memory grew by {grown:.1} MiB after its warm-up, on {mean:.1}", now.name));
            }
        }
        broken
    }
}

/// What is held after and was not before.
fn leaks(before: &Look, after: &Look) -> Vec<String> {
    let mut broken = Vec::new();
    for (pid, was) in before {
        let Some(now) = after.get(pid) else {
            broken.push(format!("{} has ended", was.name));
            continue;
        };
        let counts = [
            ("descriptors", was.descriptors as u64, now.descriptors as u64),
            ("threads", was.threads as u64 + BLOCKING, now.threads as u64),
            ("tasks", was.tasks.unwrap_or(0), now.tasks.unwrap_or(u64::from(was.tasks.is_some()) * u64::MAX)),
        ];
        let grown = counts.into_iter().filter(|(_, most, now)| now > most);
        broken.extend(grown.map(|(what, most, now)| format!("{}: {now} {what} after the load, no more than {most} before it", was.name)));
    }
    let fresh = after.iter().filter(|(pid, _)| !before.contains_key(pid));
    broken.extend(fresh.map(|(_, held)| format!("{} was not there before", held.name)));
    broken
}

/// Tasks of a proxy's workers, as its metrics say.
async fn tasks(admin: &Path) -> Option<u64> {
    let mut stream = UnixStream::connect(admin).await.ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let of_workers = text.lines().filter(|line| line.starts_with("organza_worker_tasks{"));
    let counts: Option<Vec<f64>> = of_workers.map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    counts.filter(|counts| !counts.is_empty()).map(|counts| counts.iter().sum::<f64>() as u64)
}

/// The straight line nearest to points (least squares).
#[derive(Debug, Default)]
struct Line {
    slope: f64,
    mean: f64,
    /// From the first to the last point.
    growth: f64,
}

impl Line {
    fn through(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Self::default() };
        let middle = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let over = points.iter().map(|(x, y)| (x - middle) * (y - mean)).sum::<f64>();
        let spread = points.iter().map(|(x, _)| (x - middle).powi(2)).sum::<f64>();
        let slope = if spread > 0.0 { over / spread } else { 0.0 };
        Self { slope, mean, growth: slope * (last.0 - first.0) }
    }
}
