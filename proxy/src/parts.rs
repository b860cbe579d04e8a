//! What chores do in parts: what a thread beside a worker works at a time is time that a worker on the same processor waits, with all that waits for it.

use crate::limits;
use transport::rt;

/// A worker on the same processor has its turn.
pub(crate) async fn rest() {
    rt::sleep(limits::REST).await;
}

/// What becomes of lines, few at a time; of many a rest costs more than it gives.
pub(crate) async fn of_lines<T, I: IntoIterator<Item = T>>(lines: &[String], of: impl Fn(&str) -> I) -> Vec<T> {
    let mut all = Vec::new();
    for part in lines.chunks(limits::LINES_PART.max(lines.len().div_ceil(limits::PARTS))) {
        all.extend(part.iter().flat_map(|line| of(line)));
        rest().await;
    }
    all
}

#[cfg(test)]
mod tests;
