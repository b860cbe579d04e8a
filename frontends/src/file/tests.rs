use super::*;
use proptest::prelude::*;

const TWO: &str = "# a comment\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports:\n  - port: 80\n    name: http\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: b, namespace: other}\n";

#[test]
fn documents_become_objects_with_places() {
    let (objects, problems) = parse("f.yaml", TWO);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(objects.iter().map(|o| o.object.to_string()).collect::<Vec<_>>(), ["Service default/a", "Gateway other/b"]);
    let place = objects[0].place_of("spec.ports[0].name");
    assert_eq!((place.line, place.column), (9, 5));
    assert_eq!(objects[1].place.line, 11);
    assert_eq!(objects[0].at("/spec/ports/0/port"), &serde_json::json!(80));
    assert_eq!(objects[0].at("/metadata/namespace"), "default");
}

#[test]
fn lists_are_taken_apart() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: b\n";
    let (objects, problems) = parse("f.yaml", text);
    assert_eq!((objects.len(), problems.len()), (2, 0));
    assert_eq!(objects[1].place_of("metadata.name").line, 10);
}

#[test]
fn what_cannot_be_read_has_a_place_and_a_reason() {
    for (text, line, has) in [
        ("a: [1\nb: 2\n", 2, ""),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nkind: Service\n", 4, "kind"),
        ("apiVersion: v1\nkind: Service\n", 1, "metadata.name"),
        ("just text\n", 1, "apiVersion"),
    ] {
        let (objects, problems) = parse("f.yaml", text);
        assert!(objects.is_empty() && problems.len() == 1, "{text:?}: {objects:?} {problems:?}");
        assert!(problems[0].report.message.contains(has), "{:?}", problems[0]);
        assert!(problems[0].place.line.abs_diff(line) <= 1, "{text:?}: {:?}", problems[0]);
    }
    assert!(parse("f.yaml", "").0.is_empty());
    let bomb = format!("a: &a [x]\n{}", (0..30).map(|i| format!("b{i}: &b{i} [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n")).collect::<String>());
    let _ = parse("f.yaml", &bomb);
}

#[test]
fn a_key_that_is_written_twice_is_told_in_words_for_its_writer() {
    let (objects, problems) = parse("f", "kind: A\nspec: {}\nspec: {}\n");
    assert!(objects.is_empty());
    assert_eq!((problems[0].report.message.as_str(), problems[0].place.line), ("duplicate mapping key: spec", 3));
}

#[test]
fn folders_say_what_is_wrong_with_them() {
    let folder = std::env::temp_dir().join(format!("ogz-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let one = [folder.clone()];
    assert!(load(&one).problems[0].report.message.contains("no *.yaml"));
    std::fs::write(folder.join("a.yaml"), TWO).unwrap();
    std::fs::write(folder.join(".hidden.yaml"), "broken: [").unwrap();
    assert_eq!((load(&one).objects.len(), load(&one).problems.len()), (2, 0));
    std::fs::write(folder.join("b.yml"), TWO).unwrap();
    let twice = load(&one);
    assert_eq!(twice.problems.len(), 2);
    assert!(twice.problems[0].report.message.contains("twice"));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(!load(&one).problems.is_empty(), "a folder that vanished");
}

proptest! {
    #[test]
    fn strangers_bytes_never_panic(text in ".{0,300}", yaml in "([a-z]{1,3}: ?[-a-z0-9&*\\[\\]{}\"' ]{0,12}\n {0,4}){0,12}") {
        parse("f", &text);
        parse("f", &yaml);
    }
}

#[test]
fn files_of_one_name_in_two_folders_are_told_apart() {
    let named = |roots: &[&str], path: &str| {
        let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
        name_among(&roots, Path::new(path))
    };
    assert_eq!(named(&["/etc/shop"], "/etc/shop/routes.yaml"), "routes.yaml");
    assert_eq!(named(&["/etc/shop", "/etc/bank"], "/etc/shop/routes.yaml"), "shop/routes.yaml");
    assert_eq!(named(&["/a/conf", "/b/conf"], "/b/conf/routes.yaml"), "b/conf/routes.yaml");
    assert_eq!(named(&["/a/conf", "/a/conf/more"], "/a/conf/more/x.yaml"), "more/x.yaml");
    assert_eq!(named(&["/a/x.yaml", "/b/x.yaml"], "/a/x.yaml"), "a/x.yaml");
    assert_eq!(named(&["/a/x.yaml", "/b"], "/a/x.yaml"), "x.yaml");
    assert_eq!(named(&["/conf", "/a/conf"], "/conf/x.yaml"), "/conf/x.yaml");
}

#[test]
fn thousands_of_services_are_read_from_one_file() {
    let service =
        |n: usize| format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: s-{n}}}\nspec: {{ports: [{{port: 80, name: http}}]}}\n");
    let (objects, problems) = parse("f.yaml", &(0..2_000).map(service).collect::<String>());
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((objects.len(), objects[1_999].place.line), (2_000, 5 * 1_999 + 2));
}

