//! How far paths are made regular on the workload side: by the caller's proxy and by the one that is called alike, whoever calls how.

use super::resources::{self, Place};
use super::{Mesh, bounded, key};
use crate::doors::Door;
use model::{Kind, Normalisation, PathMatch, Resource};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::backend::Backend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::Stream;

const SECRET: &str = "Basic b3JnYW56YTpzZWNyZXQ=";

async fn ask(door: SocketAddr, target: &str) -> String {
    let mut stream = Stream::connect(door).await.unwrap();
    let head = format!("GET {target} HTTP/1.1\r\nHost: catalog\r\nProxy-Authorization: {SECRET}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

fn at(level: Normalisation, mut resources: Vec<Resource>) -> Vec<Resource> {
    for resource in &mut resources {
        if let Resource::Service(service) = resource {
            Arc::make_mut(service).normalisation = level;
        }
    }
    resources
}

#[tokio::test]
async fn both_ends_of_a_hop_read_paths_as_the_called_service_has_it() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut mesh = Mesh::new();
        let (mut web, mut catalog) = (mesh.proxy("web"), mesh.proxy("catalog"));
        let tunnel = catalog.inbound("catalog-1");
        let doors = [web.open(Door::ExplicitProxy { authorization: SECRET.into() }), web.named("catalog", resources::HTTP)];
        let mut rule = resources::rule(vec![resources::backend("catalog", resources::HTTP, 1)]);
        rule.matches[0].matches.path = Some(PathMatch::Prefix("/a/b".into()));
        for (level, sent, want) in [
            (Normalisation::None, "/a/b/%7e/../c", Some("/a/b/%7e/../c")),
            (Normalisation::None, "/%61/b", None),
            (Normalisation::Base, "/%61/b/%7e/../c", Some("/a/b/c")),
            (Normalisation::Base, "/a//b", None),
            (Normalisation::MergeSlashes, "/a//b", Some("/a/b")),
            (Normalisation::MergeSlashes, "/a%2fb", None),
            (Normalisation::DecodeSlashes, "/a%2fb", Some("/a/b")),
        ] {
            let mut all = at(level, resources::catalog(&[Place::organza("catalog-1", tunnel, backend.address.port())]));
            all.push(resources::on_service("catalog", rule.clone()));
            mesh.put(all);
            for (door, target) in [(doors[0], format!("http://catalog{sent}")), (doors[1], sent.to_owned())] {
                let answer = ask(door, &target).await;
                let told = web.record().await;
                match want {
                    Some(path) => {
                        // As the caller's proxy sent it on (records tell paths as they came), and as the application heard it.
                        assert_eq!(catalog.record().await["path"], path, "{level:?} {target}");
                        assert!(answer.contains(&format!("catalog GET {path} 0")), "{level:?} {target}: {answer}");
                    }
                    None => assert_eq!(told["fault"], "no_route", "{level:?} {target}: {answer}"),
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_is_called_reads_paths_as_its_own_service_has_it_whatever_it_is_sent() {
    bounded(async {
        let backend = Backend::http("catalog").await;
        let mut mesh = Mesh::new();
        let mut catalog = mesh.proxy("catalog");
        let tunnel = catalog.inbound("catalog-1");
        // A gateway that reads paths as they come, before a service that decodes slashes.
        let mut edge = mesh.proxy("edge");
        let door = edge.gateway(80);
        let mut all = at(Normalisation::DecodeSlashes, resources::catalog(&[Place::organza("catalog-1", tunnel, backend.address.port())]));
        let Resource::Listener(mut listener) = resources::listener(80, None) else { unreachable!() };
        Arc::make_mut(&mut listener).normalisation = Normalisation::None;
        let target = model::Target::Listener(key(Kind::Listener, "edge.web"));
        all.extend([Resource::Listener(listener), resources::route(target, resources::rule(vec![resources::backend("catalog", 80, 1)]))]);
        mesh.put(all);
        let answer = ask(door, "/a%2fb/../c").await;
        assert_eq!(catalog.record().await["path"], "/a%2fb/../c", "as it came from the gateway");
        assert!(answer.contains("catalog GET /a/c 0"), "{answer}");
    })
    .await;
}
