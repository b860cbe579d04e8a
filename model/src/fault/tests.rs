use super::*;

#[test]
fn labels_are_unique_and_read_back() {
    for fault in Fault::ALL {
        assert_eq!(Fault::parse(fault.label()), Some(*fault));
    }
}
