//! Records of tokens, for the service.
