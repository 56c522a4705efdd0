//! Failures in containerd's words.

use cri::Fault;

pub(super) fn not_found(message: String) -> Fault {
    Fault::NotFound { message }
}

pub(super) fn refused(code: &'static str, message: String) -> Fault {
    Fault::Refused { code, message }
}

pub(super) fn reserved(kind: &str, name: &str, holder: &str) -> Fault {
    Fault::AlreadyReserved {
        holder: Some(holder.to_owned()),
        message: format!(
            "failed to reserve {kind} name \"{name}\": name \"{name}\" is reserved for \"{holder}\""
        ),
    }
}

pub(super) fn no_sandbox(id: &str) -> Fault {
    not_found(format!(
        "an error occurred when try to find sandbox \"{id}\": not found"
    ))
}

pub(super) fn no_container(id: &str) -> Fault {
    not_found(format!(
        "an error occurred when try to find container \"{id}\": not found"
    ))
}
