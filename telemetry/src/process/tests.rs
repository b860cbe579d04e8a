use super::*;

#[test]
fn the_fields_are_those_of_proc() {
    let told = read("Name:\torganza\nVmHWM:\t  99 kB\nVmRSS:\t  2048 kB\nThreads:\t6\n", 7, 9).unwrap();
    assert_eq!((told.resident_bytes, told.threads, told.cpu_millis, told.descriptors), (2048 * 1024, 6, 7, 9));
    assert_eq!(read("Name:\tVmRSS\n", 7, 9), None);
    assert!(look().is_some_and(|own| own.resident_bytes > 0 && own.descriptors > 0));
}
