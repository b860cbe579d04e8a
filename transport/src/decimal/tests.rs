use super::digits;

#[test]
fn as_the_standard_library_writes_them() {
    let powers = (0..20).map(|n| 10_u64.pow(n)).flat_map(|n| [n - 1, n, n + 1]);
    for number in powers.chain([u64::MAX, u64::MAX - 1]) {
        assert_eq!(digits(number, &mut [0; 20]), number.to_string().as_bytes());
    }
}
