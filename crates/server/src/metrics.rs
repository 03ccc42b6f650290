//! Figures for Prometheus, in its text format. Base units and names as its guide wants them.

use crate::state::App;
use engine::Result;

/// How requests went.
#[derive(Default)]
pub struct HttpFigures;

/// All figures now.
pub fn render(_app: &App) -> Result<String> {
    Ok(String::new())
}
