use super::by_grpc::word;
use super::*;
use model::HeaderBlock;
use wire::authorization::{
    CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpResponse, HttpStatus, Manner, OkHttpResponse, Status,
};

fn said(code: Option<i32>, http_response: Option<HttpResponse>) -> String {
    match word(&CheckResponse { status: code.map(|code| Status { code }), http_response }) {
        Word::Allowed(_) => "allowed".into(),
        Word::Denied { answer, body, said } => {
            format!("denied {} {}: {}", answer.status, String::from_utf8_lossy(&body), said.told(answer.status))
        }
        Word::Nothing(_) => "nothing".into(),
    }
}

#[test]
fn nothing_but_ok_allows() {
    let ok = || Some(HttpResponse::Ok(OkHttpResponse::default()));
    let no = |code| {
        let status = Some(HttpStatus { code });
        Some(HttpResponse::Denied(DeniedHttpResponse { status, headers: Vec::new(), body: "no".into() }))
    };
    let cases = [
        (Some(0), None, "allowed"),
        (Some(0), ok(), "allowed"),
        (None, ok(), "allowed"),
        (None, None, "nothing"),
        (Some(7), None, "denied 403 : said no"),
        (Some(7), ok(), "denied 403 : said no"),
        (Some(16), no(401), "denied 401 no: answered 401"),
        (Some(0), no(401), "denied 401 no: answered 401"),
        (Some(7), no(0), "denied 403 no: said no"),
        (Some(7), no(200), "denied 403 no: answered 200, which allows nothing"),
        (Some(7), no(101), "denied 403 no: answered 101, which allows nothing"),
        (Some(7), no(70_000), "denied 403 no: answered 70000, which allows nothing"),
        (Some(7), no(302), "denied 302 no: answered 302"),
    ];
    for (code, response, expected) in cases {
        assert_eq!(said(code, response.clone()), expected, "{code:?} {response:?}");
    }
}

fn option(key: &str, value: &str, manner: (Option<bool>, i32)) -> HeaderValueOption {
    let header = Some(HeaderValue { key: key.into(), value: value.into(), raw_value: Vec::new() });
    HeaderValueOption { header, append: manner.0, append_action: manner.1 }
}

#[test]
fn fields_are_edited_as_it_says_and_never_those_that_frame() {
    let mut headers = HeaderBlock::default();
    for (name, value) in [("Host", "a"), ("x-old", "1"), ("x-list", "1"), ("x-there", "1"), ("Content-Length", "5"), ("x-gone", "1")] {
        headers.push(name, value.as_bytes());
    }
    let mut edits = Edits::default();
    let written = [
        option("X-Old", "2", (None, 0)),
        option("x-list", "2", (Some(true), 0)),
        option("x-there", "2", (None, 1)),
        option("x-new", "2", (None, 1)),
        option("x-none", "2", (None, 3)),
        option("host", "evil", (None, 0)),
        option("Content-Length", "0", (None, 0)),
        option("transfer-encoding", "chunked", (None, 0)),
        option(":path", "/admin", (None, 0)),
    ];
    assert!(written.iter().all(|option| edits.option(option)));
    ["x-gone", "host", "content-length"].iter().for_each(|name| edits.remove(name));
    edits.apply(&mut headers);
    let mut all: Vec<String> =
        headers.iter().map(|(name, value)| format!("{}={}", name.to_lowercase(), String::from_utf8_lossy(value))).collect();
    all.sort();
    assert_eq!(all, ["content-length=5", "host=a", "x-list=1", "x-list=2", "x-new=2", "x-old=2", "x-there=1"]);
    for (name, value) in [("a b", "1"), ("", "1"), ("x-a", "1\r\nx-admin: 1"), ("x-a", "\0")] {
        assert!(!Edits::default().write(name, value.as_bytes(), Manner::Replace), "{name:?}: {value:?}");
    }
}
