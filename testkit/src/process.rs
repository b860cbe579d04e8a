//! Real processes, started with a state folder of their own and ended when dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A program under test: its output is collected, it can be signalled, and it does not outlive the test.
pub struct Process {
    child: Child,
    output: Arc<(Mutex<String>, Condvar)>,
    name: String,
}

impl Process {
    /// # Panics
    /// If the program cannot be started.
    pub fn start(mut command: Command) -> Self {
        let name = format!("{:?}", command.get_program());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let output = Arc::new((Mutex::new(String::new()), Condvar::new()));
        collect(child.stdout.take(), &output);
        collect(child.stderr.take(), &output);
        Self { child, output, name }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it printed so far, both streams as they came.
    pub fn output(&self) -> String {
        self.output.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the output holds `text`.
    ///
    /// # Panics
    /// If it does not within the time, with the output.
    pub fn wait_for(&self, text: &str, within: Duration) {
        let end = Instant::now() + within;
        let mut output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !output.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{}: no {text:?} within {within:?}; it printed:\n{output}", self.name);
            output = self.output.1.wait_timeout(output, left.min(Duration::from_millis(200))).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a signal by name (`TERM`, `INT`, `KILL`, `STOP`, `CONT`).
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end within the time, with the output; it is killed then.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                panic!("{} did not end within {within:?}; it printed:\n{}", self.name, self.output());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Ends it as Ctrl-C would and waits; kills it where that does not help.
    pub fn stop(&mut self, within: Duration) -> Option<ExitStatus> {
        self.signal("INT");
        let end = Instant::now() + within;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.stop(Duration::from_secs(10));
        }
    }
}

fn collect(stream: Option<impl Read + Send + 'static>, output: &Arc<(Mutex<String>, Condvar)>) {
    let Some(stream) = stream else { return };
    let output = output.clone();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            output.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
            output.1.notify_all();
            line.clear();
        }
    });
}

/// The program under test. Asked when the test runs: clones share one build folder, and what a test was compiled with may be another's.
///
/// # Panics
/// If cargo does not run this test, or it is not a test of the crate that makes `organza`.
pub fn organza() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_organza").map(PathBuf::from).expect("cargo names the organza that it built")
}

/// A place for a mesh of the test's own: state and configuration folders, and the `organza` binary.
pub struct Mesh {
    binary: PathBuf,
    home: tempfile::TempDir,
}

impl Mesh {
    /// # Panics
    /// If no temporary folder can be made, or no `organza` was built for this test.
    #[allow(clippy::new_without_default, reason = "it makes a folder and may fail")]
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("ogz").tempdir().expect("a temporary folder");
        std::fs::create_dir_all(home.path().join("config")).expect("a configuration folder");
        Self { binary: organza(), home }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder for YAML files.
    pub fn config(&self) -> PathBuf {
        self.home.path().join("config")
    }

    /// Writes a file of the configuration as an editor does: whole, by rename.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let to = self.config().join(name);
        let temporary = self.home.path().join(format!(".{name}.new"));
        std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &to)).expect("configuration is written");
    }

    /// `organza ARGS`, with this mesh's state and a clean environment as far as proxies and colours go.
    pub fn organza(&self, args: &[&str]) -> Command {
        self.by(&self.binary, args)
    }

    /// The same by another program, of another release maybe.
    pub fn by(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env("XDG_STATE_HOME", self.home.path().join("state")).env("NO_COLOR", "1");
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    ///
    /// # Panics
    /// If it does not end within a minute.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = self.organza(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("organza starts");
        let id = child.id();
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let output = match ended.recv_timeout(Duration::from_secs(60)) {
            Ok(output) => output.expect("organza's output can be read"),
            Err(_) => {
                let _ = Command::new("kill").args(["-s", "KILL", &id.to_string()]).status();
                panic!("organza {args:?} did not end within a minute");
            }
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }
}

/// Waits until `check` holds.
///
/// # Panics
/// If it does not within the time.
pub fn eventually(what: &str, within: Duration, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !check() {
        assert!(Instant::now() < end, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
