use super::*;

#[test]
fn attributes_are_what_the_library_reads_behind_a_message() {
    let long = "x".repeat(300);
    let values = [Value::Text(String::new()), Value::Text(long), Value::Bool(false), Value::Int(-1), Value::Int(0), Value::Double(0.5)];
    let written = |mut to: Attributes| {
        for (at, value) in values.iter().enumerate() {
            let name = at.to_string();
            match value {
                Value::Text(text) => to.text(("organza.", &name), text),
                other => to.put(("organza.", &name), other.clone()),
            }
        }
        to
    };
    let pairs = values.iter().enumerate();
    let pairs = pairs.map(|(at, value)| KeyValue { key: format!("organza.{at}"), value: Some(AnyValue { value: Some(value.clone()) }) });
    let attributes: Vec<_> = pairs.collect();
    let span = Span { span_id: vec![7; 8], flags: 1, ..Span::default() };
    let read = Span::decode(&*written(Attributes::of_span()).behind(&span));
    assert_eq!(read, Ok(Span { attributes: attributes.clone(), ..span }));
    let record = LogRecord { severity_number: 9, ..LogRecord::default() };
    let read = LogRecord::decode(&*written(Attributes::of_record()).behind(&record));
    assert_eq!(read, Ok(LogRecord { attributes, ..record }));
}
