//! Records of settings, for the service.
