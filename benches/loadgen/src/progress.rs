//! Progress bars on standard error. Nothing is drawn where that is no terminal.

use std::borrow::Cow;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};

/// Requests under way at once while something is prepared.
const PREPARING_CONCURRENCY: usize = 8;

/// Does the same for all items, several at once, with a bar. Gives the results in the order of the items; ends at the
/// first error.
pub(crate) async fn for_all<I: ExactSizeIterator, T>(
    what: impl Into<Cow<'static, str>>,
    items: I,
    action: impl AsyncFn(I::Item) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let bar = bar(what, items.len());
    let results = stream::iter(items)
        .map(|item| action(item))
        .buffered(PREPARING_CONCURRENCY)
        .inspect(|_| bar.inc(1))
        .try_collect()
        .await;
    bar.finish_and_clear();
    results
}

/// A bar that counts up to `total`.
pub(crate) fn bar(what: impl Into<Cow<'static, str>>, total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    let template = "{prefix:>28} {bar:40} {pos}/{len} {elapsed} (eta {eta})";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar
}
