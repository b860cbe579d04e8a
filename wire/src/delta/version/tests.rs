use super::Version;

#[test]
fn every_version_is_told_as_it_came() {
    let hash = crate::version(b"bytes");
    let zeroes = format!("{:032x}", 7);
    for text in [&*hash, &zeroes, "", "12", "v", &hash.to_uppercase(), &format!("+{}", &hash[1..]), &format!("{hash}0")] {
        let version = Version::from(text);
        assert_eq!(version.to_string(), text);
        assert_eq!(version.is_none(), text.is_empty());
    }
    assert!(size_of::<Version>() <= 24, "there is one for each resource");
    assert_ne!(Version::from(&*hash), Version::from(&*zeroes));
}
