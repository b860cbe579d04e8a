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
    desk.link(seconds(now())).unwrap().url.rsplit_once("code=").unwrap().1.to_owned()
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
    let link = desk.link(seconds(now())).unwrap();
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

#[tokio::test]
async fn nothing_is_changed_here() {
    let desk = desk();
    let cookie = cookie(&desk).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        assert_eq!(ask(&desk, method, "/v1/status", &[("cookie", &cookie)]).await.0, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    assert_eq!(ask(&desk, "HEAD", "/v1/status", &[("cookie", &cookie)]).await.0, StatusCode::OK);
    assert_eq!(ask(&desk, "GET", "/v1/tokens", &[("cookie", &cookie)]).await.0, StatusCode::NOT_FOUND);
}

#[test]
fn links_and_sessions_end_by_time_and_links_by_number() {
    let desk = desk();
    let code_of = |link: DashboardLink| link.url.rsplit_once("code=").unwrap().1.to_owned();
    let late = code_of(desk.link(1000).unwrap());
    assert!(desk.redeem(&late, 1000 + limits::DASHBOARD_CODE).is_none());
    let first = code_of(desk.link(1000).unwrap());
    (0..limits::DASHBOARD_CODES).for_each(|n| drop(desk.link(1001 + n as u64).unwrap()));
    assert!(desk.redeem(&first, 1002).is_none());
    let last = code_of(desk.link(2000).unwrap());
    let cookie = desk.redeem(&last, 2000).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("cookie", format!("other=1; {}; more=2", cookie.split(';').next().unwrap()).parse().unwrap());
    assert!(desk.admits(&headers, 2000 + limits::DASHBOARD_SESSION - 1));
    assert!(!desk.admits(&headers, 2000 + limits::DASHBOARD_SESSION));
}
