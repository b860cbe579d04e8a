//! What is told by few looks at many bytes, against readers that look at each byte in turn.

use super::*;
use proptest::prelude::*;

fn end_by_byte(bytes: &[u8], searched: usize, most: usize) -> Result<Option<usize>, ()> {
    for at in searched.saturating_sub(3)..bytes.len() {
        match bytes[at] {
            b'\n' if at == 0 || bytes[at - 1] != b'\r' => return Err(()),
            b'\r' if bytes.get(at + 1).is_some_and(|next| *next != b'\n') => return Err(()),
            b'\n' if bytes[..at].ends_with(b"\r\n\r") => return if at + 1 > most { Err(()) } else { Ok(Some(at + 1)) },
            _ => {}
        }
    }
    if bytes.len() > most { Err(()) } else { Ok(None) }
}

fn authority_by_byte(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+,;=%".contains(&b);
    let (host, port) = match text.rfind(':').filter(|colon| !text[*colon..].contains(']')) {
        Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
        None => (text, None),
    };
    let good_host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
        Some(Some(inner)) => !inner.is_empty() && !inner.contains(['[', ']']),
        Some(None) => false,
        None => !host.contains(['[', ']', ':', '%']) && !host.ends_with(".."),
    };
    let good_port = port.is_none_or(|p| p.is_empty() || p.parse::<u16>().is_ok() && p.bytes().all(|b| b.is_ascii_digit()));
    text.bytes().all(allowed) && good_host && good_port
}

fn target_by_byte(target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    !target.contains('#') && !path.contains(['<', '>', '`']) && !query.contains(['<', '>', '"'])
}

proptest! {
    #[test]
    fn a_head_ends_where_one_who_reads_byte_by_byte_sees_it_end(
        bytes in proptest::collection::vec(prop_oneof![3 => Just(&b"\r\n"[..]), 2 => Just(&b"a"[..]), 1 => Just(&b"\n"[..]), 1 => Just(&b"\r"[..])], 0..14),
        cuts in proptest::collection::vec(0usize..6, 1..8),
        most in 6usize..24,
    ) {
        let bytes = bytes.concat();
        let (mut searched, mut seen) = (0, 0);
        for cut in cuts {
            seen = (seen + cut).min(bytes.len());
            let slow = end_by_byte(&bytes[..seen], searched, most);
            let from = searched;
            let found = find_end(&bytes[..seen], &mut searched, most).map_err(drop);
            // Of a whole head those who read it look at the ends of its lines.
            let good = |end: &usize| well_ended(&bytes[..*end], from.saturating_sub(3));
            let quick = found.and_then(|end| if end.as_ref().is_none_or(good) { Ok(end) } else { Err(()) });
            prop_assert_eq!(quick, slow, "{:?} after {} bytes", bytes, seen);
            if quick != Ok(None) {
                break;
            }
            prop_assert_eq!(searched, seen);
        }
    }

    #[test]
    fn a_whole_head_is_taken_only_if_each_line_ends_by_crlf(
        ends in proptest::collection::vec(prop_oneof![6 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n"), 1 => Just("\n\r\n")], 5),
        first in prop_oneof![8 => Just(""), 1 => Just("\n"), 1 => Just("\r\n")],
        value in "[a ]{0,2}",
    ) {
        // What is told apart by its parts may be the same as a whole.
        let fields = |ends: &[&str]| format!("Host: a{}x:{value}{}y: b{}{}", ends[0], ends[1], ends[2], ends[3]);
        let whole = |line: &str, ends: &[&str]| format!("{line}{}{}", ends[0], fields(&ends[1..]));
        let well = ["\r\n"; 5];
        for line in ["GET / HTTP/1.1", "HTTP/1.1 200 OK"] {
            let (text, good) = (format!("{first}{}", whole(line, &ends)), whole(line, &well));
            let taken = match line.starts_with("GET") {
                true => request(text.as_bytes(), &mut RequestHead::default()).is_ok(),
                false => response(text.as_bytes(), &mut ResponseHead::default()).is_ok(),
            };
            prop_assert_eq!(taken, text == good, "{:?}", text);
        }
        let behind = fields(&ends[1..]);
        prop_assert_eq!(trailers(behind.as_bytes()).is_ok(), behind == fields(&well[1..]), "{:?}", behind);
    }

    #[test]
    fn hosts_and_targets_are_what_they_are_byte_by_byte(text in "[a:\\[\\]%.0-9/?#<>`\"é -]{0,8}") {
        prop_assert_eq!(check_authority(&text).is_ok(), authority_by_byte(&text));
        prop_assert_eq!(check_target(&text).is_ok(), target_by_byte(&text));
    }
}

#[test]
fn a_trailer_section_has_so_many_fields_and_no_more() {
    let section = |fields: usize| trailers(format!("{}\r\n", "a: b\r\n".repeat(fields)).as_bytes());
    assert_eq!(section(limits::HEADERS).unwrap().iter().count(), limits::HEADERS);
    assert_eq!(section(limits::HEADERS + 1).unwrap_err().fault, Fault::MalformedRequest);
}
