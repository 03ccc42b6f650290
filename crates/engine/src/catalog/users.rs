//! Records of users, for the service.
