//! Alarms.

use crate::figures::Figures;
use crate::state::App;
use crate::work::DiskFigures;
use engine::Result;
use engine::config::Config;

/// Something is wrong now.
pub struct Alarm {
    /// For people.
    pub text: String,
}

/// What is wrong now.
pub fn alarms(_app: &App, _config: &Config, _figures: &Figures, _disk: Option<DiskFigures>) -> Result<Vec<Alarm>> {
    Ok(Vec::new())
}
