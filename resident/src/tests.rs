use super::*;

/// As `proc_pid_smaps(5)` has it, of a program beside its libraries.
const SMAPS: &str = "\
55d9d0e00000-55d9d1700000 r--p 00000000 fe:00 1835079                    /opt/my mesh/organza
Size:               9216 kB
Rss:                1192 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55d9d1700000-55d9d3500000 r-xp 008ff000 fe:00 1835079                    /opt/my mesh/organza
Rss:                5136 kB
Anonymous:             0 kB
55d9d3500000-55d9d35e6000 r--p 026ff000 fe:00 1835079                    /opt/my mesh/organza
Rss:                 920 kB
Anonymous:           912 kB
55d9d35e6000-55d9d35f1000 rw-p 027e5000 fe:00 1835079                    /opt/my mesh/organza
Anonymous:             0 kB
55d9d35f1000-55d9d35f2000 r--s 027e5000 fe:00 1835079                    /opt/my mesh/organza
Anonymous:             0 kB
7f1f00000000-7f1f00100000 r-xp 00000000 fe:00 9                          /lib/libc.so.6
Anonymous:             0 kB
7f1f00200000-7f1f00300000 r-xp 00000000 fe:00 10                         /srv/opt/my mesh/organza
Anonymous:             0 kB
7f1f00400000-7f1f00500000 r--p 00000000 00:00 0 
Anonymous:             0 kB
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
Anonymous:           108 kB
";

#[test]
fn what_was_changed_can_be_written_or_is_another_files_is_left_alone() {
    let found = of(SMAPS, "/opt/my mesh/organza");
    assert_eq!(
        found,
        [Mapping { from: 0x55d9d0e00000, to: 0x55d9d1700000 }, Mapping { from: 0x55d9d1700000, to: 0x55d9d3500000 }],
        "constants and code"
    );
    assert_eq!(of(SMAPS, "/opt/other"), []);
    // A program that was replaced on the disk is none that could be read again by its name, but by its mapping it can.
    let gone = SMAPS.replace("organza\n", "organza (deleted)\n");
    assert_eq!(of(&gone, "/opt/my mesh/organza (deleted)").len(), 2);
    assert_eq!(of("", "/opt/my mesh/organza"), []);
    assert_eq!(of("nonsense\nzz-00 r-xp 0 0 0 /a\nAnonymous: 0 kB\n10-10 r-xp 0 0 0 /a\nAnonymous: 0 kB\n", "/a"), []);
}

/// Of the program's own file, in KiB.
fn resident() -> u64 {
    let program = std::fs::read_link(PROGRAM).unwrap();
    let mappings = std::fs::read_to_string(MAPPINGS).unwrap();
    let (mut sum, mut ours) = (0, false);
    for line in mappings.lines() {
        if headed(line).is_some() {
            ours = file(line) == program.to_string_lossy();
        } else if let Some(rss) = line.strip_prefix("Rss:").filter(|_| ours) {
            sum += rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        }
    }
    sum
}

/// Code that is run, and constants that are read, before and after.
fn runs() -> String {
    let words = ["one", "two", "three"].map(|word| format!("{word:>6}{:.3}", 1.0 / 3.0));
    words.concat()
}

/// Constants that nobody reads again once they were given back: of all else this process may run and read some at any moment, the harness and other tests too.
static READ_ONCE: [u8; 1 << 20] = [7; 1 << 20];

#[test]
fn a_program_that_gave_its_pages_back_runs_on_and_holds_fewer() {
    let constants = std::hint::black_box(&READ_ONCE).len() as u64 / 1024;
    // All of it is touched, as nobody's start does.
    let program = std::fs::read_link(PROGRAM).unwrap();
    let mappings = std::fs::read_to_string(MAPPINGS).unwrap();
    let mut touched = 0u64;
    for Mapping { from, to } in of(&mappings, &program.to_string_lossy()) {
        for at in (from..to).step_by(4096) {
            // SAFETY: mapped, and readable by what the kernel says of it.
            touched += u64::from(unsafe { std::ptr::with_exposed_provenance::<u8>(at).read_volatile() });
        }
    }
    let (before, said) = (resident(), runs());
    assert!(touched > 0 && before > 400 + constants, "{before} KiB");
    let bytes = give_back().unwrap();
    let after = resident();
    assert!(bytes as u64 / 1024 >= before / 2, "{bytes} bytes of address space for {before} KiB");
    // What lies beside something that is run comes with it, sixteen pages at most on each side.
    assert!(before.saturating_sub(after) >= constants - 128, "{before} KiB before, {after} after");
    assert_eq!(runs(), said);
}
