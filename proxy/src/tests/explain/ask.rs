//! Random requests: most made for some match of the world, many of those a little off, and paths spelled in ways that mean the same.

use super::world::{HEADERS, LISTENERS, Match, Parent, Path, QUERIES, Random, Route, World};
use model::{Method, RequestHead, Scheme};

/// Where it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    Plain,
    /// With this server name.
    Tls(&'static str),
    /// From a program, by its proxy.
    Call,
}

pub const DOORS: [Door; 5] = [Door::Plain, Door::Plain, Door::Tls("a.example.com"), Door::Tls("b.example.com"), Door::Call];

#[derive(Debug)]
pub struct Ask {
    pub door: Door,
    /// As sent, and what it means.
    pub authority: String,
    pub host: String,
    pub method: &'static str,
    /// As sent, and as level `Base` makes it; `None` where it cannot.
    pub spelled: String,
    pub path: Option<String>,
    pub query_text: String,
    pub query: Vec<(&'static str, String)>,
    pub headers: Vec<(String, String)>,
}

impl Ask {
    pub fn random(random: &mut Random, world: &World, outside: u16) -> Self {
        let route = random.pick(&world.routes);
        let rule = random.pick(&route.rules);
        let wanted = random.pick(&rule.matches).clone();
        let fitting = random.chance(85);
        let (door, host) = whereto(random, route, outside);
        let mut ask = Self {
            door,
            authority: spelled_host(random, &host),
            host,
            method: wanted.method.filter(|_| fitting).unwrap_or_else(|| random.one(&["GET", "GET", "POST", "DELETE", "HEAD"])),
            spelled: String::new(),
            path: None,
            query_text: String::new(),
            query: Vec::new(),
            headers: Vec::new(),
        };
        ask.conditions(random, &wanted, fitting);
        let path = if fitting { path_for(random, &wanted) } else { random.one(&["/", "/a", "/b/x", "/items/1", "/nowhere"]).to_owned() };
        ask.spell_path(random, path);
        if wanted.grpc.is_some() && fitting {
            ask.method = "POST";
            ask.headers.push(("content-type".into(), "application/grpc".into()));
        }
        ask.odd_ones(random);
        ask
    }

    fn conditions(&mut self, random: &mut Random, wanted: &Match, fitting: bool) {
        for (name, want) in &wanted.headers {
            if fitting || random.chance(50) {
                let value = if random.chance(93) { want.example() } else { "9z" };
                let name = if random.chance(50) { name.to_ascii_uppercase() } else { (*name).to_owned() };
                self.headers.push((name.clone(), value.to_owned()));
                // Two fields of one name are one value.
                self.headers.extend(random.chance(3).then(|| (name, "1".to_owned())));
            }
        }
        for (name, want) in &wanted.query {
            if fitting || random.chance(50) {
                self.query.push((name, if random.chance(93) { want.example() } else { "9z" }.to_owned()));
                // Of two with one name the first counts.
                self.query.extend(random.chance(5).then(|| (*name, "1".to_owned())));
            }
        }
        if random.chance(15) {
            self.headers.push((random.one(&HEADERS).to_owned(), random.one(&["1", "blue"]).to_owned()));
            self.query.push((random.one(&QUERIES), random.one(&["1", "blue"]).to_owned()));
        }
        let pairs: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={}", form(random, value))).collect();
        self.query_text = pairs.join("&");
    }

    /// The same path written otherwise; rarely one that cannot be read.
    fn spell_path(&mut self, random: &mut Random, path: String) {
        self.spelled = match random.below(12) {
            0 => format!("/x/..{path}"),
            1 => format!("/.{path}"),
            2 => path.bytes().map(|b| if b.is_ascii_alphanumeric() { format!("%{b:02x}") } else { char::from(b).to_string() }).collect(),
            // Two slashes are not one, unless the listener says so.
            3 if path.len() > 1 => format!("/{path}"),
            4 => path.replacen("/a", "/%61", 1),
            _ => path.clone(),
        };
        self.path = Some(if self.spelled.starts_with("//") { self.spelled.clone() } else { path });
        if random.chance(1) {
            self.spelled.push_str("%zz");
            self.path = None;
        }
    }

    /// What is decided before or beside routes.
    fn odd_ones(&mut self, random: &mut Random) {
        match random.below(60) {
            0 => self.method = "TRACE",
            1 => self.headers.push(("Expect".into(), "the unexpected".into())),
            2 | 3 => {
                // What the connection's own fields name ends here, and no rule sees it.
                if let Some((name, _)) = self.headers.first() {
                    self.headers.push(("Connection".into(), name.clone()));
                }
            }
            4..=9 => {
                self.headers.push(("Origin".into(), random.one(&["https://a.test", "https://a.other"]).into()));
                if random.chance(70) {
                    self.method = "OPTIONS";
                    self.headers.push(("Access-Control-Request-Method".into(), "GET".into()));
                }
            }
            _ => {}
        }
    }

