use super::*;

#[test]
fn what_is_linked_is_listed_with_its_sum() {
    let kinds = |kind: Value| json!([{ "kind": kind }]);
    let metadata = json!({
        "workspace_members": ["path+cli", "path+xtask"],
        "packages": [
            { "id": "path+cli", "name": "cli", "version": "0.1.0", "source": null },
            { "id": "path+xtask", "name": "xtask", "version": "0.1.0", "source": null },
            { "id": "a", "name": "a", "version": "1.0.0", "source": "registry", "license": "MIT/Apache-2.0" },
            { "id": "b", "name": "b", "version": "2.0.0", "source": "registry", "license": "MIT" },
            { "id": "c", "name": "c", "version": "3.0.0", "source": "registry", "license": "MIT" },
            { "id": "d", "name": "d", "version": "4.0.0", "source": "registry", "license": "MIT" },
        ],
        "resolve": { "nodes": [
            { "id": "path+cli", "deps": [
                { "pkg": "b", "dep_kinds": kinds(Value::Null) }, { "pkg": "c", "dep_kinds": kinds(json!("build")) },
            ] },
            { "id": "path+xtask", "deps": [{ "pkg": "d", "dep_kinds": kinds(Value::Null) }] },
            { "id": "b", "deps": [{ "pkg": "a", "dep_kinds": kinds(Value::Null) }] },
        ] },
    });
    let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n\n[[package]]\nname = \"cli\"\nversion = \"0.1.0\"\n";
    let list = document("0.1.0", &metadata, &checksums(lock));
    assert_eq!(
        list["components"],
        json!([
            {
                "type": "library", "name": "a", "version": "1.0.0", "purl": "pkg:cargo/a@1.0.0",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }], "hashes": [{ "alg": "SHA-256", "content": "00ff" }],
            },
            { "type": "library", "name": "b", "version": "2.0.0", "purl": "pkg:cargo/b@2.0.0", "licenses": [{ "expression": "MIT" }] },
        ])
    );
}
