use super::*;
use crate::limits;
use std::io::{Read, Write};
use tokio::time::{Instant, timeout};

#[test]
fn a_command_is_resumed_once_whatever_it_was() {
    let resumed = |arguments: &[&str]| {
        let all = resuming(arguments.iter().map(OsString::from));
        all.iter().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(resumed(&["up", "-f", "a.yaml"]), "up --resume -f a.yaml");
    assert_eq!(resumed(&["up", "--resume", "-f", "a.yaml"]), "up --resume -f a.yaml");
    assert_eq!(resumed(&["run", "--service", "web", "--", "sh", "--resume"]), "run --resume --service web -- sh --resume");
}

#[tokio::test]
async fn children_come_out_of_a_bequest_as_they_went_in() {
    let pipe = || std::io::pipe().unwrap();
    let (mut heard, lifeline) = pipe();
    let (output, mut said) = pipe();
    let serving = (7, Pipes { lifeline: Some(lifeline.into()), outputs: vec![output.into()] });
    let elder = (6, Pipes { lifeline: None, outputs: Vec::new() });
    let mut descriptors = Descriptors::default();
    let children = descriptors.put_children(Released { serving: Some(serving), elders: vec![elder] });
    let socket = prepared(&children, &descriptors).await.unwrap();
    drop(descriptors);

    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(true).unwrap();
    let frame = Channel::new(UnixStream::from_std(stream).unwrap()).recv().await.unwrap().unwrap();
    let mut descriptors = Descriptors(frame.descriptors.into());
    // Standard input, to be put back.
    descriptors.take().unwrap();
    let released = descriptors.take_children(serde_json::from_slice(&frame.message).unwrap()).unwrap();
    let Some((7, pipes)) = released.serving else { panic!("the child that serves") };
    assert_eq!((released.elders[0].0, released.elders[0].1.outputs.len()), (6, 0));
    said.write_all(b"word").unwrap();
    let mut word = [0; 4];
    std::fs::File::from(pipes.outputs.into_iter().next().unwrap()).read_exact(&mut word).unwrap();
    assert_eq!(&word, b"word");
    // The lifeline ends where the last holder lets it go.
    drop(pipes.lifeline);
    assert_eq!(heard.read(&mut word).unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_and_what_does_not_come_are_waited_for_so_long_and_no_longer() {
    let in_time = limits::ANSWER * 2;
    let begun = Instant::now();
    // More than a socket holds, and less than a message may have.
    let page = "x".repeat(transport::limits::HANDOVER_BYTES - 1024);
    let refused = timeout(in_time, prepared(&page, &Descriptors::default())).await.expect("it is given up").expect_err("nobody reads");
    assert!(refused.what.contains("too much"), "{refused}");
    assert_eq!(begun.elapsed(), limits::ANSWER);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let begun = Instant::now();
    assert!(timeout(in_time, read::<String>(ours)).await.expect("it is given up").is_err());
    assert_eq!(begun.elapsed(), limits::ANSWER);
}
