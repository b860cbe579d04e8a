use super::*;

fn at(region: &str, zone: &str, node: &str) -> Locality {
    Locality { region: region.into(), zone: zone.into(), node: node.into() }
}

#[test]
fn what_is_nearer_comes_first_and_what_is_not_known_is_near_to_nothing() {
    let me = at("eu", "eu-1", "n1");
    let of = |to: &Locality| [Nearest::Node, Nearest::Zone, Nearest::Region].map(|nearest| me.distance(to, nearest));
    assert_eq!(of(&me), [0, 0, 0]);
    assert_eq!(of(&at("eu", "eu-1", "n2")), [1, 0, 0]);
    assert_eq!(of(&at("eu", "eu-2", "")), [2, 1, 0]);
    assert_eq!(of(&at("us", "us-1", "n9")), [3, 2, 1]);
    assert_eq!(of(&at("us", "eu-1", "n9")), [3, 2, 1], "a zone of the same name in another region");
    assert_eq!(of(&at("", "eu-1", "")), [1, 0, 1], "slices tell no region");
    assert_eq!(of(&at("", "", "")), [3, 2, 1]);
    assert_eq!(at("", "", "").distance(&at("", "", ""), Nearest::Zone), 2, "nobody who knows nothing is near");
}

#[test]
fn localities_are_read_from_text_and_labels() {
    assert_eq!(Locality::parse("eu/eu-1"), Some(at("eu", "eu-1", "")));
    assert_eq!(Locality::parse("eu"), Some(at("eu", "", "")));
    for wrong in ["", "/", "/eu-1", "eu/", "eu/a/b", "e u", "eu/\u{e4}"] {
        assert_eq!(Locality::parse(wrong), None, "{wrong}");
    }
    let labels = [(Locality::REGION_LABEL, "eu"), (Locality::ZONE_LABEL, "eu-1"), ("app", "web")];
    let labels: Labels = labels.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
    assert_eq!(Locality::of_labels(&labels), at("eu", "eu-1", ""));
}
