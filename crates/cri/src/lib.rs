//! The Container Runtime Interface v1: messages, a client, errors by class.
//!
//! [`Runtime`] is what an agent asks of a runtime; [`Client`] asks a real one through its Unix
//! socket. `src/v1.rs` is written by `cargo xtask generate` from `proto/v1.proto`, which has the
//! calls and fields that are used here and no others. With the feature `server` it has the other
//! half too, so that a runtime of tests can be served.
//!
//! Runtimes answer some questions in different words. The [`Client`] makes them one: an image
//! that is not there is [`None`], to stop or remove what is gone succeeds, a name that is taken is
//! [`Fault::AlreadyReserved`] under whatever code, and a runtime that has not yet started, or is
//! gone in the middle of a call, is [`Fault::Unavailable`].
//!
//! Modules from the ground floor to the roof; each uses only what stands above it.

#[rustfmt::skip]
#[expect(
    missing_docs,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "the generator decides what this file looks like"
)]
#[cfg_attr(
    feature = "server",
    expect(
        clippy::allow_attributes,
        clippy::too_many_lines,
        reason = "the generator decides what this file looks like"
    )
)]
pub mod v1;

mod endpoint;
mod error;
mod runtime;
pub mod subject;

mod client;

pub use client::Client;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Call, Error, Fault};
pub use runtime::{Answer, Described, Events, Info, Runtime};

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::v1::{
        ContainerStatus, Image, ImageSpec, LinuxContainerResources, LinuxContainerSecurityContext,
        LinuxSandboxSecurityContext, Mount, Namespace, NamespaceOption, SupplementalGroupsPolicy,
    };

    #[test]
    fn fields_that_came_late_have_the_numbers_of_the_wire_contract() {
        let spec = ImageSpec {
            user_specified_image: "u".into(),
            runtime_handler: "h".into(),
            ..ImageSpec::default()
        };
        assert_eq!(spec.encode_to_vec(), b"\x92\x01\x01u\x9a\x01\x01h");
        let mount = Mount {
            recursive_read_only: true,
            ..Mount::default()
        };
        assert_eq!(mount.encode_to_vec(), b"\x40\x01");
        let strict = SupplementalGroupsPolicy::Strict.into();
        let sandbox = LinuxSandboxSecurityContext {
            supplemental_groups_policy: strict,
            ..LinuxSandboxSecurityContext::default()
        };
        assert_eq!(sandbox.encode_to_vec(), b"\x58\x01");
        let container = LinuxContainerSecurityContext {
            supplemental_groups_policy: strict,
            ..LinuxContainerSecurityContext::default()
        };
        assert_eq!(container.encode_to_vec(), b"\x88\x01\x01");
        let resources = LinuxContainerResources {
            memory_swap_limit_in_bytes: 1,
            ..LinuxContainerResources::default()
        };
        assert_eq!(resources.encode_to_vec(), b"\x50\x01");
        let namespace = Namespace {
            options: Some(NamespaceOption::default()),
        };
        assert_eq!(namespace.encode_to_vec(), b"\x12\x00");
        let image = Image {
            pinned: true,
            ..Image::default()
        };
        assert_eq!(image.encode_to_vec(), b"\x40\x01");
        let status = ContainerStatus {
            image_id: "i".into(),
            ..ContainerStatus::default()
        };
        assert_eq!(status.encode_to_vec(), b"\x8a\x01\x01i");
    }
}
