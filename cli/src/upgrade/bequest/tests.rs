use super::*;
use std::io::{Read, Write};

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
