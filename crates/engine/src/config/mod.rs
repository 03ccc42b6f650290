//! Settings, from wherever they come.

pub mod component;

pub use component::ComponentConfig;
