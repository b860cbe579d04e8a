use super::*;
use crate::upgrade::{RELEASE, ask, desk::Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const LIVES: &str = "trap 'exit 0' TERM; echo $$ > \"$0\"; while :; do sleep 0.05; done";
const TIME: Duration = Duration::from_secs(20);

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("organza-pod-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    folder
}

/// A proxy that writes its number into a file, or does something else.
fn script(text: &str, file: &Path) -> Program {
    let command = vec!["/bin/sh".into(), "-c".into(), text.into(), file.into()];
    Program { name: "edge".into(), command, environment: Vec::new(), log: None, restart: Restart::Never, patience: TIME }
}

fn pod(folder: &Path, first: &str, next: &str) -> Pod {
    let proxy = Supervised::start(script(first, &folder.join("first"))).expect("started");
    Pod { proxy, admin: Client::admin(&folder.join("admin.sock"), "edge"), succeeded: script(next, &folder.join("next")) }
}

/// Says that whoever wrote its number into the file serves.
fn answering(folder: &Path) {
    let listener = UnixListener::bind(folder.join("admin.sock")).expect("a socket");
    let file = folder.join("next");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let pid: u32 = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            let body = format!("{{\"pid\": {pid}, \"release\": \"9\", \"serving\": true, \"took_over\": \"its doors\"}}");
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}", body.len());
            let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
        }
    });
}

/// What becomes of one question, while the pod is kept.
async fn asked(pod: &Pod, folder: &Path) -> Outcome {
    let mut desk = Desk::at(folder.join("pod.sock")).expect("a desk");
    let mut lifeline = Lifeline::new(false).expect("signals");
    let request = Request { program: "organza".into(), release: RELEASE.into() };
    let socket = folder.join("pod.sock");
    tokio::select! {
        ended = pod.keep(&mut desk, &mut lifeline, || 2) => panic!("the pod ended: {ended:?}"),
        told = tokio::time::timeout(TIME, ask(&socket, &request)) => told.expect("in time"),
    }
}

fn pid(pod: &Pod) -> Option<u32> {
    use crate::supervise::State::Running;
    if let Running { pid } = *pod.proxy.state.borrow() { Some(pid) } else { None }
}

#[tokio::test]
async fn who_is_asked_for_takes_over_and_is_kept_and_the_elder_goes_on() {
    let folder = folder("asked");
    let pod = pod(&folder, LIVES, LIVES);
    answering(&folder);
    let first = pid(&pod).expect("it runs");
    asked(&pod, &folder).await.expect("it took over");
    let next: u32 = std::fs::read_to_string(folder.join("next")).expect("it began").trim().parse().expect("a number");
    assert_eq!(pid(&pod), Some(next));
    assert!(Path::new(&format!("/proc/{first}")).exists(), "the elder has connections to end");
    pod.proxy.stop().await;
    assert!(![first, next].iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()), "both end with the pod");
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn a_successor_that_ends_changes_nothing_and_who_asked_is_told() {
    let folder = folder("fails");
    let pod = pod(&folder, LIVES, "exit 1");
    let first = pid(&pod);
    let failure = asked(&pod, &folder).await.expect_err("nobody took over");
    assert!(failure.to_string().contains("the one before goes on"), "{failure}");
    assert_eq!(pid(&pod), first);
    pod.proxy.stop().await;
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn a_pod_that_may_use_more_processors_has_another_process_with_more_workers() {
    let folder = folder("resized");
    let pod = pod(&folder, LIVES, LIVES);
    answering(&folder);
    let mut desk = Desk::at(folder.join("pod.sock")).expect("a desk");
    let mut lifeline = Lifeline::new(false).expect("signals");
    let (first, looks) = (pid(&pod), std::cell::Cell::new(0));
    let processors = || {
        looks.set(looks.get() + 1);
        if looks.get() == 1 { 2 } else { 4 }
    };
    let mut state = pod.proxy.state.clone();
    let other = async { state.wait_for(|_| pid(&pod) != first).await.map(drop) };
    tokio::select! {
        ended = pod.keep(&mut desk, &mut lifeline, processors) => panic!("the pod ended: {ended:?}"),
        told = tokio::time::timeout(TIME, other) => told.expect("in time").expect("told"),
    }
    pod.proxy.stop().await;
    std::fs::remove_dir_all(folder).expect("cleaned");
}

#[tokio::test]
async fn a_proxy_that_ends_by_itself_ends_the_container() {
    let folder = folder("ends");
    let pod = pod(&folder, "exit 3", LIVES);
    let mut desk = Desk::at(folder.join("pod.sock")).expect("a desk");
    let mut lifeline = Lifeline::new(false).expect("signals");
    let ended = tokio::time::timeout(TIME, pod.keep(&mut desk, &mut lifeline, || 2)).await.expect("in time");
    assert!(ended.expect_err("a failure").what.contains("proxy ended"));
    std::fs::remove_dir_all(folder).expect("cleaned");
}
