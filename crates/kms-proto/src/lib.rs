//! Generated messages and service of the Kubernetes KMS v2 API.
