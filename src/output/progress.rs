//! Owns what the stages say about how far they are: one channel, written by the stages and read by whoever
//! shows it. Here that is a line in the log every five seconds.

use std::time::Duration;

use tokio::sync::watch;

/// How far the move is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The stage, as a verb phrase; empty while there is nothing to tell.
    pub stage: &'static str,
    /// The table being worked on, if one is.
    pub table: String,
    /// Rows sent so far.
    pub rows: u64,
    /// Bytes sent so far.
    pub bytes: u64,
    /// Bytes of the source, for a sense of proportion.
    pub source_bytes: u64,
    /// Whether PostgreSQL has to act next, not this program.
    pub awaits_server: bool,
}

/// The stages' end of the channel.
#[derive(Debug, Clone)]
pub struct Reporter(watch::Sender<Progress>);

impl Default for Reporter {
    fn default() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }
}

impl Reporter {
    /// Enters a stage.
    pub fn stage(&self, stage: &'static str) {
        tracing::debug!("stage: {stage}");
        self.0.send_modify(|progress| {
            progress.stage = stage;
            progress.table.clear();
            progress.awaits_server = true;
        });
    }

    /// How far it is now.
    pub fn seen(&self) -> Progress {
        self.0.borrow().clone()
    }

    /// Changes the numbers.
    pub fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.0.send_modify(change);
    }

    /// Writes a line every five seconds while a stage is under way. Never returns.
    pub async fn log(&self) -> std::convert::Infallible {
        let receiver = self.0.subscribe();
        let mut last_bytes = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let progress = receiver.borrow().clone();
            if progress.stage.is_empty() {
                continue;
            }
            let rate = bytes((progress.bytes.saturating_sub(last_bytes)) / 5);
            last_bytes = progress.bytes;
            match progress.table.as_str() {
                "" => tracing::info!("still {}", progress.stage),
                table => tracing::info!(
                    "{} {table}: {} rows, {} of about {}, {rate}/s",
                    progress.stage,
                    progress.rows,
                    bytes(progress.bytes),
                    bytes(progress.source_bytes),
                ),
            }
        }
    }
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let count_as_float = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count_as_float / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count_as_float / 1e6),
        _ => format!("{:.2} GB", count_as_float / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_for_people() {
        assert_eq!(
            [999, 1_500, 2_000_000, 1_090_000_000].map(bytes),
            ["999 B", "1.5 kB", "2.0 MB", "1.09 GB"]
        );
    }
}
