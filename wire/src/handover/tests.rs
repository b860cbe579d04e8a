use super::*;

/// As release 0.1.0 says them. A release that cannot read these takes over from no proxy of it.
const RECORDED: [&str; 14] = [
    r#"{"ask":{"protocol":1,"proxy":"web-1","release":"0.1.0","pid":7}}"#,
    r#"{"offer":{"release":"0.1.0","pid":6,"generation":12,"groups":[{"address":"127.0.0.1:15100","sockets":2,"serves":"named"},{"address":"0.0.0.0:8081","sockets":2,"serves":"gateway","port":8080},{"address":"127.0.0.1:9900","sockets":1,"serves":"metrics"}],"connections":3}}"#,
    r#""ready""#,
    r#""released""#,
    r#""taken""#,
    r#""yours""#,
    r#"{"refused":"another successor is starting"}"#,
    r#"{"ask":{"protocol":1,"proxy":"web-1","release":"0.1.0","pid":7,"seats":true}}"#,
    r#"{"seats":[{"service":"files/service/shop/catalog","port":80,"endpoint":"catalog-1","open":3}]}"#,
    r#"{"want":{"service":"files/service/shop/catalog","endpoint":"catalog-1"}}"#,
    r#"{"have":{"service":"files/service/shop/catalog","endpoint":"catalog-1"}}"#,
    r#"{"gave":{"service":"files/service/shop/catalog","endpoint":"catalog-1"}}"#,
    r#"{"sessions":[{"port":53,"socket":1,"client":"192.0.2.7:4000","service":"files/service/shop/dns","service_port":53,"endpoint":"dns-1","asked":2,"answered":1}]}"#,
    r#"{"ask":{"protocol":1,"proxy":"web-1","release":"0.1.0","pid":7,"seats":true,"datagrams":true}}"#,
];

#[test]
fn words_are_as_they_were_recorded() {
    let group = |address: &str, sockets, serves| Group { address: address.parse().unwrap(), sockets, serves };
    let groups = vec![
        group("127.0.0.1:15100", 2, Serves::Named),
        group("0.0.0.0:8081", 2, Serves::Gateway { port: 8080 }),
        group("127.0.0.1:9900", 1, Serves::Metrics),
    ];
    let seat = |port| Seat { service: "files/service/shop/catalog".into(), port, endpoint: "catalog-1".into() };
    let words = [
        Word::Ask(Ask { protocol: 1, proxy: "web-1".into(), release: "0.1.0".into(), pid: 7, seats: false, datagrams: false }),
        Word::Offer(Offer { release: "0.1.0".into(), pid: 6, generation: 12, groups, connections: 3, seats: false, datagrams: false }),
        Word::Ready,
        Word::Released,
        Word::Taken,
        Word::Yours,
        Word::Refused("another successor is starting".into()),
        Word::Ask(Ask { protocol: 1, proxy: "web-1".into(), release: "0.1.0".into(), pid: 7, seats: true, datagrams: false }),
        Word::Seats(vec![Seats { seat: seat(Some(80)), open: 3 }]),
        Word::Want(seat(None)),
        Word::Have(seat(None)),
        Word::Gave(seat(None)),
        Word::Sessions(vec![Session {
            port: 53,
            socket: 1,
            client: "192.0.2.7:4000".parse().unwrap(),
            service: "files/service/shop/dns".into(),
            service_port: 53,
            endpoint: "dns-1".into(),
            asked: 2,
            answered: 1,
        }]),
        Word::Ask(Ask { protocol: 1, proxy: "web-1".into(), release: "0.1.0".into(), pid: 7, seats: true, datagrams: true }),
    ];
    for (word, recorded) in words.into_iter().zip(RECORDED) {
        assert_eq!(String::from_utf8(word.to_bytes()).unwrap(), recorded);
        assert_eq!(Word::from_bytes(recorded.as_bytes()), Ok(word));
    }
}

#[test]
fn fields_of_a_later_release_are_skipped_and_its_words_are_told() {
    let later = r#"{"offer":{"release":"0.2.0","pid":6,"generation":12,"colour":"red",
        "groups":[{"address":"127.0.0.1:15100","sockets":1,"serves":"dns","mark":7}]}}"#;
    let Ok(Word::Offer(offer)) = Word::from_bytes(later.as_bytes()) else { panic!("an offer") };
    assert_eq!((offer.connections, &offer.groups[0].serves), (0, &Serves::Unknown));
    assert!(Word::from_bytes(br#"{"farewell":1}"#).unwrap_err().contains("farewell"));
    assert!(Word::from_bytes(b"\xff").is_err());
}
