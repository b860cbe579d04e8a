//! What chores do in parts: what a thread beside a worker works at a time is time that a worker on the same processor waits, with all that waits for it.

use crate::limits;
use transport::rt;

/// A worker on the same processor has its turn.
pub(crate) async fn rest() {
    rt::sleep(limits::REST).await;
}

/// How many of them a part has: a few, or of many more, so that there are not more parts than so many. What comes with each part costs more than it gives then.
pub(crate) fn size(of: usize, few: usize, parts: usize) -> usize {
    few.max(of.div_ceil(parts))
}

/// What becomes of lines, few at a time.
pub(crate) async fn of_lines<T, I: IntoIterator<Item = T>>(lines: &[String], of: impl Fn(&str) -> I) -> Vec<T> {
    let mut all = Vec::new();
    for part in lines.chunks(size(lines.len(), limits::LINES_PART, limits::LINES_PARTS)) {
        all.extend(part.iter().flat_map(|line| of(line)));
        rest().await;
    }
    all
}

#[cfg(test)]
mod tests;
