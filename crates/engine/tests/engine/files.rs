//! Sources and targets made of files.

mod config;
mod crash;
mod double;
mod live;
mod logs;
mod reading;
mod round_trip;
