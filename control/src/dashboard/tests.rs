//! The door as a browser meets it: every refusal, and what an answer carries.

use super::*;
use axum::http::Request as Question;
use tower::ServiceExt;

const HERE: &str = "127.0.0.1:4711";

fn desk() -> Arc<Desk> {
    Arc::new(Desk::new(Some([7; 32]), HERE.parse().unwrap()).unwrap())
}

fn answers() -> Router {
    Router::new().route("/v1/status", get(async || "the mesh"))
}

/// Below the mount unless it begins with two slashes.
async fn ask(desk: &Arc<Desk>, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let path = path.strip_prefix("//").map_or_else(|| format!("/{}{path}", desk.mount), |rest| format!("/{rest}"));
    let mut question = Question::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        question = question.header("host", HERE);
    }
    for (name, value) in headers {
        question = question.header(*name, *value);
    }
    let answer = router(desk.clone(), answers()).oneshot(question.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
}

fn code(desk: &Desk) -> String {
    desk.link(Role::Viewer, seconds(now())).unwrap().url.rsplit_once("code=").unwrap().1.to_owned()
}

async fn cookie(desk: &Arc<Desk>) -> String {
    let (status, headers, _) = ask(desk, "GET", &format!("/enter?code={}", code(desk)), &[]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let set = headers["set-cookie"].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", &format!("Path=/{}/", desk.mount)] {
        assert!(set.contains(part), "{set}");
    }
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_lets_one_browser_in_once_and_its_cookie_all_the_way() {
    let desk = desk();
    let link = desk.link(Role::Viewer, seconds(now())).unwrap();
    assert!(link.url.starts_with(&format!("http://{HERE}/{}/enter?code=", desk.mount)), "{}", link.url);
    let cookie = cookie(&desk).await;
    for path in ["/", "/app.js", "/app.css", "/icon.svg", "/v1/status"] {
        let (status, headers, body) = ask(&desk, "GET", path, &[("cookie", &cookie)]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(!body.is_empty(), "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(
            (headers["referrer-policy"].as_bytes(), headers["x-content-type-options"].as_bytes()),
            (&b"no-referrer"[..], &b"nosniff"[..])
        );
    }
    let used = code(&desk);
    assert_eq!(ask(&desk, "GET", &format!("/enter?code={used}"), &[]).await.0, StatusCode::SEE_OTHER);
    assert_eq!(ask(&desk, "GET", &format!("/enter?code={used}"), &[]).await.0, StatusCode::UNAUTHORIZED);
    // Another process of this mesh, after a restart.
    assert_eq!(ask(&self::desk(), "GET", "/v1/status", &[("cookie", &cookie)]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_was_not_let_in_learns_nothing() {
    let desk = desk();
    let stranger = format!("{COOKIE}={}", "A".repeat(64));
    let other = Desk::new(Some([8; 32]), HERE.parse().unwrap()).unwrap();
    let foreign = other.redeem(&code(&other), seconds(now())).unwrap();
    let foreign = foreign.split(';').next().unwrap();
    for path in ["/", "/app.js", "/v1/status", "/enter", "/enter?code=", "/enter?code=AAAA", "//", "//v1/status", "/v1/registrations"] {
        for headers in [&[][..], &[("cookie", &*stranger)], &[("cookie", foreign)], &[("cookie", "organza=")]] {
            let (status, headers, body) = ask(&desk, "GET", path, headers).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(!body.contains("the mesh") && !headers.contains_key("set-cookie"), "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn pages_of_others_and_names_that_others_point_here_are_refused() {
    let desk = desk();
    let cookie = cookie(&desk).await;
    for (name, value) in [
        ("host", "evil.example:4711"),
        ("host", "127.0.0.1:4712"),
        ("host", "127.0.0.1"),
        ("origin", "http://evil.example"),
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "null"),
        ("origin", "https://127.0.0.1:4711"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let (status, _, body) = ask(&desk, "GET", "/v1/status", &[("cookie", &cookie), (name, value)]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(!body.contains("the mesh"));
    }
    let ours = [("cookie", &*cookie), ("host", "localhost:4711"), ("origin", "http://localhost:4711"), ("sec-fetch-site", "same-origin")];
    assert_eq!(ask(&desk, "GET", "/v1/status", &ours).await.0, StatusCode::OK);
}

/// The cookie of a browser that was let in as this.
fn bearing(desk: &Desk, role: Role) -> String {
    let link = desk.link(role, seconds(now())).unwrap();
    let set = desk.redeem(link.url.rsplit_once("code=").unwrap().1, seconds(now())).unwrap();
    set.split(';').next().unwrap().to_owned()
}

/// Every question of the API, with the least role that may ask it; `None` for what no browser may.
const TABLE: &[(&str, &str, Option<Role>)] = &[
    ("GET", "/v1/status", Some(Role::Viewer)),
    ("GET", "/v1/objects?manifests=true", Some(Role::Viewer)),
    ("GET", "/v1/proxies", Some(Role::Viewer)),
    ("GET", "/v1/services", Some(Role::Viewer)),
    ("GET", "/v1/routes", Some(Role::Viewer)),
    ("GET", "/v1/edges", Some(Role::Viewer)),
    ("GET", "/v1/calls", Some(Role::Viewer)),
    ("GET", "/v1/graph?seconds=60", Some(Role::Viewer)),
    ("GET", "/v1/workloads", Some(Role::Viewer)),
    ("GET", "/v1/problems", Some(Role::Viewer)),
    ("GET", "/v1/events/past", Some(Role::Viewer)),
    ("GET", "/v1/flows", Some(Role::Viewer)),
    ("GET", "/v1/traces", Some(Role::Viewer)),
    ("GET", "/v1/certificates", Some(Role::Viewer)),
    ("GET", "/v1/roots", Some(Role::Viewer)),
    ("GET", "/v1/history?node=a", Some(Role::Viewer)),
    ("GET", "/v1/history/long?node=a", Some(Role::Viewer)),
    ("GET", "/v1/page", Some(Role::Viewer)),
    ("GET", "/v1/events", Some(Role::Viewer)),
    ("GET", "/v1/traces/0af7651916cd43dd8448eb211c80319c", Some(Role::Viewer)),
    ("GET", "/v1/requests?id=r-1", Some(Role::Viewer)),
    ("GET", "/app.js", Some(Role::Viewer)),
    ("GET", "/v1/tap?from=web", Some(Role::Tapper)),
    ("GET", "/v1/proxies/web-1/resources", Some(Role::Operator)),
    ("GET", "/v1/logs?of=web-1", Some(Role::Operator)),
    ("POST", "/v1/diff", Some(Role::Operator)),
    ("GET", "/v1/tokens", Some(Role::Admin)),
    ("POST", "/v1/tokens", Some(Role::Admin)),
    ("DELETE", "/v1/tokens/abc", Some(Role::Admin)),
    ("POST", "/v1/roots/rotate", Some(Role::Admin)),
    ("POST", "/v1/dashboard?role=admin", Some(Role::Admin)),
    ("GET", "/v1/what-a-later-release-tells", None),
    ("GET", "/v1/tap/", None),
    ("POST", "/v1/registrations", None),
    ("PUT", "/v1/registrations/web-1", None),
    ("DELETE", "/v1/registrations/web-1", None),
    ("POST", "/v1/sign", None),
    ("PATCH", "/v1/status", None),
    ("POST", "/v1/status", None),
    ("OPTIONS", "/v1/status", None),
];

#[tokio::test]
async fn each_role_may_what_the_table_says_and_no_more() {
    let desk = desk();
    // What is behind answers everything: who is refused is refused by his role.
    let behind = Router::new().route("/v1/{*rest}", axum::routing::any(async || "the mesh"));
    for role in Role::ALL {
        let cookie = bearing(&desk, role);
        for (method, path, least) in TABLE {
            let question = Question::builder().method(*method).uri(format!("/{}{path}", desk.mount)).header("host", HERE);
            let question = question.header("origin", format!("http://{HERE}")).header("cookie", &cookie).body(Body::empty()).unwrap();
            let answer = router(desk.clone(), behind.clone()).oneshot(question).await.unwrap();
            let want = match least {
                Some(least) if role >= *least => StatusCode::OK,
                Some(_) => StatusCode::FORBIDDEN,
                None => StatusCode::METHOD_NOT_ALLOWED,
            };
            assert_eq!(answer.status(), want, "{role:?} {method} {path}");
        }
    }
}

#[tokio::test]
async fn what_changes_something_is_asked_by_our_own_page_alone() {
    let desk = desk();
    let cookie = bearing(&desk, Role::Admin);
    for origin in [None, Some("http://evil.example"), Some("http://127.0.0.1:8080"), Some("null")] {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let (status, _, _) = ask(&desk, "POST", "/v1/roots/rotate", &headers).await;
        assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED), "{origin:?}: {status}");
    }
    // That it was tried is written down, with who had the cookie.
    let tried = |path: &str, cookie: &str| {
        let request = Question::builder().method("POST").uri(path).header("cookie", cookie).body(Body::empty()).unwrap();
        let (who, question) = desk.asked(&request, seconds(now()))?;
        assert!(who.starts_with("admin ") && who.ends_with(" of the dashboard"), "{who}");
        question.verdict(StatusCode::FORBIDDEN)
    };
    let rotate = format!("/{}/v1/roots/rotate", desk.mount);
    assert_eq!(tried(&rotate, &cookie), Some(("POST /v1/roots/rotate".to_owned(), "denied")));
    assert_eq!(
        (tried(&rotate, "organza=A"), tried("/v1/roots/rotate", &cookie), tried(&format!("/{}", desk.mount), &cookie)),
        (None, None, None)
    );
    // A cookie of a release without roles looks on.
    let old = seal::seal(&desk.key, CONTEXT, &u64::MAX.to_be_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", format!("{COOKIE}={old}").parse().unwrap());
    assert_eq!(desk.admits(&headers, 1).map(|session| session.role), Some(Role::Viewer));
    for said in [&[0; 9][..], &[255, 255, 255, 255, 255, 255, 255, 255, 9, 0, 0, 0, 0], b"short"] {
        assert_eq!(Session::read(said), None, "{said:?}");
    }
}

/// Lines of the log, in order.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_tap_and_each_change_is_a_line_of_the_log_whoever_asks_and_what_only_tells_is_none() {
    let (desk, lines) = (desk(), Lines::default());
    // What may log is known to the registry before somebody listens: what another test makes known in that very moment would be heard by nobody.
    let before = Router::new().route("/v1/tap", axum::routing::any(async || "")).layer(axum::middleware::from_fn(roles::by_the_owner));
    before.oneshot(Question::builder().uri("/v1/tap").body(Body::empty()).unwrap()).await.unwrap();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _log = tracing::subscriber::set_default(log);
    let behind = || Router::new().route("/v1/{*rest}", axum::routing::any(async || "the mesh"));
    for (role, method, path, origin) in [
        (Role::Viewer, "GET", "/v1/tap?from=web", HERE),
        (Role::Tapper, "GET", "/v1/tap?from=web", HERE),
        (Role::Tapper, "GET", "/v1/status", HERE),
        (Role::Operator, "POST", "/v1/roots/rotate", HERE),
        (Role::Admin, "POST", "/v1/roots/rotate", HERE),
        (Role::Admin, "DELETE", "/v1/tokens/abc", "evil.example"),
    ] {
        let question = Question::builder().method(method).uri(format!("/{}{path}", desk.mount)).header("host", HERE);
        let question = question.header("origin", format!("http://{origin}")).header("cookie", bearing(&desk, role));
        router(desk.clone(), behind()).oneshot(question.body(Body::empty()).unwrap()).await.unwrap();
    }
    let socket = behind().layer(axum::middleware::from_fn(roles::by_the_owner));
    for (method, path) in [("GET", "/v1/tap"), ("GET", "/v1/status"), ("POST", "/v1/tokens")] {
        socket.clone().oneshot(Question::builder().method(method).uri(path).body(Body::empty()).unwrap()).await.unwrap();
    }
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let field = |line: &str, name: &str| line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let audit = said.lines().filter(|line| line.contains("audit"));
    let told: Vec<_> = audit.map(|line| ["who", "what", "verdict"].map(|name| field(line, name))).collect();
    let told: Vec<_> = told.iter().map(|[who, what, verdict]| (who.split(' ').next().unwrap(), &**what, &**verdict)).collect();
    assert_eq!(
        told,
        [
            ("viewer", "GET /v1/tap?from=web", "denied"),
            ("tapper", "GET /v1/tap?from=web", "done"),
            ("operator", "POST /v1/roots/rotate", "denied"),
            ("admin", "POST /v1/roots/rotate", "done"),
            ("admin", "DELETE /v1/tokens/abc", "denied"),
            ("owner", "GET /v1/tap", "done"),
            ("owner", "POST /v1/tokens", "done"),
        ],
        "{said}"
    );
}

#[test]
fn links_and_sessions_end_by_time_and_links_by_number() {
    let desk = desk();
    let code_of = |link: DashboardLink| link.url.rsplit_once("code=").unwrap().1.to_owned();
    let late = code_of(desk.link(Role::Viewer, 1000).unwrap());
    assert!(desk.redeem(&late, 1000 + limits::DASHBOARD_CODE).is_none());
    let first = code_of(desk.link(Role::Viewer, 1000).unwrap());
    (0..limits::DASHBOARD_CODES).for_each(|n| drop(desk.link(Role::Viewer, 1001 + n as u64).unwrap()));
    assert!(desk.redeem(&first, 1002).is_none());
    let last = code_of(desk.link(Role::Viewer, 2000).unwrap());
    let cookie = desk.redeem(&last, 2000).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", format!("other=1; {}; more=2", cookie.split(';').next().unwrap()).parse().unwrap());
    assert!(desk.admits(&headers, 2000 + limits::DASHBOARD_SESSION - 1).is_some());
    assert!(desk.admits(&headers, 2000 + limits::DASHBOARD_SESSION).is_none());
}

/// Time goes on only where nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn browsers_are_so_many_and_have_so_long_to_say_what_they_want() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve("dashboard", listener, answers()));
    let begun = tokio::time::Instant::now();
    let says = async |text: &str| {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    };
    let ends = async |mut stream: tokio::net::TcpStream| {
        let mut all = String::new();
        tokio::time::timeout(limits::DASHBOARD_HEAD * 3, stream.read_to_string(&mut all)).await.expect("it ends").unwrap();
        all
    };
    let mut silent = Vec::new();
    for n in 0..limits::DASHBOARD_CONNECTIONS {
        // Nothing at all, what may be the beginning of any version, and half a head.
        silent.push(says(["", "P", "GET / HTTP/1.1\r\n"][n % 3]).await);
    }
    let late = ends(says("GET /v1/status HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await).await;
    assert!(late.contains("the mesh"), "{late}");
    assert!(begun.elapsed() >= limits::DASHBOARD_HEAD, "the silent ones were in its way until their time was over");
    for one in silent {
        ends(one).await;
    }
    serving.abort();
}