    fn target(&self) -> String {
        if self.query_text.is_empty() { self.spelled.clone() } else { format!("{}?{}", self.spelled, self.query_text) }
    }

    /// The bytes of HTTP/1.1.
    pub fn bytes(&self, secret: &str) -> Vec<u8> {
        let whole = if self.door == Door::Call { format!("http://{}", self.authority) } else { String::new() };
        let mut text = format!("{} {whole}{} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target(), self.authority);
        if self.door == Door::Call {
            text.push_str(&format!("Proxy-Authorization: {secret}\r\n"));
        }
        self.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        text.push_str(if self.method == "POST" { "Content-Length: 0\r\n\r\n" } else { "\r\n" });
        text.into_bytes()
    }

    /// The same for those who explain.
    pub fn head(&self) -> RequestHead {
        let mut head = RequestHead::default();
        head.scheme = if matches!(self.door, Door::Tls(_)) { Scheme::Https } else { Scheme::Http };
        head.method = Method::parse(self.method).unwrap();
        head.set_authority(&self.authority);
        head.set_target(&self.target());
        self.headers.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
        head
    }
}

/// A door and a host through which the route can be reached, more often than not.
fn whereto(random: &mut Random, route: &Route, outside: u16) -> (Door, String) {
    if random.chance(6) {
        let others = ["nobody.example.org", "example.com", "broken.test", "grpc.test", "b.example.com"];
        return (random.one(&[Door::Plain, Door::Tls("a.example.com")]), random.one(&others).to_owned());
    }
    match route.parent {
        Parent::Service { .. } if random.chance(8) => {
            (Door::Call, random.pick(&[format!("127.0.0.1:{outside}"), "gold".to_owned(), "red:81".to_owned()]).clone())
        }
        Parent::Service { name, .. } => {
            (Door::Call, random.pick(&[format!("{name}.{}", if name == "far" { "back" } else { "shop" })]).clone())
        }
        Parent::Gateway(section) => {
            let here = LISTENERS.iter().find(|listener| Some(listener.name) == section);
            let tls = here.map_or(random.chance(25), |listener| listener.tls);
            let patterns: Vec<&str> = route.hosts.iter().copied().chain(here.map(|listener| listener.host)).collect();
            let host = match patterns.is_empty() {
                true => random.one(&["a.example.com", "b.example.com", "other.test"]).to_owned(),
                false => match random.one(&patterns) {
                    "" => "other.test".to_owned(),
                    pattern => pattern.replacen('*', random.one(&["a", "b", "x.y"]), 1),
                },
            };
            let name = if host == "a.example.com" { "a.example.com" } else { "b.example.com" };
            // Some knock at the wrong name.
            let name = if random.chance(5) { "a.example.com" } else { name };
            (if tls { Door::Tls(name) } else { Door::Plain }, host)
        }
    }
}

fn spelled_host(random: &mut Random, host: &str) -> String {
    match random.below(8) {
        0 => host.to_ascii_uppercase(),
        1 if !host.contains(':') => format!("{host}:80"),
        2 if !host.contains(':') => format!("{host}."),
        _ => host.to_owned(),
    }
}

fn path_for(random: &mut Random, wanted: &Match) -> String {
    if let Some((service, method)) = wanted.grpc {
        let other = |part: Option<&'static str>, random: &mut Random, all| part.unwrap_or_else(|| random.one(all));
        return format!("/{}/{}", other(service, random, &["shop.Cat", "x.Y"]), other(method, random, &["Get", "List"]));
    }
    match wanted.path {
        Path::Any | Path::Prefix("/") => random.one(&["/", "/a", "/a/b/c", "/items/7", "/z"]).to_owned(),
        Path::Prefix(prefix) => {
            let prefix = prefix.trim_end_matches('/');
            format!("{prefix}{}", random.one(&["", "/", "/x", "/b/c", "x"]))
        }
        Path::Is(want) => format!("{}{}", want.example(), random.one(&["", "", "", "/", "x"])),
    }
}

/// As forms write it.
fn form(random: &mut Random, value: &str) -> String {
    match random.below(3) {
        0 => value.bytes().map(|b| format!("%{b:02X}")).collect(),
        1 => value.replace(' ', "+"),
        _ => value.replace(' ', "%20"),
    }
}
