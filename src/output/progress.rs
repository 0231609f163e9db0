//! Owns what the stages say about how far they are: one channel, written by the stages and read by whoever
//! shows it. Here that is a line in the log every five seconds.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How far the move is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
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
    /// When the stage was entered, and the bytes sent until then.
    pub entered: Option<(Instant, u64)>,
}

/// The stages' end of the channel.
#[derive(Debug, Clone)]
pub(crate) struct Reporter(watch::Sender<Progress>);

impl Default for Reporter {
    fn default() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }
}

impl Reporter {
    /// Enters a stage.
    pub(crate) fn stage(&self, stage: &'static str) {
        tracing::debug!("stage: {stage}");
        self.0.send_modify(|progress| {
            progress.stage = stage;
            progress.table.clear();
            progress.awaits_server = true;
            progress.entered = Some((Instant::now(), progress.bytes));
        });
    }

    /// How far it is now.
    pub(crate) fn seen(&self) -> Progress {
        self.0.borrow().clone()
    }

    /// Changes the numbers.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.0.send_modify(change);
    }

    /// Writes a line every five seconds while a stage is under way. Never returns.
    pub(crate) async fn log(&self) -> std::convert::Infallible {
        let receiver = self.0.subscribe();
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let progress = receiver.borrow().clone();
            if !progress.stage.is_empty() {
                tracing::info!("{}", progress.line());
            }
        }
    }
}

impl Progress {
    /// The stage and for how long it has been going on; how far it is, where bytes are what it counts.
    fn line(&self) -> String {
        let (took, before) = self.entered.map_or((Duration::ZERO, 0), |(since, before)| {
            (since.elapsed(), before)
        });
        self.line_after(took, self.bytes.saturating_sub(before))
    }

    fn line_after(&self, took: Duration, sent: u64) -> String {
        let table = match self.table.as_str() {
            "" => String::new(),
            table => format!(", at {table}"),
        };
        let seconds = took.as_secs().max(1);
        // Other stages count nothing: the numbers of the load say nothing about them.
        if sent == 0 {
            return format!("{}{table} ({seconds} s so far)", self.stage);
        }
        // The rows of a file are about as many bytes as the file, and now and then more.
        let all = self.source_bytes.max(self.bytes).max(1);
        let percent = (self.bytes.saturating_mul(100) / all).min(99);
        let rate = sent / seconds;
        let left = match all.saturating_sub(self.bytes).checked_div(rate) {
            Some(left) if self.bytes < all => format!(", about {left} s left"),
            _ => String::new(),
        };
        format!(
            "{}{table}: {percent} %, {} of about {}, {}/s{left}",
            self.stage,
            bytes(self.bytes),
            bytes(all),
            bytes(rate)
        )
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
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
    use super::*;

    #[test]
    fn bytes_for_people() {
        assert_eq!(
            [999, 1_500, 2_000_000, 1_090_000_000].map(bytes),
            ["999 B", "1.5 kB", "2.0 MB", "1.09 GB"]
        );
    }

    #[test]
    fn a_line_has_the_numbers_of_its_own_stage() {
        let loading = Progress {
            stage: "loading",
            table: "chat".to_owned(),
            bytes: 165_000_000,
            source_bytes: 431_000_000,
            ..Progress::default()
        };
        let took = Duration::from_secs(3);
        assert_eq!(
            loading.line_after(took, 165_000_000),
            "loading, at chat: 38 %, 165.0 MB of about 431.0 MB, 55.0 MB/s, about 4 s left"
        );
        // What the load has sent is not what the proof has compared.
        let verifying = Progress {
            stage: "verifying",
            ..loading.clone()
        };
        assert_eq!(
            verifying.line_after(took, 0),
            "verifying, at chat (3 s so far)"
        );
        let more = Progress {
            bytes: 500_000_000,
            ..loading
        };
        let line = more.line_after(took, 500_000_000);
        assert!(line.contains(" 99 %") && !line.contains("left"), "{line}");
    }
}
