//! Owns the way from a file that was found to a source that can be read.

use crate::command::frame::Controls;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::sqlite::source::{Census, Location, Source};
use crate::sqlite::thread::off_thread;

/// Opens the source for a command that only reads, and counts its users. Where somebody has it open, a private copy of one
/// moment is read; the app is not disturbed. The copy, or another one that is needed, must have `times` its size free.
///
/// # Errors
/// As [`Location::open_to_read`].
pub(crate) async fn open_to_read(
    settings: &Settings,
    controls: &Controls,
    location: Location,
    times: u64,
) -> Result<(Source, Census, bool), Failure> {
    let (settings, controls) = (settings.clone(), controls.clone());
    let opened = off_thread(move || {
        let room = location.bytes().saturating_mul(times);
        let (source, copied) = location.open_to_read(|| controls.make_scratch(&settings, room))?;
        let census = source.census()?;
        Ok((source, census, copied))
    })
    .await?;
    Ok(opened)
}

/// Waits until nobody else has the source open, opens it and counts its users. A private copy, where one is
/// needed, must have `times` its size free.
///
/// # Errors
/// As [`Location::open`].
pub(crate) async fn open_source(
    settings: &Settings,
    controls: &Controls,
    location: Location,
    times: u64,
) -> Result<(Source, Census), Failure> {
    let (settings, controls) = (settings.clone(), controls.clone());
    let opened = off_thread(move || {
        location.wait_until_closed(settings.wait)?;
        let room = location.bytes().saturating_mul(times);
        let source = location.open(|| controls.make_scratch(&settings, room))?;
        let census = source.census()?;
        Ok((source, census))
    })
    .await?;
    Ok(opened)
}
