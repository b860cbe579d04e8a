use super::*;

fn hello() -> Vec<u8> {
    let layer = [Entry::program("bin/hello", b"#!/bin/sh\n".to_vec()), Entry::file("etc/name", b"x".to_vec())];
    image(&layer, &Config { entrypoint: &["/bin/hello"], user: "1:1", labels: &[("a", "b")] }, &["localhost/hello:1", "localhost/hello:2"])
}

/// Files of a tar, by the machine's own tar.
fn listed(tar: &[u8], arguments: &[&str]) -> String {
    let mut child = Command::new("tar").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tar");
    let mut input = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(tar).expect("tar reads"));
        let output = child.wait_with_output().expect("tar ends");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("UTF-8")
    })
}

#[test]
fn tar_reads_what_is_written() {
    let entries = [Entry::program("bin/hello", vec![7; 513]), Entry::file("etc/name", b"x".to_vec())];
    let seen = listed(&tar(&entries), &["--numeric-owner", "-tvf", "-"]);
    let lines: Vec<Vec<&str>> = seen.lines().map(|line| line.split_whitespace().collect()).collect();
    let short: Vec<(&str, &str, &str, &str)> = lines.iter().map(|words| (words[0], words[1], words[2], words[5])).collect();
    assert_eq!(
        short,
        [
            ("drwxr-xr-x", "0/0", "0", "bin/"),
            ("-rwxr-xr-x", "0/0", "513", "bin/hello"),
            ("drwxr-xr-x", "0/0", "0", "etc/"),
            ("-rw-r--r--", "0/0", "1", "etc/name")
        ]
    );
}

#[test]
fn the_layout_leads_from_each_name_to_the_layer() {
    let image = hello();
    let read = |path: &str| listed(&image, &["-xOf", "-", path]);
    let json = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    let blob = |described: &Value| read(&described["digest"].as_str().expect("a digest").replace("sha256:", "blobs/sha256/"));
    let index = json(read("index.json"));
    let names: Vec<&Value> =
        index["manifests"].as_array().expect("list").iter().map(|m| &m["annotations"]["io.containerd.image.name"]).collect();
    assert_eq!(names, ["localhost/hello:1", "localhost/hello:2"]);
    let manifest = json(blob(&index["manifests"][1]));
    let config = json(blob(&manifest["config"]));
    assert_eq!(config["config"]["User"], "1:1");
    assert_eq!(config["config"]["Entrypoint"], json!(["/bin/hello"]));
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    let layer = blob(&manifest["layers"][0]);
    assert_eq!(layer.len(), manifest["layers"][0]["size"]);
    assert_eq!(listed(layer.as_bytes(), &["-xOf", "-", "bin/hello"]), "#!/bin/sh\n");
}

#[test]
fn a_packed_layer_is_named_by_what_it_holds() {
    let layer = [Entry::file("a", vec![b'a'; 10_000])];
    let (plain, packed) = (image(&layer, &Config::default(), &["a"]), packed_image(&layer, &Config::default(), &["a"]).unwrap());
    assert!(packed.len() < plain.len());
    let read = |image: &[u8], path: &str| serde_json::from_str::<Value>(&listed(image, &["-xOf", "-", path])).unwrap();
    let blob = |image: &[u8], described: &Value| read(image, &described["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/"));
    let config = |image: &[u8]| blob(image, &blob(image, &read(image, "index.json")["manifests"][0])["config"]);
    assert_eq!(config(&plain), config(&packed));
    assert_eq!(gzip(&plain).unwrap(), gzip(&plain).unwrap());
}

#[test]
fn the_same_content_is_the_same_image() {
    assert_eq!(digest(&hello()), digest(&hello()));
    // FIPS 180-2, appendix B.1.
    assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
