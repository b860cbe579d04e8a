use super::*;

const TWO: &str = "# first\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n\napiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: shop}\n";
const ONE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: c}\n";

/// Looks until what changed has stopped changing.
fn settled(files: &mut Files) -> Option<Read> {
    files.look().or_else(|| files.look())
}

fn names(read: &Read) -> Vec<String> {
    read.objects.iter().map(|o| o.object.to_string()).collect()
}

fn folder() -> (tempfile::TempDir, PathBuf, Files) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("config");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("two.yaml"), TWO).unwrap();
    let files = Files::new(vec![folder.clone()]);
    (root, folder, files)
}

#[test]
fn documents_have_their_lines_and_namespaces() {
    let (_root, _, mut files) = folder();
    let read = files.look().unwrap();
    assert_eq!(read.problems, []);
    let places: Vec<_> = read.objects.iter().map(|o| (o.object.to_string(), o.place.line)).collect();
    assert_eq!(places, [("Service default/a".into(), 2), ("Service shop/b".into(), 7)]);
    assert!(files.look().is_none());
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_its_problem_until_it_is_mended() {
    let (_root, folder, mut files) = folder();
    files.look();
    std::fs::write(folder.join("two.yaml"), "kind: [\n").unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!((names(&read).len(), read.problems.len()), (2, 1));
    // Another file comes: the first is broken all the same.
    std::fs::write(folder.join("one.yaml"), ONE).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!(names(&read), ["Service default/c", "Service default/a", "Service shop/b"]);
    assert_eq!(read.problems.len(), 1);
    std::fs::write(folder.join("two.yaml"), TWO).unwrap();
    assert_eq!(settled(&mut files).unwrap().problems, []);
}

#[test]
fn a_file_put_in_anothers_place_is_seen_though_size_and_time_are_the_same() {
    let (_root, folder, mut files) = folder();
    files.look();
    let (path, beside) = (folder.join("two.yaml"), folder.join("beside"));
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&beside, TWO.replace("name: a", "name: z")).unwrap();
    std::fs::File::options().write(true).open(&beside).unwrap().set_modified(time).unwrap();
    std::fs::rename(&beside, &path).unwrap();
    assert_eq!(names(&settled(&mut files).unwrap()), ["Service default/z", "Service shop/b"]);
}

#[test]
fn a_half_written_file_is_not_read() {
    let (_root, folder, mut files) = folder();
    files.look();
    std::fs::write(folder.join("two.yaml"), "").unwrap();
    assert!(files.look().is_none());
    std::fs::write(folder.join("two.yaml"), ONE).unwrap();
    assert!(files.look().is_none());
    assert_eq!(names(&files.look().unwrap()), ["Service default/c"]);
}

#[test]
fn a_folder_that_vanished_keeps_what_it_held_and_may_return() {
    let (root, folder, mut files) = folder();
    files.look();
    let away = root.path().join("away");
    std::fs::rename(&folder, &away).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!((names(&read).len(), read.problems.len()), (2, 1));
    // Nothing new: nothing is read.
    assert!(settled(&mut files).is_none());
    std::fs::write(away.join("one.yaml"), ONE).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!((names(&read).len(), read.problems.len()), (3, 0));
}

#[test]
fn one_of_two_paths_that_vanished_keeps_what_it_held() {
    let (root, folder, _) = folder();
    let alone = root.path().join("alone.yaml");
    std::fs::write(&alone, ONE).unwrap();
    let mut files = Files::new(vec![folder.clone(), alone.clone()]);
    assert_eq!(names(&files.look().unwrap()).len(), 3);
    std::fs::remove_file(&alone).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!((names(&read).len(), read.problems.len()), (3, 1));
}

#[test]
fn a_file_taken_out_of_a_folder_takes_its_objects_along() {
    let (_root, folder, mut files) = folder();
    std::fs::write(folder.join("one.yaml"), ONE).unwrap();
    files.look();
    std::fs::remove_file(folder.join("two.yaml")).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!((names(&read), read.problems), (vec!["Service default/c".to_owned()], vec![]));
}

#[test]
fn files_of_one_name_in_two_folders_are_told_apart_and_of_two_twins_the_older_stays() {
    let (root, folder, _) = folder();
    let other = root.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("two.yaml"), ONE).unwrap();
    // A folder that is named twice is read once.
    let mut files = Files::new(vec![folder.clone(), other.clone(), folder.clone()]);
    let read = files.look().unwrap();
    let places: Vec<_> = read.objects.iter().map(|o| format!("{}:{}", o.place.file, o.place.line)).collect();
    assert_eq!((places.join(" "), read.problems), ("config/two.yaml:2 config/two.yaml:7 other/two.yaml:1".into(), vec![]));

    // Its file is read before the one that had the object first.
    std::fs::write(folder.join("a.yaml"), ONE).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!(names(&read), ["Service default/a", "Service shop/b", "Service default/c"]);
    assert_eq!(&*read.objects[2].place.file, "other/two.yaml");
    let [problem] = &read.problems[..] else { panic!("{:?}", read.problems) };
    assert_eq!((&*problem.file, problem.line, &*problem.reason), ("config/a.yaml", 1, "Duplicate"));
    assert!(problem.message.contains("other/two.yaml:1"), "{}", problem.message);

    std::fs::remove_file(other.join("two.yaml")).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!((&*read.objects[0].place.file, read.problems.len()), ("config/a.yaml", 0));

    // Also within one file.
    std::fs::write(folder.join("a.yaml"), format!("{ONE}---\n{ONE}")).unwrap();
    let read = settled(&mut files).unwrap();
    assert_eq!((read.objects.len(), read.problems[0].line), (3, 5));
}

/// What is for the whole mesh comes from where its owner said, and from nowhere below.
#[test]
fn a_folder_in_a_folder_is_not_read() {
    let (_root, folder, mut files) = folder();
    let below = folder.join("team");
    std::fs::create_dir(&below).unwrap();
    let policy = "apiVersion: organza.dev/v1alpha1\nkind: ClusterAccessPolicy\nmetadata: {name: all}\nspec: {tier: Admin, rules: [{}]}\n";
    std::fs::write(below.join("policy.yaml"), policy).unwrap();
    assert_eq!(names(&files.look().unwrap()), ["Service default/a", "Service shop/b"]);
    std::fs::write(folder.join("policy.yaml"), policy).unwrap();
    assert_eq!(names(&settled(&mut files).unwrap()), ["ClusterAccessPolicy all", "Service default/a", "Service shop/b"]);
}
