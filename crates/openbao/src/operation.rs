//! The requests that exist: their names in metrics and logs, and what an answer may weigh.

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    JwtLogin,
    TokenRenewSelf,
    MetadataRead,
    DisableUpsertRead,
    Encrypt,
    Decrypt,
    BatchDecrypt,
}

const KIB: usize = 1024;

impl Operation {
    /// The label `operation`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::JwtLogin => "jwt_login",
            Self::TokenRenewSelf => "token_renew_self",
            Self::MetadataRead => "transit_metadata_read",
            Self::DisableUpsertRead => "transit_disable_upsert_read",
            Self::Encrypt => "transit_encrypt",
            Self::Decrypt => "transit_decrypt",
            Self::BatchDecrypt => "transit_batch_decrypt",
        }
    }

    /// Whether it acquires a token, so that a refusal is about the credential.
    pub(crate) fn is_login(self) -> bool {
        matches!(self, Self::JwtLogin)
    }

    /// The most bytes that an answer with `status` may have. A batch answers with its
    /// results also under 400 and 500, so its bound is the same for every status.
    pub(crate) fn body_limit(self, status: u16) -> usize {
        match self {
            Self::BatchDecrypt => 4 * KIB * KIB,
            _ if !(200..300).contains(&status) => 64 * KIB,
            Self::MetadataRead | Self::DisableUpsertRead => 4 * KIB * KIB,
            Self::JwtLogin | Self::TokenRenewSelf | Self::Encrypt | Self::Decrypt => 256 * KIB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_may_weigh_64_kib_metadata_and_batches_4_mib_and_the_rest_256_kib() {
        let table = [
            (Operation::MetadataRead, 200, 4 << 20),
            (Operation::MetadataRead, 503, 64 << 10),
            (Operation::DisableUpsertRead, 200, 4 << 20),
            (Operation::BatchDecrypt, 200, 4 << 20),
            (Operation::BatchDecrypt, 400, 4 << 20),
            (Operation::Decrypt, 200, 256 << 10),
            (Operation::Decrypt, 400, 64 << 10),
            (Operation::Encrypt, 200, 256 << 10),
            (Operation::JwtLogin, 200, 256 << 10),
            (Operation::JwtLogin, 307, 64 << 10),
        ];
        for (operation, status, limit) in table {
            assert_eq!(
                operation.body_limit(status),
                limit,
                "{operation:?} {status}"
            );
        }
    }
}
