use super::*;

/// Bytes as the published messages have them: numbers of fields, written by hand.
#[test]
fn an_answer_of_envoys_own_numbers_is_read() {
    // status { code: 7 } denied_response { status { code: 401 } headers { header { key: "a" value: "b" } append { value: true } } body: "no" }
    let message = [
        &[0x0a, 2, 0x08, 7][..],
        &[0x12, 23, 0x0a, 3, 0x08, 0x91, 0x03, 0x12, 12, 0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b', 0x12, 2, 0x08, 1],
        &[0x1a, 2, b'n', b'o'],
    ]
    .concat();
    let mut body = vec![0, 0, 0, 0, message.len() as u8];
    body.extend_from_slice(&message);
    let said = answer(&body).unwrap();
    assert_eq!(said.status.unwrap().code, 7);
    let Some(HttpResponse::Denied(denied)) = said.http_response else { panic!("it denies") };
    assert_eq!((denied.status.unwrap().code, &*denied.body), (401, "no"));
    assert_eq!((denied.headers[0].header.as_ref().unwrap().bytes(), denied.headers[0].manner()), (&b"b"[..], Manner::Append));
}

#[test]
fn what_is_no_message_says_nothing() {
    for body in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 2, 0x0a], &[0, 0, 0, 0, 1, 0xff], b"<html>"] {
        assert_eq!(answer(body), None, "{body:?}");
    }
    assert_eq!(answer(&[0; 5]), Some(CheckResponse::default()));
}

#[test]
fn fields_replace_what_is_there_where_nothing_else_is_said() {
    let manner = |append, append_action| HeaderValueOption { header: None, append, append_action }.manner();
    let all = [manner(None, 0), manner(Some(false), 2), manner(Some(true), 0), manner(None, 1), manner(None, 3)];
    assert_eq!(all, [Manner::Replace, Manner::Replace, Manner::Append, Manner::IfAbsent, Manner::IfPresent]);
}
