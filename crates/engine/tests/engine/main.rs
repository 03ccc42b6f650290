//! The engine against real servers and real folders.

mod postgres;
