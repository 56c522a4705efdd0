//! bao-kms-provider: configuration, command line and assembly of the KMS v2 plugin.
