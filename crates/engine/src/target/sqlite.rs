//! Puts `sqlite` components back.
