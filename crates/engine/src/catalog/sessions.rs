//! Records of sessions, for the service.