#[test]
fn documents_beyond_the_limit_are_said_and_not_cut_off() {
    let one = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
    let (objects, problems) = parse("f.yaml", &one.repeat(limits::DOCUMENTS + 1));
    assert_eq!((objects.len(), problems.len()), (0, 1));
    assert_eq!(problems[0].place.line as usize, 4 * limits::DOCUMENTS + 2);
}

#[test]
fn the_fingerprint_tells_what_was_written_and_not_where() {
    let one = |text: &str| parse("f.yaml", text).0[0].written;
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
    assert_eq!(one(service), one(&format!("\n# moved down\n{service}")));
    assert_ne!(one(service), one(&format!("{service}spec: {{ports: [{{port: 80}}]}}\n")));
}

#[test]
fn files_and_texts_are_of_so_many_bytes_and_no_more() {
    let path = std::env::temp_dir().join(format!("ogz-huge-{}.yaml", std::process::id()));
    // Without a byte on the disk.
    std::fs::File::create(&path).and_then(|file| file.set_len(limits::FILE_BYTES + 1)).unwrap();
    let read = read(&path);
    std::fs::remove_file(&path).unwrap();
    assert!(read.unwrap_err().contains("larger than 16 MiB"));
    let (objects, problems) = parse("f.yaml", &"#".repeat(limits::FILE_BYTES as usize + 1));
    assert_eq!((objects.len(), problems.len()), (0, 1));
}

#[test]
fn a_name_that_yaml_takes_for_something_else_is_told_as_that() {
    let (objects, problems) = parse("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: no}\n");
    assert!(objects.is_empty());
    assert_eq!(problems[0].report.message, "metadata.name is no text: false");
}

/// By which they are named on the wire, where `/` parts one word from the next.
#[test]
fn names_that_kubernetes_would_not_take_are_refused_where_they_stand() {
    let read = |name: &str, namespace: &str| {
        let text = format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n");
        let (objects, problems) = parse("f.yaml", &text);
        assert_eq!(objects.len() + problems.len(), 1, "{text}");
        problems.first().map(|problem| (problem.place.line, problem.report.message.clone()))
    };
    let (long, longer) = ("a".repeat(63), "a".repeat(253));
    for (name, namespace) in [("a", "b"), ("Orders_1.x:y", "b-2"), ("a", &*long), (&*longer, "'0'")] {
        assert_eq!(read(name, namespace), None, "{name} {namespace}");
    }
    for name in ["a/b", "a%2fb", "'a b'", "'..'", "'.'", &*format!("{longer}a"), "\"a\\0b\""] {
        assert!(read(name, "b").is_some_and(|(line, what)| line == 4 && what.starts_with("metadata.name is no name")), "{name}");
    }
    for namespace in ["organza/system", "Shop", "a.b", "'-a'", "a-", "a_b", "ä", &*format!("{long}a")] {
        let told = read("a", namespace);
        assert!(told.is_some_and(|(line, what)| line == 5 && what.starts_with("metadata.namespace is no name")), "{namespace}");
    }
    // What is none of ours is passed over, whatever its name.
    let (objects, problems) = parse("f.yaml", "apiVersion: example.com/v1\nkind: Odd\nmetadata: {name: a/b, namespace: C/d}\n");
    assert_eq!((objects.len(), problems.len()), (1, 0));
}
