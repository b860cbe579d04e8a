//! Bugs that would be bad to have, as edits of the source, each with the test that is to catch it. A bug's name says what goes wrong.

pub struct Bug {
    pub name: &'static str,
    pub edits: &'static [Edit],
    pub package: &'static str,
    /// Which of the package's test programs has the test.
    pub suite: &'static [&'static str],
    pub test: &'static str,
}

pub struct Edit {
    pub file: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

const LIB: &[&str] = &["--lib"];

pub const BUGS: [Bug; 25] = [
    Bug {
        name: "plaintext-is-nobody",
        edits: &[Edit {
            file: "policy/src/matching.rs",
            from: "None if of.plaintext => Truth::Perhaps,",
            to: "None if of.plaintext => Truth::No,",
        }],
        package: "policy",
        suite: LIB,
        test: "tests::properties::the_engine_says_what_the_reference_says",
    },
    Bug {
        name: "keys-are-passed-on",
        edits: &[Edit { file: "proxy/src/consumers.rs", from: "if !held.said.passed_on {", to: "if held.said.passed_on {" }],
        package: "proxy",
        suite: LIB,
        test: "tests::consumers::who_brings_a_key_is_let_in_and_the_key_goes_nowhere",
    },
    Bug {
        name: "groups-have-no-namespace",
        edits: &[Edit {
            file: "frontends/src/organza/consumer.rs",
            from: r#"Ok(Arc::from(format!("{}/{name}", object.object.namespace)))"#,
            to: "Ok(Arc::from(name))",
        }],
        package: "frontends",
        suite: LIB,
        test: "gateway_api::tests::golden::examples_become_what_the_specification_says",
    },
    Bug {
        name: "cl-and-te-accepted",
        edits: &[Edit {
            file: "transport/src/h1/framing.rs",
            from: r#"(Some(_), _) if headers.contains("content-length") =>"#,
            to: r#"(Some(_), _) if headers.contains("content-length") && version == Version::Http10 =>"#,
        }],
        package: "transport",
        suite: LIB,
        test: "h1::tests::what_could_be_read_in_two_ways_is_refused",
    },
    Bug {
        name: "drain-does-not-wait",
        edits: &[Edit {
            file: "transport/src/h2/server.rs",
            from: "None => server.drain(),\n            Some(Ok(Some(exchange)))",
            to: "None => return Ok(()),\n            Some(Ok(Some(exchange)))",
        }],
        package: "transport",
        suite: LIB,
        test: "h2::tests::after_goaway_what_is_under_way_ends_well_and_nothing_new_begins",
    },
    Bug {
        name: "header-count-ignored",
        edits: &[Edit {
            file: "frontends/src/gateway_api/matches.rs",
            from: "u32::from(method.is_none()), most(headers.len()), most(query.len())]",
            to: "u32::from(method.is_none()), 0, most(query.len())]",
        }],
        package: "frontends",
        suite: LIB,
        test: "gateway_api::tests::golden::examples_become_what_the_specification_says",
    },
    Bug {
        name: "server-unchecked",
        edits: &[Edit {
            file: "identity/src/verify.rs",
            from: "Self::AnyOf(ids) if ids.contains(found) => Ok(()),",
            to: "Self::AnyOf(_) => Ok(()),",
        }],
        package: "identity",
        suite: &["--test", "handshake"],
        test: "another_identity_than_registered_is_refused_by_the_client",
    },
    Bug {
        name: "breaker-never-closes",
        edits: &[Edit {
            file: "routing/src/breaker.rs",
            from: "*self = Self::default();\n                Some(Change::Closed)",
            to: "None",
        }],
        package: "routing",
        suite: LIB,
        test: "breaker::tests::half_open_lets_a_few_through_and_closes_when_all_succeed",
    },
    Bug {
        name: "ejection-never-ends",
        edits: &[Edit {
            file: "routing/src/eject.rs",
            from: "self.due().is_some_and(|due| due <= now)",
            to: "self.due().is_some_and(|due| due <= now && due > now)",
        }],
        package: "routing",
        suite: LIB,
        test: "eject::tests::it_returns_by_one_request_and_stays_out_longer_each_time",
    },
    Bug {
        name: "sent-post-retried",
        edits: &[Edit { file: "routing/src/retry.rs", from: "self.idempotent.then_some(policy.attempts)", to: "Some(policy.attempts)" }],
        package: "routing",
        suite: LIB,
        test: "retry::tests::only_what_cannot_have_been_seen_or_may_be_repeated_is_sent_twice",
    },
    Bug {
        name: "invalid-weight-dropped",
        edits: &[Edit {
            file: "routing/src/compiled.rs",
            from: "rule.backends.iter().enumerate().map(",
            to: "rule.backends.iter().enumerate().filter(|(_, b)| !matches!(b.backend, model::Backend::Invalid { .. })).map(",
        }],
        package: "routing",
        suite: LIB,
        test: "lookup::tests::an_invalid_backend_keeps_its_share_and_answers_500",
    },
    Bug {
        name: "refused-applied",
        edits: &[Edit {
            file: "wire/src/delta/client.rs",
            from: "!bad.is_empty() && bad.contains_key(key.to_string().as_str())",
            to: "bad.is_empty() && key.name.is_empty()",
        }],
        package: "wire",
        suite: LIB,
        test: "delta::tests::what_could_not_be_used_is_not_held_and_the_last_good_one_stays",
    },
    Bug {
        name: "key-to-everybody",
        edits: &[Edit {
            file: "control/src/view.rs",
            from: "self.keys.extend(listener.tls.iter().flat_map(|tls| tls.certificates.iter().cloned()));",
            to: "self.keys.extend(world.items.keys().filter(|key| key.kind == Kind::Certificate).cloned());",
        }],
        package: "control",
        suite: LIB,
        test: "world::tests::private_keys_go_to_the_gateway_that_refers_to_them_and_to_nobody_else",
    },
    Bug {
        name: "pool-shared",
        edits: &[Edit {
            file: "proxy/src/upstream.rs",
            from: "#[derive(Debug, Clone, PartialEq, Eq, Hash)]\npub struct UpstreamKey {",
            to: "impl PartialEq for UpstreamKey {
    fn eq(&self, other: &Self) -> bool {
        let kind = std::mem::discriminant(&self.via) == std::mem::discriminant(&other.via);
        kind && self.address == other.address && self.framing == other.framing
    }
}

impl Eq for UpstreamKey {}

impl Hash for UpstreamKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address.hash(state);
        self.framing.hash(state);
    }
}

#[derive(Debug, Clone)]
pub struct UpstreamKey {",
        }],
        package: "proxy",
        suite: LIB,
        test: "tests::trust::connections_are_shared_only_where_the_same_identity_is_expected",
    },
    Bug {
        name: "dialled-believed",
        edits: &[Edit {
            file: "proxy/src/inbound.rs",
            from: "endpoints.and_then(|e| e.endpoints.iter().find(|e| e.workload.as_ref() == Some(&application.workload)));",
            to: "endpoints.and_then(|e| e.endpoints.first());",
        }],
        package: "proxy",
        suite: LIB,
        test: "tests::trust::a_service_that_this_workload_does_not_back_is_not_believed",
    },
    Bug {
        name: "deny-asks-for-proof",
        edits: &[Edit { file: "policy/src/engine.rs", from: "(Truth::Perhaps, Truth::Yes)", to: "(Truth::Yes, Truth::Yes)" }],
        package: "policy",
        suite: LIB,
        test: "tests::properties::the_engine_says_what_the_reference_says",
    },
    Bug {
        name: "allow-leaves-the-rest",
        edits: &[Edit { file: "policy/src/engine.rs", from: "if tier == Tier::Admin {", to: "if tier != Tier::Baseline {" }],
        package: "policy",
        suite: LIB,
        test: "tests::properties::the_engine_says_what_the_reference_says",
    },
    Bug {
        name: "prefix-by-letters",
        edits: &[Edit { file: "policy/src/bucket.rs", from: "filter(|_| whole)", to: "filter(|_| whole || *length > 0)" }],
        package: "policy",
        suite: LIB,
        test: "tests::properties::the_engine_says_what_the_reference_says",
    },
    Bug {
        name: "doubt-negated-is-proof",
        edits: &[Edit { file: "policy/src/matching.rs", from: "Self::Perhaps => Self::Perhaps,", to: "Self::Perhaps => Self::Yes," }],
        package: "policy",
        suite: LIB,
        test: "tests::properties::the_engine_says_what_the_reference_says",
    },
    Bug {
        name: "path-unseen-is-path-held",
        edits: &[Edit {
            file: "policy/src/rules.rs",
            from: "By::Path(at) | By::Port(at) if found => Some(at),",
            to: "By::Path(at) | By::Port(at) => Some(at),",
        }],
        package: "policy",
        suite: LIB,
        test: "tests::properties::the_engine_says_what_the_reference_says",
    },
    Bug {
        name: "block-without-its-edge",
        edits: &[Edit { file: "policy/src/rules.rs", from: "left(32, length)", to: "left(31, length)" }],
        package: "policy",
        suite: LIB,
        test: "tests::properties::the_engine_says_what_the_reference_says",
    },
    Bug {
        name: "algorithm-is-the-tokens",
        edits: &[Edit { file: "identity/src/jwt.rs", from: ".filter(|algorithm| demands.algorithms.contains(algorithm))", to: "" }],
        package: "identity",
        suite: LIB,
        test: "jwt::tests::every_algorithm_is_verified_by_its_own_keys_alone",
    },
    Bug {
        name: "claims-of-strangers-pass",
        edits: &[Edit {
            file: "proxy/src/tokens.rs",
            from: "        head.headers.remove(&header.name);\n",
            to: "        let _ = header;\n",
        }],
        package: "proxy",
        suite: LIB,
        test: "tests::tokens::what_a_token_says_is_told_to_applications_and_policies_and_strangers_cannot_say_it",
    },
    Bug {
        name: "bucket-holds-one-more",
        edits: &[Edit {
            file: "policy/src/rates/bucket.rs",
            from: "if missing > self.full {",
            to: "if missing > self.full + self.token {",
        }],
        package: "policy",
        suite: LIB,
        test: "rates::bucket::tests::as_many_as_the_bucket_holds_pass_at_once_and_then_one_by_one",
    },
    Bug {
        name: "refused-is-counted",
        edits: &[Edit { file: "policy/src/rates.rs", from: "for limit in taken {", to: "for limit in taken.into_iter().take(0) {" }],
        package: "policy",
        suite: LIB,
        test: "tests::rates::all_limits_must_have_room_and_who_is_refused_is_not_counted",
    },
];
