//! Records of jobs, for the service.
