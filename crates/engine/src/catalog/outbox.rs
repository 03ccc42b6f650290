//! Records of outbox, for the service.
