use super::*;
use proptest::prelude::*;

proptest! {
    /// However it is cut into writes, what goes out is what was put in, in order.
    #[test]
    fn cuts_make_no_difference(sizes in prop::collection::vec(0usize..9000, 0..60), cuts in prop::collection::vec(1usize..20_000, 1..30)) {
        let (mut output, mut expected, mut written) = (Output::default(), Vec::new(), Vec::new());
        let mut cuts = cuts.iter().cycle();
        let mut rounds = sizes.iter().enumerate().peekable();
        while rounds.peek().is_some() || !output.is_empty() {
            // Two are put in, then something is written.
            for (round, size) in rounds.by_ref().take(2) {
                let piece = Bytes::from(vec![round as u8; *size]);
                Header { length: *size, kind: kind::DATA, flags: 0, stream: 1 }.write(&mut expected);
                expected.extend_from_slice(&piece);
                output.data(1, piece, false);
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = output.slices(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            let size = all.len().min(*cuts.next().unwrap());
            written.extend_from_slice(&all[..size]);
            let before = output.len();
            output.wrote(size);
            prop_assert_eq!(output.len(), before - size);
        }
        prop_assert_eq!(written, expected);
    }
}
