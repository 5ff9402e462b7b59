//! Waiting for something to be so, without polling and without sleeping.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::TimedOut;

/// Wakes everyone who waits whenever anything in the stand-in changed.
#[derive(Clone, Debug)]
pub(crate) struct Changes(watch::Sender<()>);

impl Changes {
    pub(crate) fn new() -> Self {
        Changes(watch::Sender::new(()))
    }

    pub(crate) fn notify(&self) {
        self.0.send_replace(());
    }

    /// Asks `probe` now and after each change, until it gives something.
    pub(crate) async fn wait<T>(
        &self,
        within: Duration,
        what: &str,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T, TimedOut> {
        let mut changed = self.0.subscribe();
        let waited = tokio::time::timeout(within, async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = probe() {
                    return Some(found);
                }
                if changed.changed().await.is_err() {
                    return None;
                }
            }
        });
        let timed_out = || TimedOut {
            within,
            what: what.to_owned(),
        };
        waited.await.ok().flatten().ok_or_else(timed_out)
    }
}
