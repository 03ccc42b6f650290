//! The engine from outside: sources and targets against real data.

mod sqlite;
