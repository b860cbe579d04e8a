use super::*;

#[test]
fn the_fields_are_those_of_proc() {
    let told = read("Name:\torganza\nVmHWM:\t  99 kB\nVmRSS:\t  2048 kB\nThreads:\t6\n", 7, 9).unwrap();
    assert_eq!((told.resident_bytes, told.threads, told.cpu_millis, told.descriptors), (2048 * 1024, 6, 7, 9));
    assert_eq!(read("Name:\tVmRSS\n", 7, 9), None);
    assert!(look().is_some_and(|own| own.resident_bytes > 0 && own.descriptors > 0));
}

#[test]
fn time_of_the_processor_is_that_of_stat() {
    let stat = "25 (a) b (c) R 1 25 8371 0 -1 4194304 122 0 0 0 250 31 0 0 20 0 1 0 8612633 3133440 383";
    assert_eq!((cpu_millis(stat), cpu_millis("25 (a) R 1"), cpu_millis("")), (Some(2810), None, None));
}
